# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads, writes and deletes Secrets and Services, and reads namespaces, for the role's modules."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import owner, secrets
from .api import API_VERSION, PLURAL
from .children import LABEL_NAME, is_new
from .errors import ForbiddenError, NoSuchNamespaceError, ReconcileError, RejectedError
from .json_text import parse_json
from .json_types import ApiObject
from .keys import Pair
from .metadata import read_record
from .outcome import Reason

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
_CHUNK = 64 * 1024
_FORBIDDEN = 403
_MAX_MESSAGE = 400
# Of an answer about a Secret that exists.
_NOT_SHOWN = "The message is not shown, because it may repeat the Secret: an edit by a person shows it"
# More Secrets of one S3 object than the operator writes: anyone with rights in the namespace may write more.
_MAX_SECRETS = 50
# https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables (PartialObjectMetadata)
_ONLY_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# The client library's error when neither a kubeconfig nor a Pod provides a configuration.
_NO_CONFIGURATION = ("No configuration found", "Service host/port is not set")
# A Secret of that name may be another application's and hold 1 MB, which takes many times that once parsed. So threads
# read and parse one at a time, and keep only what is needed.
_PARSING = threading.Lock()


class ApiServer:
    """Reads by name through an ApiClient, as plain JSON, because CoreV1Api would import hundreds of models.

    :raises ReconcileError: KubernetesError when the API server does not answer the request
    """

    def __init__(self, api: client.ApiClient) -> None:
        # Of the dynamic client only requests by path are used. Discovery is not needed: the paths are known.
        self._api = DynamicClient(api, discoverer=lambda *_: None)
        self.client = api

    def find_secret(self, namespace: str, name: str, *, is_wanted: bool = True) -> ApiObject | None:  # noqa: ARG002
        """The Secret, or None."""
        return self._find("Secret", "namespaces/{namespace}/secrets", name, namespace)

    def list_secrets(self, namespace: str, name: str) -> list[ApiObject]:
        """The metadata of the Secrets with the label of an S3 object; none without the right to list them."""
        query = [("labelSelector", f"{LABEL_NAME}={name}"), ("limit", str(_MAX_SECRETS))]
        path, names = "/api/v1/namespaces/{namespace}/secrets", {"namespace": namespace}
        try:
            text = self._get("Secrets", path, names, query, {"Accept": _ONLY_METADATA})
        except ForbiddenError:
            return []
        with _PARSING:
            return list(parse_json(text or b"{}").get("items") or [])

    def find_service(self, namespace: str, name: str, *, is_wanted: bool = True) -> ApiObject | None:  # noqa: ARG002
        """The Service, or None."""
        return self._find("Service", "namespaces/{namespace}/services", name, namespace)

    def find_config_map(self, namespace: str, name: str) -> ApiObject | None:
        """The ConfigMap, or None."""
        return self._find("ConfigMap", "namespaces/{namespace}/configmaps", name, namespace)

    def find_service_account(self, namespace: str, name: str) -> ApiObject | None:
        """The ServiceAccount, or None."""
        return self._find("ServiceAccount", "namespaces/{namespace}/serviceaccounts", name, namespace)

    def find_object(self, namespace: str, name: str) -> ApiObject | None:
        """The S3 object with its status, or None."""
        api = f"/apis/{API_VERSION}"
        return self._find("S3 object", f"namespaces/{{namespace}}/{PLURAL}", name, namespace, api)

    def is_terminating(self, namespace: str) -> bool:
        """Whether the namespace is being deleted; False when the credentials do not allow reading namespaces."""
        try:
            found = self._find("Namespace", "namespaces", namespace)
        except ForbiddenError:
            return False
        return found is not None and found.get("status", {}).get("phase") == "Terminating"

    def find_deployment(self, namespace: str, name: str) -> ApiObject | None:
        """The Deployment, or None."""
        return self._find("Deployment", "namespaces/{namespace}/deployments", name, namespace, "/apis/apps/v1")

    def list_deployments(self, label: str) -> list[ApiObject]:
        """The Deployments with a label, in all namespaces.

        :raises ForbiddenError: when the credentials do not allow listing them
        """
        text = self._get("Deployments", "/apis/apps/v1/deployments", {}, [("labelSelector", label)])
        return list(json.loads(text or b"{}").get("items") or [])

    def dry_run(self, manifest: ApiObject) -> None:
        """Ask the API server whether it would store a Secret or Service as the role writes it. Stores nothing.

        Quotas and admission policies give the same answer as for the write itself.
        https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run

        :param manifest: as ``children`` makes it; it must hold no secret value, because the answer may repeat it
        :raises NoSuchNamespaceError: for an object to be created in a namespace that does not exist
        :raises ReconcileError: KubernetesError with the API server's message, but for a Secret that exists: the answer
            may repeat that one
        """
        try:
            self._write(manifest, [("dryRun", "All")])
        except ApiException as error:
            message = _message_of(error)
            # A webhook older than admissionregistration.k8s.io/v1 does not support dry runs: only the write
            # itself shows its answer.
            if error.status == 400 and "does not support dry run" in message:
                return
            if error.status == 404 and is_new(manifest):
                raise NoSuchNamespaceError(manifest["metadata"]["namespace"]) from error
            kind, why = manifest["kind"], f"{message} ({error.status})"
            if kind == "Secret" and not is_new(manifest):
                why = f"{_shown('Secret', error)} ({error.status}). {_NOT_SHOWN}"
            raise ReconcileError(Reason.KUBERNETES_ERROR, f"Kubernetes rejects the {kind}: {why}") from error

    def write(self, manifest: ApiObject) -> None:
        """Create a Secret, Service or ConfigMap, or patch the one that was read. Never writes over another one.

        The answer is dropped: for a Secret it is the Secret.

        :param manifest: as ``children`` makes it, of a Secret with its values
        :raises RejectedError: Conflict for another object of that name, else KubernetesError. It never holds a value
            of a Secret
        """
        try:
            self._write(manifest, [])
        except ApiException as error:
            raise _rejection(manifest, error) from error

    def _write(self, manifest: ApiObject, query: list[tuple[str, str]]) -> None:
        kind, metadata = manifest["kind"], manifest["metadata"]
        path, names = f"/api/v1/namespaces/{{namespace}}/{kind.lower()}s", {"namespace": metadata["namespace"]}
        method, content_type = "POST", "application/json"
        if not is_new(manifest):
            path, names = f"{path}/{{name}}", {**names, "name": metadata["name"]}
            method, content_type = "PATCH", "application/strategic-merge-patch+json"
        self._request(method, path, names, manifest, query_params=query, content_type=content_type)

    def delete(self, kind: str, namespace: str, name: str, uid: str) -> bool:
        """Delete the Secret, Service or ConfigMap with this uid; return whether there was one.

        The answer is dropped: for a Secret with finalizers it is the Secret.

        :raises RejectedError: KubernetesError, also for another object of that name
        """
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            path = f"/api/v1/namespaces/{{namespace}}/{kind.lower()}s/{{name}}"
            self._request("DELETE", path, {"namespace": namespace, "name": name}, body)
        except ApiException as error:
            if error.status == 404:
                return False
            message = f"failed to delete {kind} {name}: {_shown(kind, error)} ({error.status})"
            raise RejectedError(Reason.KUBERNETES_ERROR, message, int(error.status)) from error
        return True

    def get_cluster_id(self) -> str:
        """The uid of the namespace kube-system: the cluster's name where none is set."""
        found = self._find("Namespace", "namespaces", "kube-system")
        if found is None:
            raise ReconcileError(
                Reason.KUBERNETES_ERROR,
                "namespace kube-system does not exist: set --cluster-name of the operator, or s3bucket_cluster_name",
            )
        return str(found["metadata"]["uid"])

    def _find(self, kind: str, place: str, name: str, namespace: str = "", api: str = "/api/v1") -> ApiObject | None:
        text = self._get(f"{kind} {name}", f"{api}/{place}/{{name}}", {"namespace": namespace, "name": name}, [])
        if text is None:
            return None
        with _PARSING:
            return _reduced(parse_json(text), kind)

    def _get(
        self,
        what: str,
        path: str,
        names: dict[str, str],
        query: list[tuple[str, str]],
        headers: dict[str, str] | None = None,
    ) -> bytes | None:
        namespace = names.get("namespace", "")
        try:
            return self._request("GET", path, names, query_params=query, header_params=headers or {})
        except ApiException as error:
            if error.status == 404:
                return None
            if error.status == _FORBIDDEN and namespace:
                why = "its RoleBinding in this namespace, or the namespace, is missing"
                if what.startswith("ConfigMap "):
                    why = "set rbac.configMaps of its chart, which only spec.secret.layout OBC needs"
                if what.startswith("ServiceAccount "):
                    why = "set iam.annotateServiceAccounts of its chart, which only spec.iamRole.annotate needs"
                message = f"failed to read {what}: the operator has no right to read it in namespace {namespace}"
                raise ForbiddenError(Reason.KUBERNETES_ERROR, f"{message} (403): {why}") from error
            refused = ForbiddenError if error.status == _FORBIDDEN else ReconcileError
            why = f"{error.reason} ({error.status})"
            raise refused(Reason.KUBERNETES_ERROR, f"failed to read {what}: {why}") from error

    def _request(
        self, method: str, path: str, names: dict[str, str], body: ApiObject | None = None, **more: object
    ) -> bytes:
        """The answer's bytes.

        :raises ApiException: for an answer that is an error
        :raises ReconcileError: KubernetesError when there is no answer
        """
        with _reaching():
            answer = self._api.request(
                method, path, body, path_params=names, serialize=False, _request_timeout=_TIMEOUT_S, **more
            )
            return _read(answer)


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    """Report a request that the API server did not answer. An ApiException with a status passes."""
    try:
        yield
    except ApiException as error:
        if error.status:
            raise
        raise _unreachable(error) from error
    except HTTPError as error:
        raise _unreachable(error) from error


