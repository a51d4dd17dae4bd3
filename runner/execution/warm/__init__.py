"""Warm execution: one process has everything that a run of Ansible imports; each run is a fork of it.

Six rooms: ``process`` keeps that process alive for the operator, ``shim`` is the ``ansible-playbook`` that
ansible-runner starts and that only connects and waits, ``server`` forks, ``preload`` has
ready what every run needs, ``worker`` lets tasks run without a process
for each, ``inprocess`` lets modules run inside the task's process. The role does not know: ``--executor stock``
turns all of it off.
"""
