"""The commands of ``s3-operator`` besides ``run`` and ``once``, a file for each. They only read.

:mod:`runner.cli` collects them. Must not be imported by anything else.
"""
