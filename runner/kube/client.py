"""All that the loop says to Kubernetes. Nothing else imports the client library.

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
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from urllib3.exceptions import HTTPError

from runner.kube import config as kubeconfig
from runner.kube.events import Event
from runner.kube.projection import FINALIZER as FINALIZER
from runner.kube.projection import keep_child, keep_listed_object, keep_object, reference_to
from s3bucket.api import API_VERSION, GROUP, KIND, PLURAL, VERSION
from s3bucket.json_text import parse_json

_PATHS = {
    KIND: (f"/apis/{GROUP}/{VERSION}", PLURAL),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
}
_OBJECT_PATH = f"/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/{PLURAL}/{{name}}"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
# By this label, people and operators find the Leases of all operators; the annotation names what they watch.
_LEASE_LABEL, _LEASE_KIND, _LEASE_SCOPE = "agill.apps/lease", "operator", "agill.apps/watch-namespaces"
_MAX_TEXT, _MAX_SCOPE = 253, 64 * 1024
_CHILD_SELECTOR = "app.kubernetes.io/managed-by=s3-operator"
_TIMEOUT_S = (5, 30)
_WATCH_S = 240
# The server sends a bookmark about every minute: a watch that is silent for longer is half-open.
_WATCH_SILENCE_S = (5, 100)
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_GONE, _FORBIDDEN, _UNAUTHORIZED = 410, 403, 401
# That of client-go.
_PAGE = 500
# A page of more bytes is given up and asked for again with fewer items: 500 Secrets can have 700 MB.
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

Item = dict[str, Any]
WatchEvent = tuple[str, Item]


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
    def is_denied(self) -> bool:
        """The operator has no right to. So it is in a namespace that does not exist, without rights in all of them."""
        return self.status == _FORBIDDEN

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
        self._lease_raw = _connect()

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

    def get_crd(self) -> Item:
        """The CustomResourceDefinition of S3 objects."""
        with _failing_to("read CustomResourceDefinition s3s.agill.apps"):
            return self._get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}")

    def find_object(self, namespace: str, name: str) -> Item | None:
        """The S3 object as it is now, as :func:`runner.kube.projection.keep_object` leaves it."""
        with _failing_to(f"read S3 object {namespace}/{name}"):
            try:
                return keep_object(self._get(_OBJECT_PATH, namespace=namespace, name=name))
            except ApiException as error:
                if error.status == 404:
                    return None
                raise

    def iterate_objects(self, namespace: str | None) -> Listing:
        """All S3 objects, as :func:`runner.kube.projection.keep_listed_object` leaves them."""
        return Listing(f"list S3 objects (CRD {PLURAL}.{GROUP})", keep_listed_object, self._lister(KIND, namespace))

    def list_objects(self, namespace: str | None) -> tuple[list[Item], str]:
        """As :meth:`iterate_objects`, all at once, and the resourceVersion to watch from."""
        listing = self.iterate_objects(namespace)
        return list(listing), listing.version

    def watch_objects(self, namespace: str | None, version: str) -> Iterator[WatchEvent]:
        """Changes of S3 objects since a resourceVersion, until the server ends the watch."""
        return _watch(keep_listed_object, self._lister(KIND, namespace), version)

    def iterate_children(self, kind: str, namespace: str | None) -> Listing:
        """The Secrets or Services of S3 objects, as :func:`runner.kube.projection.keep_child` leaves them."""
        lister = partial(self._lister(kind, namespace), label_selector=_CHILD_SELECTOR)
        return Listing(f"list {kind}s", partial(keep_child, kind), lister)

    def watch_children(self, kind: str, namespace: str | None, version: str) -> Iterator[WatchEvent]:
        """Changes of Secrets or Services of S3 objects. One that is no S3 object's any more is DELETED."""
        lister = partial(self._lister(kind, namespace), label_selector=_CHILD_SELECTOR)
        return _watch(partial(keep_child, kind), lister, version)

    def add_finalizer(self, item: Item) -> Item:
        """Put our finalizer on; returns the object with it."""
        finalizers = item["metadata"].get("finalizers") or []
        return self._patch_finalizers(item, [*finalizers, FINALIZER])

    def remove_finalizer(self, item: Item) -> None:
        """Take our finalizer off; others' stay."""
        finalizers = item["metadata"].get("finalizers") or []
        self._patch_finalizers(item, [name for name in finalizers if name != FINALIZER])

    def write_status(self, item: Item, status: Item) -> Item | None:
        """Set the status, on the status subresource. Returns it as it is stored; None when the object is not there."""
        metadata = item["metadata"]
        # The uid keeps the status off a re-created object of this name.
        body = {"metadata": {"uid": metadata["uid"]}, "status": status}
        with _failing_to(f"write the status of {metadata['namespace']}/{metadata['name']}"):
            try:
                return dict(self._patch(f"{_OBJECT_PATH}/status", item, body, _MERGE_PATCH).get("status") or {})
            except ApiException as error:
                if error.status == 404:
                    return None
                raise

    def write_event(self, item: Item, event: Event) -> None:
        """Publish an Event about an S3 object."""
        metadata, now = item["metadata"], _timestamp(datetime.now(UTC))
        body = {
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": API_VERSION,
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
            _read(answer, _MAX_OBJECT)

    def find_lease(self, namespace: str, name: str, timeout_s: float) -> Item | None:
        """A Lease as plain data: ``holder``, ``renewed`` (datetime or None), ``duration_s``, ``scope``, ``version``."""
        with _failing_to(f"read Lease {namespace}/{name}"):
            try:
                return _keep_lease(self._ask_lease("GET", f"{_LEASES}/{{name}}", namespace, name, timeout_s))
            except ApiException as error:
                if error.status == 404:
                    return None
                raise

    def list_leases(self, namespace: str | None) -> Iterable[Item]:
        """The Leases of operators in a namespace, or in all, as :meth:`find_lease` has one.

        One by one: a tenant may write any number of them, each with a scope of :data:`_MAX_SCOPE` characters.
        """
        place = f"/namespaces/{namespace}" if namespace else ""
        path = f"/apis/coordination.k8s.io/v1{place}/leases"
        lister = partial(
            self._raw.request, "GET", path, serialize=False, label_selector=f"{_LEASE_LABEL}={_LEASE_KIND}"
        )
        return Listing("list Leases", _keep_lease, lister)

    def write_lease(self, namespace: str, name: str, spec: Item, old: Item | None, timeout_s: float) -> None:
        """Take, renew or (with an empty holder) release a Lease that is still as ``old`` says.

        :param spec: ``holder``, ``duration_s`` and ``scope``
        """
        is_taken_over = old is not None and old["holder"] != spec["holder"] and bool(spec["holder"])
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {_LEASE_LABEL: _LEASE_KIND},
                "annotations": {_LEASE_SCOPE: spec["scope"]},
                **({"resourceVersion": old["version"]} if old else {}),
            },
            "spec": {
                "holderIdentity": spec["holder"],
                "leaseDurationSeconds": spec["duration_s"],
                "renewTime": _timestamp(datetime.now(UTC)),
                "leaseTransitions": (old["transitions"] if old else 0) + is_taken_over,
            },
        }
        method, path = ("PUT", f"{_LEASES}/{{name}}") if old else ("POST", _LEASES)
        with _failing_to(f"write Lease {namespace}/{name}"):
            self._ask_lease(method, path, namespace, name, timeout_s, body)

    def _ask_lease(
        self, method: str, path: str, namespace: str, name: str, timeout_s: float, body: Item | None = None
    ) -> Item:
        names = {"namespace": namespace, "name": name}
        answer = self._lease_raw.request(
            method, path, body, path_params=names, serialize=False, _request_timeout=timeout_s
        )
        return _parse(_read(answer, _MAX_OBJECT, timeout_s))

    def _get(self, path: str, **names: str) -> Item:
        answer = self._raw.request("GET", path, path_params=names, serialize=False, _request_timeout=_TIMEOUT_S)
        return _parse(_read(answer, _MAX_OBJECT))

    def _patch(self, path: str, item: Item, patch: Any, content_type: str) -> Item:
        names = {name: item["metadata"][name] for name in ("namespace", "name")}
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

    def _patch_finalizers(self, item: Item, finalizers: list[str]) -> Item:
        metadata = item["metadata"]
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
            {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
        ]
        with _failing_to(f"patch the finalizers of {metadata['namespace']}/{metadata['name']}"):
            return keep_object(self._patch(_OBJECT_PATH, item, patch, _JSON_PATCH))

    def _lister(self, kind: str, namespace: str | None) -> Callable[..., Any]:
        base, plural = _PATHS[kind]
        path = f"{base}/namespaces/{{namespace}}/{plural}" if namespace else f"{base}/{plural}"
        return partial(self._raw.request, "GET", path, path_params={"namespace": namespace}, serialize=False)


