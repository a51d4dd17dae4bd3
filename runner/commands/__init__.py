"""The commands of ``s3-operator``, one file each; :mod:`runner.cli` collects them.

Beside them, ``options`` and ``start`` hold what several commands share, and ``checks``, ``planning`` and
``orphan_report`` do the work of three of them. Those are imported when their command runs: only then is no AWS key left
in the environment. Commands other than ``run`` and ``once`` only read.
"""