def _read(answer: Any) -> bytes:
    """The bytes of an answer, within a time limit for all of it. The client's time-out applies to each packet only.

    :raises HTTPError: when the answer takes longer
    """
    if not hasattr(answer, "read1"):
        # urllib3 before 2.2, which may be installed where people run the role.
        return bytes(answer.data)
    parts, deadline = [], time.monotonic() + _TIMEOUT_S
    while part := answer.read1(_CHUNK):
        parts.append(part)
        if time.monotonic() > deadline:
            answer.close()
            raise HTTPError(f"the answer takes more than {_TIMEOUT_S} s")
    return b"".join(parts)


def _reduced(found: ApiObject, kind: str) -> ApiObject:
    """An object without managedFields. Of its values, a Secret keeps only the key pair, in the layout AWS."""
    found["metadata"].pop("managedFields", None)
    if kind == "Secret":
        data, record = found.get("data") or {}, read_record(found)
        hint = Pair.parse((found["metadata"].get("annotations") or {}).get(owner.KEY, ""))
        found |= secrets.reduced(data, record)
        found["data"] = secrets.key_data(data, hint, record)
    return found


def _message_of(error: ApiException) -> str:
    """The API server's message, else the HTTP reason."""
    try:
        message = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        message = ""
    return (message or str(error.reason))[:_MAX_MESSAGE]


