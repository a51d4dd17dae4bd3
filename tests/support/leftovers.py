"""What a test file leaves behind in the whole cluster, in the AWS gate, and in this process.

Tests keep to their own namespaces and names. The resources listed here are shared: a Deployment of an operator (the
playbooks compare its settings with their own); cluster roles, admission rules and CRDs; an injected fault; and the
default cluster of the client library. If a test leaves one of them, tests that run later in the same worker fail, or
pass, because of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kubernetes.client as k8s

# Kinds that are cluster-scoped, or that the playbooks read in all namespaces (Deployments): group, version, plural.
_KINDS = (
    ("apps", "v1", "deployments"),
    ("rbac.authorization.k8s.io", "v1", "clusterroles"),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations"),
)


class Leftovers:
    """Compares the current state with the state at its creation, or at the last comparison.

    :param api: a client of the cluster
    :param gate: the tests' interface to the AWS gate
    """

    def __init__(self, api: k8s.ApiClient, gate: Any) -> None:
        self._custom = k8s.CustomObjectsApi(api)
        self.gate = gate
        self._before = set(self._read())

    def find_new(self) -> list[str]:
        """What exists now and did not exist before. Each item is reported once."""
        now = set(self._read())
        found, self._before = now - self._before, now
        return sorted(found)

    def _read(self) -> Iterator[str]:
        for kind in _KINDS:
            for item in self._custom.list_cluster_custom_object(*kind)["items"]:
                metadata = item["metadata"]
                # The generation makes a changed CRD count as a new one.
                version = f" generation {metadata['generation']}" if "customresourcedefinitions" in kind else ""
                yield f"{kind[-1]} {metadata.get('namespace', '')}/{metadata['name']}{version}"
        yield from (f"gate: {entry}" for entry in self.gate.leftovers())
        yield f"default cluster {k8s.Configuration.get_default_copy().host}"
