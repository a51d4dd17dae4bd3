"""The control loop: decides when the role runs on an S3 object, and publishes how the object is.

Owns the work queue, the workers, the operator's wiring, metrics and probes. Must not use the clients of Kubernetes,
AWS or Ansible directly: they are given to it.
"""