def _shown(kind: str, error: ApiException) -> str:
    """What of an answer about an object may be shown: an admission policy may repeat a Secret in its message."""
    return str(error.reason) if kind == "Secret" else _message_of(error)


def _rejection(manifest: ApiObject, error: ApiException) -> RejectedError:
    """Why the API server did not write an object."""
    child, status = f"{manifest['kind']} {manifest['metadata']['name']}", int(error.status)
    if _is_another(manifest, error):
        message = (
            f"{child} was created by someone else during the run and was left alone: delete or rename it, or rename "
            "the S3 object"
        )
        return RejectedError(Reason.CONFLICT, message, status)
    why = _shown(manifest["kind"], error)
    return RejectedError(Reason.KUBERNETES_ERROR, f"failed to write {child}: {why} ({status})", status)


def _is_another(manifest: ApiObject, error: ApiException) -> bool:
    """Whether another object has the name: one that was not there, or was another one, when it was read."""
    try:
        answer = json.loads(error.body)
        causes = (answer.get("details") or {}).get("causes") or []
        if is_new(manifest):
            return bool(answer.get("reason") == "AlreadyExists")
        return any(cause.get("field") == "metadata.uid" for cause in causes)
    except (TypeError, ValueError, AttributeError):
        return False


def _unreachable(error: Exception) -> ReconcileError:
    certificate = _certificate_problem(error)
    if certificate:
        return ReconcileError(
            Reason.KUBERNETES_ERROR,
            f"failed to reach Kubernetes: the certificate of the API server is not accepted ({certificate}): correct "
            "certificate-authority in the kubeconfig, or s3bucket_ca_cert of the role (K8S_AUTH_SSL_CA_CERT); "
            "s3bucket_validate_certs: false (K8S_AUTH_VERIFY_SSL) turns the check off",
        )
    # An ApiException without a status begins with the class name of the TLS error.
    reason = getattr(error, "reason", None)
    name = reason.splitlines()[0] if isinstance(reason, str) and reason else type(error).__name__
    return ReconcileError(Reason.KUBERNETES_ERROR, f"failed to reach Kubernetes: {name}")


