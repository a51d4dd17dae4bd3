"""Runs of the role: one playbook run in one process tree for one S3 object, within a time limit.

Owns ansible-runner, the environment of a run, its processes, and warm runs. Must not depend on Kubernetes, or on the
reason why a run starts.
"""
