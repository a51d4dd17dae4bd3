"""Chaos tests: processes are killed with SIGKILL in the middle of the work, and the next run must recover.

``cases`` defines what is killed and when. ``rig`` starts the work and kills. ``unmanaged`` creates resources that the
operator does not own. ``python -m tests.chaos`` (``make chaos``) kills at every write and then at random moments.
``test_chaos`` runs a sample.
"""
