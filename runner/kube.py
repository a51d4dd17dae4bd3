"""All that the loop says to Kubernetes. Nothing else imports the client library.

Reads and watches S3 objects, their Secrets and Services; writes an S3 object's status and finalizer,
Events and Leases. Every call has a time-out. Values of Secrets do not leave this file, but for the access key's
id: of the others digests are handed on. Threads: any.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from urllib3.exceptions import HTTPError, MaxRetryError

from runner import kubeconfig
from runner.events import Event

GROUP, VERSION, PLURAL, KIND = "agill.apps", "v1alpha1", "s3s", "S3"
FINALIZER = "agill.apps.s3"
_PATHS = {
    KIND: (f"/apis/{GROUP}/{VERSION}", PLURAL),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
}
_KEY_ID = "AWS_ACCESS_KEY_ID"
_CHILD_SELECTOR = "app.kubernetes.io/managed-by=s3-operator"
_TIMEOUT_S = (5, 30)
_WATCH_S = 240
# The server sends a bookmark about every minute: a watch that is silent for longer is half-open.
_WATCH_SILENCE_S = (5, 100)
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_GONE = 410
_UNAUTHORIZED = 401
# That of client-go.
_PAGE = 500

WatchEvent = tuple[str, dict[str, Any]]


class KubeError(Exception):
    """Kubernetes did not do what it was asked. ``status`` is the HTTP status, 0 when it was not reached."""

    def __init__(self, verb: str, cause: Exception) -> None:
        self.status = int(getattr(cause, "status", 0) or 0)
        super().__init__(f"failed to {verb}: {_detail_of(cause, self.status)}")

    @property
    def is_conflict(self) -> bool:
        """Somebody else was faster. A JSON patch whose test fails answers 422."""
        return self.status in (409, 422)

    @property
    def is_expired(self) -> bool:
        """The resourceVersion is too old to watch from: list again."""
        return self.status == _GONE


class ConfigError(KubeError):
    """No way to a cluster is configured (``is_absent``), or what is configured cannot be used."""

    def __init__(self, cause: kubeconfig.ConfigurationError) -> None:
        self.status = 0
        self.is_absent = cause.is_absent
        Exception.__init__(self, str(cause))


@contextlib.contextmanager
def _failing_to(verb: str) -> Iterator[None]:
    try:
        yield
    # An answer that is not JSON comes from another server than Kubernetes.
    except (ApiException, HTTPError, OSError, json.JSONDecodeError) as error:
        raise KubeError(verb, error) from error


def _detail_of(cause: Exception, status: int) -> str:
    """What went wrong in one line, with what to do about it where the configuration may be wrong."""
    if isinstance(cause, MaxRetryError):
        why = " ".join(str(cause.reason).split()).rpartition(": ")[2]
        return f"the API server {cause.pool.host}:{cause.pool.port} does not answer ({why}): check KUBECONFIG"
    if isinstance(cause, json.JSONDecodeError):
        return "the server's answer is not that of a Kubernetes API server: check KUBECONFIG"
    detail = " ".join(str(getattr(cause, "reason", None) or type(cause).__name__).split())
    hint = ": check the user of the kubeconfig" if status == _UNAUTHORIZED else ""
    return f"{detail} ({status}){hint}"


def load_config() -> None:
    """Use KUBECONFIG, the default kubeconfig, or the Pod's ServiceAccount.

    :raises ConfigError: when there is none of them, or it cannot be used
    """
    try:
        kubeconfig.load()
    except kubeconfig.ConfigurationError as error:
        raise ConfigError(error) from error


class Kube:
    """The API server. ``namespaces`` empty means all."""

    def __init__(self, namespaces: tuple[str, ...] = ()) -> None:
        self.namespaces: tuple[str | None, ...] = namespaces or (None,)
        api = client.ApiClient()
        self._custom = client.CustomObjectsApi(api)
        self._coordination = client.CoordinationV1Api(api)
        # Plain JSON by path. CoreV1Api would import 20 MB of models, and make one of each object that a watch tells of.
        self._raw = DynamicClient(api, discoverer=lambda *_: None)

    def get_cluster_id(self) -> str:
        """The uid of kube-system."""
        with _failing_to("read the uid of namespace kube-system, the default of --cluster-name"):
            answer = self._raw.request(
                "GET", "/api/v1/namespaces/kube-system", serialize=False, _request_timeout=_TIMEOUT_S
            )
            return str(json.loads(answer.data)["metadata"]["uid"])

    def find_missing_namespaces(self) -> tuple[str, ...]:
        """Those of :attr:`namespaces` that do not exist. One that we may not read counts as existing."""
        return tuple(name for name in self.namespaces if name and self._is_missing(name))

    def _is_missing(self, namespace: str) -> bool:
        with _failing_to(f"read namespace {namespace}"):
            try:
                self._raw.request(
                    "GET",
                    "/api/v1/namespaces/{name}",
                    path_params={"name": namespace},
                    serialize=False,
                    _request_timeout=_TIMEOUT_S,
                ).drain_conn()
            except ApiException as error:
                if error.status not in (403, 404):
                    raise
                return bool(error.status == 404)
        return False

    def find_object(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The S3 object as it is now."""
        with _failing_to(f"read S3 object {namespace}/{name}"):
            try:
                return dict(
                    self._custom.get_namespaced_custom_object(
                        GROUP, VERSION, namespace, PLURAL, name, _request_timeout=_TIMEOUT_S
                    )
                )
            except ApiException as error:
                if error.status == 404:
                    return None
                raise

    def list_objects(self, namespace: str | None) -> tuple[list[dict[str, Any]], str]:
        """All S3 objects and the resourceVersion to watch from."""
        with _failing_to("list S3 objects"):
            return _list(_kept_object, self._lister(KIND, namespace))

    def watch_objects(self, namespace: str | None, version: str) -> Iterator[WatchEvent]:
        """Changes of S3 objects since a resourceVersion, until the server ends the watch."""
        for change, item in _watch(self._lister(KIND, namespace), version):
            yield change, _kept_object(item)

    def list_children(self, kind: str, namespace: str | None) -> tuple[list[dict[str, Any]], str]:
        """Secrets or Services with our label, as :func:`_kept_child` leaves them."""
        with _failing_to(f"list {kind}s"):
            return _list(_kept_child, self._lister(kind, namespace), label_selector=_CHILD_SELECTOR)

    def watch_children(self, kind: str, namespace: str | None, version: str) -> Iterator[WatchEvent]:
        """Changes of Secrets or Services with our label."""
        for change, item in _watch(self._lister(kind, namespace), version, label_selector=_CHILD_SELECTOR):
            yield change, _kept_child(item)

    def add_finalizer(self, item: dict[str, Any]) -> dict[str, Any]:
        """Put our finalizer on; returns the object with it."""
        finalizers = item["metadata"].get("finalizers") or []
        return self._patch_finalizers(item, [*finalizers, FINALIZER])

    def remove_finalizer(self, item: dict[str, Any]) -> None:
        """Take our finalizer off; others' stay."""
        finalizers = item["metadata"].get("finalizers") or []
        self._patch_finalizers(item, [name for name in finalizers if name != FINALIZER])

    def write_status(self, item: dict[str, Any], status: dict[str, Any]) -> None:
        """Set the status, on the status subresource. An object that is gone has none."""
        metadata = item["metadata"]
        with _failing_to(f"write the status of {metadata['namespace']}/{metadata['name']}"):
            try:
                self._custom.patch_namespaced_custom_object_status(
                    GROUP,
                    VERSION,
                    metadata["namespace"],
                    PLURAL,
                    metadata["name"],
                    # The uid keeps the status off a re-created object of this name.
                    {"metadata": {"uid": metadata["uid"]}, "status": status},
                    _content_type=_MERGE_PATCH,
                    _request_timeout=_TIMEOUT_S,
                )
            except ApiException as error:
                if error.status != 404:
                    raise

    def write_event(self, item: dict[str, Any], event: Event) -> None:
        """Tell an Event about an S3 object."""
        metadata, now = item["metadata"], datetime.now(UTC)
        body = {
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:1024],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "s3-operator"},
            "reportingComponent": "s3-operator",
        }
        with _failing_to("write an Event"):
            answer = self._raw.request(
                "POST",
                "/api/v1/namespaces/{namespace}/events",
                path_params={"namespace": metadata["namespace"]},
                body=body,
                serialize=False,
                _request_timeout=_TIMEOUT_S,
            )
            # What is not read keeps its connection.
            answer.drain_conn()

    def find_lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A Lease as plain data: ``holder``, ``renewed`` (datetime or None), ``duration_s``, ``version``."""
        with _failing_to(f"read Lease {namespace}/{name}"):
            try:
                lease = self._coordination.read_namespaced_lease(name, namespace, _request_timeout=_TIMEOUT_S)
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
        return {
            "holder": lease.spec.holder_identity or "",
            "renewed": lease.spec.renew_time,
            "duration_s": lease.spec.lease_duration_seconds or 0,
            "transitions": lease.spec.lease_transitions or 0,
            "version": lease.metadata.resource_version,
        }

    def write_lease(
        self, namespace: str, name: str, holder: str, duration_s: int, now: datetime, old: dict[str, Any] | None
    ) -> None:
        """Take, renew or (with an empty holder) release a Lease that is still as ``old`` says."""
        is_taken_over = old is not None and old["holder"] != holder and bool(holder)
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": duration_s,
            "renewTime": now,
            "leaseTransitions": (old["transitions"] if old else 0) + is_taken_over,
        }
        metadata: dict[str, Any] = {"name": name, "namespace": namespace}
        with _failing_to(f"write Lease {namespace}/{name}"):
            if old is None:
                self._coordination.create_namespaced_lease(
                    namespace, {"metadata": metadata, "spec": spec}, _request_timeout=_TIMEOUT_S
                )
            else:
                metadata["resourceVersion"] = old["version"]
                self._coordination.replace_namespaced_lease(
                    name, namespace, {"metadata": metadata, "spec": spec}, _request_timeout=_TIMEOUT_S
                )

    def _patch_finalizers(self, item: dict[str, Any], finalizers: list[str]) -> dict[str, Any]:
        metadata = item["metadata"]
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
            {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
        ]
        with _failing_to(f"patch the finalizers of {metadata['namespace']}/{metadata['name']}"):
            return dict(
                self._custom.patch_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    metadata["namespace"],
                    PLURAL,
                    metadata["name"],
                    patch,
                    _content_type=_JSON_PATCH,
                    _request_timeout=_TIMEOUT_S,
                )
            )

    def _lister(self, kind: str, namespace: str | None) -> Callable[..., Any]:
        base, plural = _PATHS[kind]
        path = f"{base}/namespaces/{{namespace}}/{plural}" if namespace else f"{base}/{plural}"
        return partial(self._raw.request, "GET", path, path_params={"namespace": namespace}, serialize=False)


def _list(
    keep: Callable[[dict[str, Any]], dict[str, Any]], lister: Callable[..., Any], **more: Any
) -> tuple[list[dict[str, Any]], str]:
    """What is kept of each item, and the resourceVersion, which is one for all pages.

    Page by page, as an answer is many times what is kept of it. A list that takes so long that its next page is
    forgotten is a 410 like an old watch.
    """
    kept: list[dict[str, Any]] = []
    while True:
        page = json.loads(lister(limit=_PAGE, _request_timeout=_TIMEOUT_S, **more).data)
        kept += [keep(item) for item in page["items"]]
        more["_continue"] = page["metadata"].get("continue")
        if not more["_continue"]:
            return kept, page["metadata"]["resourceVersion"]


def _watch(lister: Callable[..., Any], version: str, **more: Any) -> Iterator[WatchEvent]:
    watcher = watch.Watch()
    with _failing_to("watch"):
        stream = watcher.stream(
            lister,
            resource_version=version,
            timeout_seconds=_WATCH_S,
            allow_watch_bookmarks=True,
            _request_timeout=_WATCH_SILENCE_S,
            **more,
        )
        for event in stream:
            raw = event["raw_object"]
            if event["type"] == "ERROR":
                raise ApiException(status=raw.get("code", 0), reason=raw.get("reason", ""))
            yield event["type"], raw


def _kept_object(item: dict[str, Any]) -> dict[str, Any]:
    """An S3 object without who wrote which field."""
    metadata = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
    annotations = {name: value for name, value in (metadata.pop("annotations", None) or {}).items() if _is_ours(name)}
    return {**item, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


def _kept_child(item: dict[str, Any]) -> dict[str, Any]:
    """A Secret or Service with what says whose it is and what it holds; ``digests``: SHA-256 of values, in hex."""
    metadata = item["metadata"]
    names = ("name", "namespace", "uid", "labels", "ownerReferences", "resourceVersion")
    kept = {"metadata": {name: metadata[name] for name in names if name in metadata}}
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if _is_ours(name)}
    if annotations:
        kept["metadata"]["annotations"] = annotations
    kept |= {name: item[name] for name in ("spec", "type", "immutable") if name in item}
    data = {name: value for name, value in (item.get("data") or {}).items() if value}
    if data:
        kept["data"] = {name: value for name, value in data.items() if name == _KEY_ID}
        kept["digests"] = {name: hashlib.sha256(base64.b64decode(value)).hexdigest() for name, value in data.items()}
    return kept


def _is_ours(annotation: str) -> bool:
    return annotation.startswith(f"{GROUP}/")
