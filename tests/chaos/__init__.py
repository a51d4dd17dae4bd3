"""Kill -9 in the middle of the work, and look at what the next run makes of it.

``cases`` says what is killed when, ``rig`` does the work and kills, ``foreign`` is what nobody may touch.
``python -m tests.chaos`` (``make chaos``) does every write in turn and then random moments; ``test_chaos`` a sample.
"""
