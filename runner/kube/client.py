"""All requests of the operator to Kubernetes. Only this package imports the client library.

Reads and watches S3 objects, their Secrets and Services; writes an S3 object's status and finalizer,
Events and Leases. Every call has a time-out and is sent once: a hidden retry would multiply it. Answers are read up to
a size, and of what is in them only :mod:`runner.kube.projection` is handed on. Threads: any.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Generic, Protocol, TypeVar

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from urllib3.exceptions import HTTPError

from runner.kube import config as kubeconfig
from runner.kube.events import Event
from runner.kube.lease import LEASE_SELECTOR, Lease, keep_lease, lease_body, timestamp
from runner.kube.projection import FINALIZER as FINALIZER
from runner.kube.projection import keep_child, keep_listed_object, keep_object, reference_to
from runner.objects import Child, JsonObject, Key, KubeObject, S3Object
from s3bucket.api import API_VERSION, GROUP, KIND, PLURAL, VERSION
from s3bucket.json_text import parse_json

_PATHS = {
    KIND: (f"/apis/{GROUP}/{VERSION}", PLURAL),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
}
_OBJECT_PATH = f"/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/{PLURAL}/{{name}}"
_CONFIG_MAPS = "/api/v1/namespaces/{namespace}/configmaps"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
_CHILD_SELECTOR = "app.kubernetes.io/managed-by=s3-operator"
_TIMEOUT_S = (5, 30)
_WATCH_S = 240
# The server sends a bookmark about every minute: a watch that is silent for longer is half-open.
_WATCH_SILENCE_S = (5, 100)
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_EXPIRED, _FORBIDDEN, _UNAUTHORIZED, _UNPROCESSABLE = 410, 403, 401, 422
# That of client-go.
_PAGE = 500
# A page of more bytes is given up and requested again with fewer items: 500 Secrets can have 700 MB.
_FIRST_PAGE = 100
_MAX_PAGE = 2 * 1024 * 1024
# etcd takes requests of 1.5 MiB by default: https://etcd.io/docs/v3.6/dev-guide/limit/
_MAX_OBJECT = 16 * 1024 * 1024
_CHUNK = 64 * 1024
# So many pages are read at a time, by all watches together.
_PAGES = threading.BoundedSemaphore(4)
_PAGES_WAIT_S = 120.0
# JSON takes up to twenty times its bytes once it is parsed, so one large text is at a time.
_PARSING = threading.Lock()
_SMALL = 64 * 1024
# So many threads renew Leases at once, where replicas share the objects. A further connection would be closed after
# each request.
_LEASE_CONNECTIONS = 18


def without_null(value: object) -> object:
    """The value without members that are null: the API server refuses them where the CRD does not allow them."""
    if isinstance(value, dict):
        return {name: without_null(part) for name, part in value.items() if part is not None}
    return [without_null(part) for part in value] if isinstance(value, list) else value


class Answer(Protocol):
    """An HTTP answer. Its body is read as it arrives."""

    def read1(self, amount: int) -> bytes:
        """The next bytes; empty at the end."""

    def close(self) -> None:
        """Close the connection."""


_Kept = TypeVar("_Kept")
_Object = TypeVar("_Object", bound=KubeObject)
WatchEvent = tuple[str, _Object]
"""ADDED, MODIFIED, DELETED or BOOKMARK, and the object; of the last two only its name and resourceVersion."""


class KubeError(Exception):
    """A request to Kubernetes failed. ``status`` is the HTTP status, 0 when it was not reached."""

    def __init__(self, verb: str, cause: Exception) -> None:
        self.status = int(getattr(cause, "status", 0) or 0)
        super().__init__(f"failed to {verb}: {_detail_of(cause, self.status)}")

    @property
    def is_conflict(self) -> bool:
        """Another client was faster. The answer to a JSON patch with a test that fails is 422."""
        return self.status in (409, 422)

    @property
    def is_denied(self) -> bool:
        """The operator has no right to. So it is in a namespace that does not exist, without rights in all of them."""
        return self.status == _FORBIDDEN

    @property
    def is_expired(self) -> bool:
        """The resourceVersion is too old to watch from: list again."""
        return self.status == _EXPIRED


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
    except (ApiException, HTTPError, OSError, ValueError) as error:
        # ValueError: what answers is no API server, and sends no JSON.
        raise KubeError(verb, error) from error


def _detail_of(cause: Exception, status: int) -> str:
    """What went wrong in one line, with what to do about it where the configuration may be wrong."""
    if isinstance(cause, HTTPError):
        # urllib3 puts the connection, with its address in memory, before the reason.
        why = " ".join(str(getattr(cause, "reason", None) or cause).split()).rpartition(": ")[2]
        server = client.Configuration.get_default_copy().host
        return f"the API server {server} does not answer ({why}): check KUBECONFIG"
    if isinstance(cause, ValueError):
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
        # Plain JSON by path. CoreV1Api would import 20 MB of models, and make one of each object that a watch reads.
        self._raw = _connect()
        # Connections of its own: a Lease does not wait for, or break with, any other call.
        self._lease_raw = _connect(_LEASE_CONNECTIONS)

    def get_cluster_id(self) -> str:
        """The uid of kube-system."""
        with _failing_to("read the uid of namespace kube-system, the default of --cluster-name"):
            return str(self._get("/api/v1/namespaces/kube-system")["metadata"]["uid"])

    def has_namespace(self, namespace: str) -> bool:
        """Whether a namespace exists; True where there is no right to read it."""
        with _failing_to(f"read namespace {namespace}"):
            try:
                self._get("/api/v1/namespaces/{namespace}", namespace=namespace)
            except ApiException as error:
                if error.status in (404, _FORBIDDEN):
                    return bool(error.status == _FORBIDDEN)
                raise
            return True

    def find_missing_namespaces(self) -> tuple[str, ...]:
        """Those of :attr:`namespaces` that do not exist. One that we may not read counts as existing."""
        return tuple(name for name in self.namespaces if name and not self.has_namespace(name))

    def get_crd(self) -> JsonObject:
        """The CustomResourceDefinition of S3 objects."""
        with _failing_to("read CustomResourceDefinition s3s.agill.apps"):
            return self._get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}")

    def find_object(self, namespace: str, name: str) -> S3Object | None:
        """The S3 object as it is now, as :func:`runner.kube.projection.keep_object` leaves it."""
        with _failing_to(f"read S3 object {namespace}/{name}"):
            try:
                return keep_object(self._get(_OBJECT_PATH, namespace=namespace, name=name))
            except ApiException as error:
                if error.status == 404:
                    return None
                raise

    def iterate_objects(self, namespace: str | None) -> Listing[S3Object]:
        """All S3 objects, as :func:`runner.kube.projection.keep_listed_object` leaves them."""
        return Listing(f"list S3 objects (CRD {PLURAL}.{GROUP})", keep_listed_object, self._lister(KIND, namespace))

    def list_objects(self, namespace: str | None) -> tuple[list[S3Object], str]:
        """As :meth:`iterate_objects`, all at once, and the resourceVersion to watch from."""
        listing = self.iterate_objects(namespace)
        return list(listing), listing.version

    def watch_objects(self, namespace: str | None, version: str) -> Iterator[WatchEvent[S3Object]]:
        """Changes of S3 objects since a resourceVersion, until the server ends the watch."""
        return _watch(S3Object, keep_listed_object, self._lister(KIND, namespace), version)

    def iterate_children(self, kind: str, namespace: str | None) -> Listing[Child]:
        """The Secrets or Services of S3 objects, as :func:`runner.kube.projection.keep_child` leaves them."""
        lister = partial(self._lister(kind, namespace), label_selector=_CHILD_SELECTOR)
        return Listing(f"list {kind}s", partial(keep_child, kind), lister)

    def watch_children(self, kind: str, namespace: str | None, version: str) -> Iterator[WatchEvent[Child]]:
        """Changes of Secrets or Services of S3 objects. One that is no S3 object's any more is DELETED."""
        lister = partial(self._lister(kind, namespace), label_selector=_CHILD_SELECTOR)
        return _watch(Child, partial(keep_child, kind), lister, version)

    def add_finalizer(self, s3: S3Object) -> S3Object:
        """Add the operator's finalizer; returns the object with it."""
        unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": s3.resource_version}
        return self._patch_finalizers(s3, [*s3.finalizers, FINALIZER], unchanged)

    def remove_finalizer(self, s3: S3Object) -> None:
        """Remove the operator's finalizer; others' stay.

        The object may have changed since it was read, but not its finalizers.

        :param s3: as it was read by name: a cache does not have others' finalizers
        :raises KubeError: ``is_conflict`` where it is another object, or has other finalizers
        """
        unchanged = {"op": "test", "path": "/metadata/finalizers", "value": list(s3.finalizers)}
        self._patch_finalizers(s3, [name for name in s3.finalizers if name != FINALIZER], unchanged)

    def write_status(self, s3: S3Object, status: JsonObject) -> JsonObject | None:
        """Set the status, on the status subresource. Returns it as it is stored; None when the object is not there.

        Another object of the name, which was created after a person had removed the finalizer, keeps its own status.
        """
        # A JSON patch, because the API server ignores metadata.uid in a merge patch of the status.
        patch = {"op": "add", "path": "/status", "value": without_null(status)}
        with _failing_to(f"write the status of {s3.namespace}/{s3.name}"):
            try:
                return dict(self._patch_same(f"{_OBJECT_PATH}/status", s3, patch).get("status") or {})
            except ApiException as error:
                if error.status == 404 or (error.status == _UNPROCESSABLE and not self._exists(s3)):
                    return None
                raise

    def write_conditions(self, s3: S3Object, conditions: list[JsonObject]) -> None:
        """Set the conditions of an object that is still as it was read, and nothing else of its status.

        :raises KubeError: ``is_conflict`` where it was changed since
        """
        body = {
            "metadata": {"resourceVersion": s3.resource_version},
            "status": {"conditions": conditions},
        }
        with _failing_to(f"write the conditions of {s3.namespace}/{s3.name}"):
            self._patch(f"{_OBJECT_PATH}/status", s3, body, _MERGE_PATCH)

    def write_event(self, s3: S3Object, event: Event) -> None:
        """Publish an Event about an S3 object."""
        with _failing_to("write an Event"):
            answer = self._raw.request(
                "POST",
                "/api/v1/namespaces/{namespace}/events",
                path_params={"namespace": s3.namespace},
                body=_event_body(s3, event),
                serialize=False,
                _request_timeout=_TIMEOUT_S,
            )
            # What is not read keeps its connection.
            _read(answer, _MAX_OBJECT)

    def find_lease(self, namespace: str, name: str, timeout_s: float) -> Lease | None:
        """A Lease; None when there is none."""
        with _failing_to(f"read Lease {namespace}/{name}"):
            try:
                return keep_lease(self._request_lease("GET", f"{_LEASES}/{{name}}", (namespace, name), timeout_s))
            except ApiException as error:
                if error.status == 404:
                    return None
                raise

    def list_leases(self, namespace: str | None) -> Iterable[Lease]:
        """The Leases of operators in a namespace, or in all.

        One by one: a tenant may write any number of them, each with a long scope.
        """
        place = f"/namespaces/{namespace}" if namespace else ""
        path = f"/apis/coordination.k8s.io/v1{place}/leases"
        lister = partial(self._raw.request, "GET", path, serialize=False, label_selector=LEASE_SELECTOR)
        return Listing("list Leases", keep_lease, lister)

    def write_lease(self, lease: Lease, old: Lease | None, timeout_s: float) -> Lease:
        """Take, renew or (with an empty holder) release a Lease that is still the one in ``old``.

        Returns it as it is stored.
        """
        method, path = ("PUT", f"{_LEASES}/{{name}}") if old else ("POST", _LEASES)
        body = lease_body(lease, old, datetime.now(UTC))
        with _failing_to(f"write Lease {lease.namespace}/{lease.name}"):
            return keep_lease(self._request_lease(method, path, (lease.namespace, lease.name), timeout_s, body))

    def find_config_map(self, namespace: str, name: str) -> tuple[dict[str, str], str] | None:
        """The data of a ConfigMap, and its version; None when there is none."""
        with _failing_to(f"read ConfigMap {namespace}/{name}"):
            try:
                found = self._get(f"{_CONFIG_MAPS}/{{name}}", namespace=namespace, name=name)
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
            return dict(found.get("data") or {}), str(found["metadata"]["resourceVersion"])

    def write_config_map(self, namespace: str, name: str, data: dict[str, str], version: str) -> None:
        """Write a ConfigMap that is still of this version; without a version, create it."""
        method, path = ("PUT", f"{_CONFIG_MAPS}/{{name}}") if version else ("POST", _CONFIG_MAPS)
        metadata = {"name": name, "namespace": namespace, **({"resourceVersion": version} if version else {})}
        with _failing_to(f"write ConfigMap {namespace}/{name}"):
            answer = self._raw.request(
                method,
                path,
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
                path_params={"namespace": namespace, "name": name},
                serialize=False,
                _request_timeout=_TIMEOUT_S,
            )
            _read(answer, _MAX_OBJECT)

    def _request_lease(
        self, method: str, path: str, key: Key, timeout_s: float, body: JsonObject | None = None
    ) -> JsonObject:
        names = {"namespace": key[0], "name": key[1]}
        answer = self._lease_raw.request(
            method, path, body, path_params=names, serialize=False, _request_timeout=timeout_s
        )
        return _parse(_read(answer, _MAX_OBJECT, timeout_s))

    def _get(self, path: str, **names: str) -> JsonObject:
        answer = self._raw.request("GET", path, path_params=names, serialize=False, _request_timeout=_TIMEOUT_S)
        return _parse(_read(answer, _MAX_OBJECT))

    def _patch(self, path: str, s3: S3Object, patch: object, content_type: str) -> JsonObject:
        names = {"namespace": s3.namespace, "name": s3.name}
        answer = self._raw.request(
            "PATCH",
            path,
            patch,
            path_params=names,
            content_type=content_type,
            serialize=False,
            _request_timeout=_TIMEOUT_S,
        )
        return _parse(_read(answer, _MAX_OBJECT))

    def _patch_same(self, path: str, s3: S3Object, *operations: JsonObject) -> JsonObject:
        """Make a JSON patch of this object. Another one of its name is a 422."""
        is_same = {"op": "test", "path": "/metadata/uid", "value": s3.uid}
        return self._patch(path, s3, [is_same, *operations], _JSON_PATCH)

    def _exists(self, s3: S3Object) -> bool:
        """Whether the object that has the name now is this one."""
        live = self.find_object(s3.namespace, s3.name)
        return live is not None and live.uid == s3.uid

    def _patch_finalizers(self, s3: S3Object, finalizers: list[str], unchanged: JsonObject) -> S3Object:
        patch = {"op": "add", "path": "/metadata/finalizers", "value": finalizers}
        with _failing_to(f"patch the finalizers of {s3.namespace}/{s3.name}"):
            return keep_object(self._patch_same(_OBJECT_PATH, s3, unchanged, patch))

    def _lister(self, kind: str, namespace: str | None) -> Callable[..., Answer]:
        base, plural = _PATHS[kind]
        path = f"{base}/namespaces/{{namespace}}/{plural}" if namespace else f"{base}/{plural}"
        return partial(self._raw.request, "GET", path, path_params={"namespace": namespace}, serialize=False)