class Listing:
    """The items of a list as they arrive, page by page. ``version``: after the last item, where a watch begins.

    An answer is many times what is kept of it, and is freed before the next page. Iterating raises KubeError; a list
    that takes so long that its next page is forgotten is a 410 like an old watch.

    :param keep: what is kept of an item; None for an item that is not
    """

    def __init__(self, verb: str, keep: Callable[[Item], Item | None], lister: Callable[..., Any]) -> None:
        self._verb = verb
        self._keep = keep
        self._lister = lister
        self.version = ""

    def __iter__(self) -> Iterator[Item]:
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

    def _read_page(self, limit: int, token: str | None) -> tuple[list[Item] | None, Item, int]:
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


def _connect() -> DynamicClient:
    settings = client.Configuration.get_default_copy()
    # By default urllib3 sends a GET or PUT that is not answered four times, each with the whole time-out.
    settings.retries = False
    # Of the dynamic client only its requests by path; what it would discover is known.
    return DynamicClient(client.ApiClient(settings), discoverer=lambda *_: None)


def _read(answer: Any, most: int, timeout_s: float = sum(_TIMEOUT_S)) -> bytes:
    """An answer's bytes, at most so many, within so many seconds: the client's time-out is that of one packet.

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


def _parse(text: bytes) -> Item:
    with _PARSING if len(text) > _SMALL else contextlib.nullcontext():
        return dict(parse_json(text))


def _watch(keep: Callable[[Item], Item | None], lister: Callable[..., Any], version: str) -> Iterator[WatchEvent]:
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
                yield _event(keep, line)
        finally:
            # A watch that is left in the middle is no connection for another request.
            answer.close()


def _lines(answer: Any) -> Iterator[bytearray]:
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


def _event(keep: Callable[[Item], Item | None], line: bytearray) -> WatchEvent:
    with _PARSING if len(line) > _SMALL else contextlib.nullcontext():
        event = parse_json(line)
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiException(status=item.get("code", 0), reason=item.get("reason", ""))
        kept = None if kind == "BOOKMARK" else keep(item)
        if kept is not None:
            return kind, kept
        return "BOOKMARK" if kind == "BOOKMARK" else "DELETED", reference_to(item)


def _keep_lease(lease: Item) -> Item:
    metadata, spec = lease["metadata"], lease.get("spec") or {}
    scope = (metadata.get("annotations") or {}).get(_LEASE_SCOPE, "")
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "holder": (spec.get("holderIdentity") or "")[:_MAX_TEXT],
        "renewed": _datetime(spec.get("renewTime")),
        "duration_s": spec.get("leaseDurationSeconds") or 0,
        "transitions": spec.get("leaseTransitions") or 0,
        # What is too long to be kept may be any namespaces.
        "scope": scope if len(scope) <= _MAX_SCOPE else "",
        "version": metadata["resourceVersion"],
    }


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _datetime(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
    except ValueError:
        # The API server stores the year 0, and more digits: one such Lease must not hide all others.
        return None
