"""The drift check: compares an S3 object with what is in AWS, in the operator's own process.

Uses the role's core (``s3bucket``) and AWS clients that are kept. Must only read, and must not run Ansible. One
exception: where the spec asks for it, ``verification`` writes one object with the key of the S3 object's user, and
deletes it.
"""
