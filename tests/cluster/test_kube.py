"""A watch is closed when its server stops sending, so a half-open connection is noticed. Lists are read in pages."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.rest import RESTClientObject

from runner.kube import client as kube
from runner.kube.client import Kube, KubeError
from runner.objects import FINALIZER, S3Object
from s3bucket.api import GROUP, PLURAL, VERSION
from tests.support.objects import secret_of
from tests.support.world import NewObject, World


class Stalling:
    """A server that answers with headers, and then sends ``drip`` repeatedly, or nothing, until the test ends."""

    def __init__(self) -> None:
        self.drip = b""
        self.requests = 0
        self.over = threading.Event()
        stalling = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stalling.requests += 1
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.flush()
                while not stalling.over.wait(0.05):
                    with contextlib.suppress(OSError):
                        self.wfile.write(stalling.drip)
                        self.wfile.flush()

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def connect(self) -> Kube:
        default = client.Configuration.get_default_copy()
        client.Configuration.set_default(client.Configuration(host=f"http://127.0.0.1:{self.server.server_port}"))
        try:
            return Kube()
        finally:
            client.Configuration.set_default(default)


@pytest.fixture
def stalling() -> Iterator[Stalling]:
    stalling = Stalling()
    thread = threading.Thread(target=stalling.server.serve_forever)
    thread.start()
    yield stalling
    stalling.over.set()
    stalling.server.shutdown()
    thread.join()
    stalling.server.server_close()


def test_finalizers_of_others_stay_when_the_own_one_is_removed(world: World, new_object: NewObject) -> None:
    cr = new_object()
    of = (GROUP, VERSION, cr["metadata"]["namespace"], PLURAL, cr["metadata"]["name"])

    def put(*finalizers: str) -> S3Object:
        world.custom.patch_namespaced_custom_object(*of, {"metadata": {"finalizers": list(finalizers)}})
        found = Kube().find_object(cr["metadata"]["namespace"], cr["metadata"]["name"])
        assert found is not None
        return found

    before = put(FINALIZER)
    now = put(FINALIZER, "example.com/keep")
    with pytest.raises(KubeError) as refused:
        Kube().remove_finalizer(before)
    assert refused.value.is_conflict
    # Any other change does not matter, such as that of the status.
    world.custom.patch_namespaced_custom_object(*of, {"metadata": {"labels": {"edited": "once"}}})
    Kube().remove_finalizer(now)
    assert world.custom.get_namespaced_custom_object(*of)["metadata"]["finalizers"] == ["example.com/keep"]
    put()


def test_finalizer_of_another_object_of_the_name_stays(world: World, new_object: NewObject) -> None:
    cr = new_object()
    of = (GROUP, VERSION, cr["metadata"]["namespace"], PLURAL, cr["metadata"]["name"])
    world.custom.patch_namespaced_custom_object(*of, {"metadata": {"finalizers": [FINALIZER]}})
    found = Kube().find_object(cr["metadata"]["namespace"], cr["metadata"]["name"])
    assert found is not None
    other = S3Object({**found.item, "metadata": {**found.metadata, "uid": "00000000-0000-0000-0000-000000000001"}})
    with pytest.raises(KubeError) as refused:
        Kube().remove_finalizer(other)
    assert refused.value.is_conflict
    Kube().remove_finalizer(found)


def test_status_of_an_object_stays_off_another_one_of_its_name(world: World, new_object: NewObject) -> None:
    """The first one was deleted during a run, with its finalizer removed by hand."""
    cr = new_object()
    namespace, name = cr["metadata"]["namespace"], cr["metadata"]["name"]
    first = Kube().find_object(namespace, name)
    assert first is not None
    ready = {"status": "Ready", "observedGeneration": 1, "appliedGeneration": 1, "bucketARN": "arn:aws:s3:::first"}
    assert Kube().write_status(first, {**ready, "secretName": None}) == ready
    world.custom.delete_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name)
    assert Kube().write_status(first, ready) is None
    again = world.make_object(namespace, name, {**cr["spec"], "driftPolicy": "Report"})
    assert Kube().write_status(first, ready) is None
    second = Kube().find_object(namespace, name)
    assert second is not None
    assert (second.uid, second.status) == (again["metadata"]["uid"], again["status"])


def test_status_that_the_crd_refuses_is_an_error(world: World, new_object: NewObject) -> None:
    cr = new_object()
    found = Kube().find_object(cr["metadata"]["namespace"], cr["metadata"]["name"])
    assert found is not None
    with pytest.raises(KubeError, match="422"):
        Kube().write_status(found, {"status": {"not": "a text"}})


def test_silent_watch_is_an_error(stalling: Stalling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "_WATCH_SILENCE_S", (1, 0.5))
    with pytest.raises(KubeError, match="failed to watch"):
        next(stalling.connect().watch_objects(None, "1"))
    assert stalling.requests == 1


@pytest.mark.parametrize("drip", [b"", b" "], ids=["silent", "a-byte-at-a-time"])
def test_call_about_a_lease_ends_in_its_time_and_is_sent_once(stalling: Stalling, drip: bytes) -> None:
    stalling.drip = drip
    with pytest.raises(KubeError, match="failed to read Lease"):
        stalling.connect().find_lease("team", "lease", 0.5)
    assert stalling.requests == 1


def test_read_that_is_not_answered_is_sent_once(stalling: Stalling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "_TIMEOUT_S", (1, 0.5))
    with pytest.raises(KubeError, match="failed to read S3 object"):
        stalling.connect().find_object("team", "photos")
    assert stalling.requests == 1


def test_page_that_is_too_large_is_asked_for_with_fewer_items(
    world: World, namespace: str, new_object: NewObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube, "_MAX_PAGE", 50_000)
    objects = [new_object() for _ in range(12)]
    for item in objects:
        # One of the objects is larger than a page.
        size = 60_000 if item is objects[5] else 8_000
        world.core.create_namespaced_secret(namespace, secret_of(item, {"large": "x" * size}))
    found = list(Kube((namespace,)).iterate_children("Secret", namespace))
    assert sorted(child.name for child in found) == sorted(f"{item['metadata']['name']}-iam-secret" for item in objects)
    assert all("xxx" not in str(child) for child in found)


def test_secret_that_loses_its_owner_is_deleted_for_the_watch(
    world: World, namespace: str, new_object: NewObject
) -> None:
    cr = new_object()
    api = Kube((namespace,))
    listing = api.iterate_children("Secret", namespace)
    assert list(listing) == []
    body = secret_of(cr, {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE"})
    name = body["metadata"]["name"]
    world.core.create_namespaced_secret(namespace, body)
    world.core.patch_namespaced_secret(name, namespace, {"metadata": {"ownerReferences": None}})
    events = api.watch_children("Secret", namespace, listing.version)
    seen = [(kind, child.name) for kind, child in itertools.islice(events, 2)]
    assert seen == [("ADDED", name), ("DELETED", name)]


def test_lists_come_in_pages_and_are_whole(
    world: World, namespace: str, new_object: NewObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube, "_PAGE", 2)
    pages: list[str] = []
    stock = RESTClientObject.request

    def request(self: Any, method: str, url: str, **more: Any) -> Any:
        pages.extend(re.findall(r"/(\w+)\?.*limit=2\b", url))
        return stock(self, method, url, **more)

    monkeypatch.setattr(RESTClientObject, "request", request)
    objects = [new_object() for _ in range(5)]
    for item in objects:
        world.core.create_namespaced_secret(namespace, secret_of(item, {}))
    api = Kube((namespace,))
    wanted = [item["metadata"]["name"] for item in objects]
    secrets = api.iterate_children("Secret", namespace)
    for listing, suffix in ((api.iterate_objects(namespace), ""), (secrets, "-iam-secret")):
        assert sorted(found.name for found in listing) == sorted(f"{name}{suffix}" for name in wanted)
        assert int(listing.version) > 0
    assert pages == ["s3s"] * 3 + ["secrets"] * 3
    everywhere = {s3.name for s3 in api.list_objects(None)[0]}
    assert everywhere >= set(wanted)


def test_lease_with_a_time_that_no_datetime_has_hides_no_other(world: World, namespace: str) -> None:
    """Otherwise a user who may write Leases in one namespace could keep overlapping operators from being reported."""
    times = {"year-0": "0000-01-01T00:00:00.000000Z", "year-10000": "9999-12-31T23:59:59.000000-10:00", "never": None}
    label = {"agill.apps/lease": "operator"}
    for name, time in {**times, "true": "2026-01-01T00:00:00.000000Z"}.items():
        spec = {"holderIdentity": name, "leaseDurationSeconds": 15, "renewTime": time}
        body = {"metadata": {"name": name, "labels": label}, "spec": spec}
        world.custom.create_namespaced_custom_object("coordination.k8s.io", "v1", namespace, "leases", body)
    found = {lease.holder: lease.renewed for lease in Kube((namespace,)).list_leases(namespace)}
    # Playbooks of other tests refuse to run next to a Lease like these.
    world.custom.delete_collection_namespaced_custom_object("coordination.k8s.io", "v1", namespace, "leases")
    assert found.pop("true").year == 2026
    assert found == dict.fromkeys(times)
