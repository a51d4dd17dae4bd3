# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading Secrets, Services and namespaces from the API server, for the role's modules."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .errors import Refused

try:
    import yaml
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from kubernetes.dynamic import DynamicClient
    from urllib3.exceptions import HTTPError

    HAS_KUBERNETES = True
except ImportError:
    HAS_KUBERNETES = False

_TIMEOUT_S = 30


class ApiServer:
    """Reads by name through an ApiClient, as plain JSON: CoreV1Api would import hundreds of models.

    :raises Refused: KubernetesError when the API server does not say what is there
    """

    def __init__(self, api: Any) -> None:
        # Of the dynamic client only its requests by path; what it would discover is known.
        self._api = DynamicClient(api, discoverer=lambda *_: None)

    def find_secret(self, namespace: str, name: str, *, is_wanted: bool = True) -> dict[str, Any] | None:  # noqa: ARG002
        """The Secret, or None."""
        return self._find("Secret", "namespaces/{namespace}/secrets", name, namespace)

    def find_service(self, namespace: str, name: str, *, is_wanted: bool = True) -> dict[str, Any] | None:  # noqa: ARG002
        """The Service, or None."""
        return self._find("Service", "namespaces/{namespace}/services", name, namespace)

    def is_terminating(self, namespace: str) -> bool:
        """Whether the namespace is being deleted; False where we may not read namespaces."""
        try:
            found = self._find("Namespace", "namespaces", namespace)
        except Refused as refusal:
            if "(403)" in refusal.message:
                return False
            raise
        return found is not None and found.get("status", {}).get("phase") == "Terminating"

    def get_cluster_id(self) -> str:
        """The uid of kube-system: the cluster's name where none is set."""
        found = self._find("Namespace", "namespaces", "kube-system")
        if found is None:
            raise Refused("KubernetesError", "namespace kube-system does not exist: set a cluster name")
        return str(found["metadata"]["uid"])

    def _find(self, kind: str, place: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        path, names = f"/api/v1/{place}/{{name}}", {"namespace": namespace, "name": name}
        try:
            answer = self._api.request("GET", path, path_params=names, serialize=False, _request_timeout=_TIMEOUT_S)
        except ApiException as error:
            if error.status == 404:
                return None
            why = f"{error.reason} ({error.status})"
            raise Refused("KubernetesError", f"failed to read {kind} {name}: {why}") from error
        except HTTPError as error:
            raise Refused("KubernetesError", f"failed to reach Kubernetes: {type(error).__name__}") from error
        return dict(json.loads(answer.data))


def connect() -> ApiServer:
    """The API server of KUBECONFIG, else of the default kubeconfig, else of the Pod's ServiceAccount.

    :raises Refused: KubernetesError when there is none of them
    """
    if not HAS_KUBERNETES:
        raise Refused("KubernetesError", "the Python package kubernetes is missing: pip install kubernetes")
    try:
        # config.load_config would write to a module's standard output, and know no list of files in KUBECONFIG.
        if os.environ.get("KUBECONFIG") or Path(config.KUBE_CONFIG_DEFAULT_LOCATION).expanduser().exists():
            # Named, as the library looks at KUBECONFIG when it is imported only.
            config.load_kube_config(os.environ.get("KUBECONFIG"))
        else:
            config.load_incluster_config()
    except (ConfigException, OSError) as error:
        raise Refused("KubernetesError", f"no way to reach Kubernetes: {error}: set KUBECONFIG") from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        # Never its text: a kubeconfig holds credentials.
        raise Refused(
            "KubernetesError", "KUBECONFIG is not a kubeconfig: correct the file, or set it to another"
        ) from error
    return ApiServer(client.ApiClient())
