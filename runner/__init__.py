"""The watch loop of s3-operator: decides when the Ansible role runs. The role makes every change in AWS,
and every Secret and Service; this package writes only an S3 object's status and finalizer, Events and Leases.

``watch`` -> ``queue`` -> ``reconcile`` -> ``job``; ``kube`` is the only file that talks to Kubernetes,
``job`` the only one that knows ansible-runner. ``operator`` wires them together, ``cli`` starts them.
"""

__version__ = "1.0.0"
