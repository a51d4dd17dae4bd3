"""What a test file leaves behind for the next one: in the whole cluster, in AWS's gate, and in this process.

Tests keep to namespaces and names of their own. What is here does not: a Deployment of an operator, whose settings the
playbooks compare with theirs; cluster roles, admission rules and CRDs; an injected fault; the default cluster of the
client library. A test that leaves one makes others fail, or pass, that run after it in the same worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kubernetes.client as k8s

# Cluster-wide, or read in all namespaces by the playbooks (Deployments): group, version, plural.
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
    """Compares what there is with what there was when this was made, or compared last.

    :param api: a client of the cluster
    :param gate: the tests' side of AWS's gate
    """

    def __init__(self, api: k8s.ApiClient, gate: Any) -> None:
        self._custom = k8s.CustomObjectsApi(api)
        self.gate = gate
        self._before = set(self._read())

    def find_new(self) -> list[str]:
        """What is there now and was not before, each told once."""
        now = set(self._read())
        found, self._before = now - self._before, now
        return sorted(found)

    def _read(self) -> Iterator[str]:
        for kind in _KINDS:
            for item in self._custom.list_cluster_custom_object(*kind)["items"]:
                metadata = item["metadata"]
                # A CRD that was changed counts as another one.
                version = f" generation {metadata['generation']}" if "customresourcedefinitions" in kind else ""
                yield f"{kind[-1]} {metadata.get('namespace', '')}/{metadata['name']}{version}"
        yield from (f"gate: {entry}" for entry in self.gate.leftovers())
        yield f"default cluster {k8s.Configuration.get_default_copy().host}"
