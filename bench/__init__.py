"""``make bench``: what the operator costs, measured on this machine against a real Kubernetes and moto.

``__main__`` has what is measured in which order; ``latency``, ``burst``, ``fair``, ``steady``, ``memory`` and ``alone``
each measure one thing and give rows; ``place`` is the cluster and the AWS account, ``process`` the operator; ``meter``
measures what a stretch of time has cost, by ``accounting`` (CPU, memory) and ``calls`` (AWS, Kubernetes); ``objects``
makes objects that are Ready already. A measurement of something else than its row states ends with a BenchError and
gives no row.
"""


class BenchError(Exception):
    """What was measured is not what the row states."""
