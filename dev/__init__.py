"""Kubernetes and AWS on this machine, for the demo, the tests and development. Not part of the operator."""
