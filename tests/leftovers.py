"""What a test file leaves behind for the next one: in the whole cluster, in AWS's gate, and in this process.

Tests keep to namespaces and names of their own. What is here does not: a Deployment of an operator, whose settings the
playbooks compare with theirs; cluster roles, admission rules and CRDs; an injected fault; the default cluster of the
client library. A test that leaves one makes others fail, or pass, that run after it in the same worker.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import kubernetes.client as k8s

# Cluster-wide, or read in all namespaces by the playbooks (Deployments).
_LISTS = (
    "/apis/apps/v1/deployments",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
)


class Leftovers:
    """Compares what there is with what there was when this was made, or compared last.

    :param api: a client of the cluster
    :param gate: the tests' side of AWS's gate
    """

    def __init__(self, api: k8s.ApiClient, gate: Any) -> None:
        self._api = api
        self._gate = gate
        self._before = set(self._read())

    def find_new(self) -> list[str]:
        """What is there now and was not before, each told once."""
        now = set(self._read())
        found, self._before = now - self._before, now
        return sorted(found)

    def _read(self) -> Iterator[str]:
        for path in _LISTS:
            for item in self._get(path):
                metadata = item["metadata"]
                # A CRD that was changed counts as another one.
                version = f" generation {metadata['generation']}" if "definition" in path else ""
                yield f"{path} {metadata.get('namespace', '')}/{metadata['name']}{version}"
        yield from (f"gate: {entry}" for entry in self._gate.leftovers())
        yield f"default cluster {k8s.Configuration.get_default_copy().host}"

    def _get(self, path: str) -> list[dict[str, Any]]:
        answer = self._api.call_api(path, "GET", auth_settings=["BearerToken"], _preload_content=False)[0]
        return list(json.loads(answer.data)["items"])
