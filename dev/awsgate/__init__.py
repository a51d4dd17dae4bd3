"""A gate in front of moto that follows AWS where moto does not, in what the role relies on.

One process: a WSGI application around moto's own server application, spoken to over real HTTP, with IAM
enforced. ``rules`` holds one small function for each difference, with the AWS page that it follows; ``rights``
has the rights that a request needs, and ``evaluate`` whether a policy gives them, for the keys that a test has
judged; ``gate`` logs every request, injects faults, and answers the tests under ``/_gate/``.
"""