class Listing(Generic[_Kept]):
    """The items of a list as they arrive, page by page. ``version``: after the last item, where a watch begins.

    An answer is many times what is kept of it, and is freed before the next page. Iterating raises KubeError; a list
    that takes so long that its next page has expired is a 410 like an old watch.

    :param keep: what is kept of an item; None for an item that is not
    """

    def __init__(self, verb: str, keep: Callable[[JsonObject], _Kept | None], lister: Callable[..., Answer]) -> None:
        self._verb = verb
        self._keep = keep
        self._lister = lister
        self.version = ""

    def __iter__(self) -> Iterator[_Kept]:
        limit, token = min(_PAGE, _FIRST_PAGE), None
        while True:
            with _failing_to(self._verb):
                kept, metadata, size = self._read_page(limit, token)
            if kept is None:
                limit = max(1, limit // 8)
                continue
            yield from kept
            token = metadata.get("continue")
            if not token:
                self.version = metadata["resourceVersion"]
                return
            if size < _MAX_PAGE // 4:
                limit = min(_PAGE, limit * 2)

    def _read_page(self, limit: int, token: str | None) -> tuple[list[_Kept] | None, JsonObject, int]:
        """What is kept of a page, its metadata and its bytes; None for a page that is too large."""
        if not _PAGES.acquire(timeout=_PAGES_WAIT_S):
            raise _AnswerError("other lists are not answered")
        try:
            answer = self._lister(limit=limit, _continue=token, _request_timeout=_TIMEOUT_S)
            text = _read(answer, _MAX_PAGE if limit > 1 else _MAX_OBJECT)
        except _TooLargeError:
            if limit == 1:
                raise
            return None, {}, 0
        finally:
            _PAGES.release()
        with _PARSING:
            page = parse_json(text)
            kept = [found for item in page["items"] if (found := self._keep(item)) is not None]
            return kept, page["metadata"], len(text)


class _AnswerError(OSError):
    """An answer is not read to its end. ``reason`` is for :class:`KubeError`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _TooLargeError(_AnswerError):
    """An answer has more bytes than are read of one."""


def _connect(connections: int | None = None) -> DynamicClient:
    settings = client.Configuration.get_default_copy()
    if connections:
        settings.connection_pool_maxsize = connections
    # By default urllib3 sends a GET or PUT that is not answered four times, each with the whole time-out.
    settings.retries = False
    # Of the dynamic client only its requests by path; what it would discover is known.
    return DynamicClient(client.ApiClient(settings), discoverer=lambda *_: None)


def _read(answer: Answer, most: int, timeout_s: float = sum(_TIMEOUT_S)) -> bytes:
    """An answer's bytes, at most ``most``, within ``timeout_s``: the client's time-out is that of one packet.

    :raises OSError: for an answer that is larger or slower
    """
    parts, size, deadline = [], 0, time.monotonic() + timeout_s
    try:
        # Not stream(), which waits for the whole of its size, however slowly it comes.
        while part := answer.read1(_CHUNK):
            size += len(part)
            if size > most:
                raise _TooLargeError(f"the answer has more than {most} bytes")
            if time.monotonic() > deadline:
                raise _AnswerError(f"the answer takes more than {timeout_s:g} s")
            parts.append(part)
    except BaseException:
        # What is not read to its end would be read by the next request.
        answer.close()
        raise
    return b"".join(parts)


def _parse(text: bytes) -> JsonObject:
    with _PARSING if len(text) > _SMALL else contextlib.nullcontext():
        return dict(parse_json(text))


def _watch(
    view: Callable[[JsonObject], _Object],
    keep: Callable[[JsonObject], _Object | None],
    lister: Callable[..., Answer],
    version: str,
) -> Iterator[WatchEvent[_Object]]:
    with _failing_to("watch"):
        answer = lister(
            watch=True,
            resource_version=version,
            timeout_seconds=_WATCH_S,
            allow_watch_bookmarks=True,
            _request_timeout=_WATCH_SILENCE_S,
        )
        try:
            for line in _lines(answer):
                yield _event(view, keep, line)
        finally:
            # A watch that is left in the middle is no connection for another request.
            answer.close()


def _lines(answer: Answer) -> Iterator[bytearray]:
    buffer = bytearray()
    while part := answer.read1(_CHUNK):
        at = len(buffer)
        buffer += part
        while (end := buffer.find(b"\n", at)) >= 0:
            line, buffer, at = buffer[:end], buffer[end + 1 :], 0
            if line.strip():
                yield line
        if len(buffer) > _MAX_OBJECT:
            raise _TooLargeError(f"an event has more than {_MAX_OBJECT} bytes")


def _event(
    view: Callable[[JsonObject], _Object], keep: Callable[[JsonObject], _Object | None], line: bytearray
) -> WatchEvent[_Object]:
    with _PARSING if len(line) > _SMALL else contextlib.nullcontext():
        event = parse_json(line)
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiException(status=item.get("code", 0), reason=item.get("reason", ""))
        kept = None if kind == "BOOKMARK" else keep(item)
        if kept is not None:
            return kind, kept
        return "BOOKMARK" if kind == "BOOKMARK" else "DELETED", view(reference_to(item))


def _event_body(s3: S3Object, event: Event) -> JsonObject:
    now = timestamp(datetime.now(UTC))
    return {
        "metadata": {"generateName": f"{s3.name}.", "namespace": s3.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": s3.namespace,
            "name": s3.name,
            "uid": s3.uid,
            "resourceVersion": s3.resource_version,
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