def _certificate_problem(error: BaseException | None) -> str:
    """Why TLS does not accept the API server's certificate; empty for any other error."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        # The client library makes an ApiException of urllib3's error. The arguments of that one have the TLS error.
        nested = (getattr(error, "reason", None), *error.args, error.__cause__, error.__context__)
        error = next((item for item in nested if isinstance(item, BaseException)), None)
    return str(error.verify_message) if error is not None else ""


def connect() -> ApiServer:
    """The API server of KUBECONFIG, else of the default kubeconfig, else of the Pod's ServiceAccount.

    :raises ReconcileError: KubernetesError when none of them exists
    """
    ensure_library()
    with reported_errors("KUBECONFIG"):
        # config.load_config would write to the module's standard output, and supports no list of files in KUBECONFIG.
        if os.environ.get("KUBECONFIG") or Path(config.KUBE_CONFIG_DEFAULT_LOCATION).expanduser().exists():
            # Named explicitly, because the library reads KUBECONFIG only when it is imported.
            config.load_kube_config(os.environ.get("KUBECONFIG"))
        else:
            config.load_incluster_config()
    return server_of(client.Configuration.get_default_copy())


def ensure_library() -> None:
    """Check that the Kubernetes client library is installed.

    :raises ReconcileError: KubernetesError when it is not
    """
    if not HAS_KUBERNETES:
        raise ReconcileError(
            Reason.KUBERNETES_ERROR, "the Python package kubernetes is missing: pip install kubernetes"
        )


@contextlib.contextmanager
def reported_errors(source: str) -> Iterator[None]:
    """Report errors that the client library raises for a configuration.

    :param source: where the configuration comes from: variables of the environment or of the role
    :raises ReconcileError: KubernetesError naming the source. It never quotes a file, which may hold credentials
    """
    try:
        yield
    except (ConfigException, OSError) as error:
        text = str(error).rstrip(".")
        if source and not text.endswith(_NO_CONFIGURATION):
            raise ReconcileError(
                Reason.KUBERNETES_ERROR, f"no way to reach Kubernetes: {text}: correct {source}"
            ) from error
        raise ReconcileError(
            Reason.KUBERNETES_ERROR,
            "no Kubernetes configuration found: set s3bucket_kubeconfig or KUBECONFIG, or run in a Pod",
        ) from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReconcileError(
            Reason.KUBERNETES_ERROR,
            f"{source or 'KUBECONFIG'} is not a kubeconfig: correct the file, or set it to another",
        ) from error


def server_of(configuration: client.Configuration) -> ApiServer:
    """The API server of a configuration of the client library."""
    # By default urllib3 sends an unanswered GET four times, each with the full time-out.
    configuration.retries = False
    return ApiServer(client.ApiClient(configuration))
