"""Kubernetes: the only package that uses its client library.

Reads and watches S3 objects, Secrets and Services, keeps what was read, holds the Lease, and writes an object's status
and finalizer, Events and Leases. Must not decide anything about an object, and must not know AWS or Ansible.
"""
