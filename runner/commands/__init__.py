"""The commands of ``s3-operator``, one file each; :mod:`runner.cli` collects them.

In the same folder, ``options`` and ``start`` hold what several commands share. ``check_report``, ``plan_report`` and
``orphan_report`` do the work of ``check``, ``plan`` and ``orphans``. These are imported only when their command runs,
because only then are no AWS keys left in the environment. Commands other than ``run`` and ``once`` only read.
"""
