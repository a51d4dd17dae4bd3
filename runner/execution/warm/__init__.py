"""Warm runs: one process has imported everything that a run of Ansible needs, and each run is a fork of it.

``process`` keeps that process alive for the operator. ``shim`` is the ``ansible-playbook`` that ansible-runner starts;
it connects and waits. ``server`` forks. ``preload`` prepares what every run needs. ``inprocess`` runs modules in the
process of their task, and ``worker`` runs tasks in the process of their run. ``internals`` lists every internal of
Ansible, its collections and botocore that these replace or use. The role does not depend on any of this, and
``--executor stock`` turns it off.
"""
