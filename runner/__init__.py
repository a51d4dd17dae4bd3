"""The watch loop of s3-operator: decides when the Ansible role runs.

The role makes every change in AWS, and every Secret and Service. This package writes only an S3 object's status and
finalizer, Events and Leases.

A change goes from ``kube.watch`` to ``control.queue``. Its workers call ``control.reconcile``, which compares with
``drift.check`` and runs the role with ``execution.job``. ``control.operator`` wires them together; ``cli`` starts it.
"""

__version__ = "1.0.0"
