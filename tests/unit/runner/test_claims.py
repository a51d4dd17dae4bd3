"""When two objects ask for the same bucket name, the one that ran first keeps it, whatever a status contains."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zlib import crc32

import pytest

from runner.control.claims import CONSISTENCY_S, Claims
from runner.control.decide import NameClaims
from runner.control.shared_claims import CONFIG_MAPS, SharedRecords
from runner.kube.cache import Cache
from runner.kube.client import KubeError
from runner.objects import FINALIZER, S3Object
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.fakes import READY, FakeConfigMaps, FakeKube, FakeParts, kube_error

RUN_LIMIT_S = 15_000.0
FAILED = Outcome(False, Reason.AWS_ERROR, retry=Retry.TRANSIENT)
REFUSED = Outcome(False, Reason.CONFLICT, retry=Retry.PERMANENT, is_untouched=True)


def item(name: str, *, bucket: str = "photos", has_bucket: bool = False, **metadata: Any) -> S3Object:
    return S3Object(
        {
            "metadata": {
                "namespace": "team",
                "name": name,
                "uid": f"uid-{name}",
                "finalizers": [FINALIZER],
                **metadata,
            },
            "spec": {"bucketName": bucket},
            "status": {"bucketARN": f"arn:aws:s3:::{bucket}"} if has_bucket else {},
        }
    )


@pytest.fixture(autouse=True, params=["one-replica", "shards"])
def _records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds for claims in memory and for those that replicas share."""
    monkeypatch.setattr(World, "is_sharded", request.param == "shards")


class World:
    """Objects in a cache, a Reconciler without a drift check, and a clock that the test sets."""

    def __init__(self, *others: S3Object) -> None:
        self.now = 0.0
        self.outcome = READY
        self.during: Callable[[], Any] = lambda: None
        self._cache = Cache(S3Object.from_item)
        for other in others:
            self.store(other)
        self.maps = FakeConfigMaps()
        self.claims = self.make_claims()

    is_sharded = False

    def make_claims(self) -> Claims:
        """The claims as one more replica sees them."""

        def find(bucket: str) -> list[S3Object]:
            return self._cache.find_all("bucketName", bucket)

        if not self.is_sharded:
            return Claims(find, lambda: self.now)
        return Claims(find, records=SharedRecords(self.maps, "ns", "rel", lambda: self.now), run_limit_s=RUN_LIMIT_S)

    def store(self, one: S3Object) -> None:
        self._cache.put(one)

    def run(self, one: S3Object, outcome: Outcome = READY, *, write_error: KubeError | None = None) -> Outcome | None:
        """Reconcile an object. Returns the outcome of the role's run, or what was published instead."""
        self.outcome = outcome
        role, kube = _Role(self), FakeKube(one.item)
        if write_error:
            kube.errors["write_status"] = write_error
        reconciler = FakeParts(drift_check=False, claims=self.claims).make_reconciler(kube, role)
        published = reconciler.reconcile_object(one.key)
        return role.outcome or published


class _Role:
    def __init__(self, world: World) -> None:
        self._world = world
        self.outcome: Outcome | None = None

    def run(self, _: S3Object) -> Outcome:
        world = self._world
        outcome, during, world.during = world.outcome, world.during, lambda: None
        during()
        self.outcome = outcome
        return outcome


def reason_of(outcome: Outcome | None) -> Reason:
    assert outcome is not None
    return outcome.reason


def test_new_object_waits_for_the_one_that_has_the_bucket() -> None:
    outcome = World(item("second"), item("first", has_bucket=True), item("third")).run(item("second"))
    assert outcome is not None
    assert (outcome.is_done, outcome.reason, outcome.retry) == (False, Reason.CONFLICT, Retry.PERMANENT)
    assert "team/first" in outcome.message


@pytest.mark.parametrize(
    ("new", "other"),
    [
        pytest.param(item("second"), item("first"), id="neither-has-it"),
        pytest.param(item("second", has_bucket=True), item("first", has_bucket=True), id="has-it-too"),
        pytest.param(item("second"), item("first", bucket="photos-2", has_bucket=True), id="another-bucket"),
        pytest.param(item("second", deletionTimestamp="now"), item("first", has_bucket=True), id="deleted"),
        pytest.param(item("first"), item("first", has_bucket=True), id="itself"),
    ],
)
def test_role_runs_for_an_object(new: S3Object, other: S3Object) -> None:
    assert World(other).run(new) is READY


def test_object_without_a_spec_is_left_to_the_role() -> None:
    assert World(item("first", has_bucket=True)).run(S3Object({"metadata": {"name": "a", "uid": "a"}})) is READY


@pytest.mark.parametrize("outcome", [READY, FAILED], ids=["done", "failed"])
def test_name_is_kept_while_iam_may_not_show_what_a_run_made(outcome: Outcome) -> None:
    """The status of the first object is empty: it was cleared, or never written."""
    world = World(item("first"), item("second"))
    world.run(item("first"), outcome)
    world.now = CONSISTENCY_S - 1
    refused = world.run(item("second"))
    assert refused is not None
    assert (refused.reason, refused.retry) == (Reason.PENDING, Retry.TRANSIENT)
    assert "team/first" in refused.message
    assert world.run(item("first")) is READY, "the first itself goes on"
    world.now += CONSISTENCY_S
    assert world.run(item("second")) is READY, "from now on IAM shows it, and the role reads that"


def test_name_is_kept_while_a_run_is_under_way_however_long() -> None:
    world, refused = World(), []

    def ask() -> None:
        world.now += 100 * CONSISTENCY_S
        refused.append(reason_of(world.run(item("second"))))

    world.during = ask
    world.run(item("first"))
    assert refused == [Reason.PENDING]


def test_forged_status_takes_no_name_from_an_object_that_ran() -> None:
    world = World(item("first"))
    world.run(item("first"), FAILED)
    world.store(item("forger", has_bucket=True))
    assert reason_of(world.run(item("forger", has_bucket=True))) is Reason.PENDING
    assert world.run(item("first")) is READY


def test_deleted_object_gives_its_name_up_only_when_all_is_deleted() -> None:
    world = World()
    world.run(item("first"))
    world.run(item("first", deletionTimestamp="now"), FAILED)
    assert reason_of(world.run(item("second"))) is Reason.PENDING
    world.run(item("first", deletionTimestamp="now"))
    assert world.run(item("second")) is READY


DELETED = Outcome(True, Reason.READY, changed=("bucket", "user"))
USER = {"iamUser": {"username": "photos"}}
ROLE = {"iamRole": {"name": "photos", "serviceAccounts": ["web"]}}


def of(
    namespace: str, name: str, *, has_bucket: bool = False, access: dict[str, Any] = USER, **metadata: Any
) -> S3Object:
    found = item(name, has_bucket=has_bucket, namespace=namespace, **metadata)
    return S3Object({**found.item, "spec": {**found.spec, **access}})


@pytest.mark.parametrize("access", [USER, ROLE], ids=["user", "role"])
@pytest.mark.parametrize("has_run", [True, False], ids=["created-just-now", "ready-for-long"])
def test_name_is_kept_from_other_namespaces_while_aws_may_accept_the_deleted_key(
    has_run: bool, access: dict[str, Any]
) -> None:
    """A user with a copy of the key could give the next bucket with this name rules that delete or copy its data.

    So could a Pod with the credentials of the role.
    """
    world = World()
    if has_run:
        world.run(of("team", "first", access=access))
    world.run(of("team", "first", access=access, deletionTimestamp="now"), DELETED)
    world.now = CONSISTENCY_S - 1
    refused = world.run(of("others", "second"))
    assert refused is not None
    assert (refused.reason, refused.retry) == (Reason.PENDING, Retry.TRANSIENT)
    assert "team/first" in refused.message
    assert "credentials" in refused.message
    world.now = CONSISTENCY_S
    assert world.run(of("others", "second")) is READY


def test_name_of_a_deleted_object_is_its_namespaces_at_once() -> None:
    world = World()
    world.run(of("team", "first", deletionTimestamp="now"), DELETED)
    assert world.run(of("team", "first-again")) is READY
    assert reason_of(world.run(of("others", "second"))) is Reason.PENDING, "it is the new one's now"


def test_name_passes_to_the_object_that_was_created_again_once_no_run_of_the_first_is_under_way() -> None:
    """The finalizer of the first object was removed by hand, so it was not deleted in good order."""
    world = World()
    again, seen = item("first", uid="uid-again"), []
    world.during = lambda: seen.append(world.run(again))
    world.run(item("first"), FAILED)
    assert reason_of(seen[0]) is Reason.PENDING, "the first one's run may still write"
    assert reason_of(world.run(item("second"))) is Reason.PENDING
    assert reason_of(world.run(item("first", namespace="others", uid="uid-others"))) is Reason.PENDING
    assert world.run(again) is READY
    assert reason_of(world.run(item("second"))) is Reason.PENDING, "it is the new one's now"


def test_run_that_begins_before_the_name_passes_on_is_seen() -> None:
    world = World()
    again = item("first", uid="uid-again")
    world.run(item("first"), FAILED)
    found = world.claims.find(again)
    assert world.claims.acquire(item("first"), world.claims.find(item("first")))
    assert not world.claims.acquire(again, found)


def test_deletion_of_an_object_that_had_no_key_keeps_no_name() -> None:
    world = World(of("others", "second", has_bucket=True))
    # The deleted object only asked for a name that another one has. Otherwise it could be created and deleted
    # repeatedly to block the name.
    world.run(of("team", "first", deletionTimestamp="now"), Outcome(True, Reason.READY))
    assert world.run(of("others", "second")) is READY
    world = World()
    world.run(item("first", deletionTimestamp="now"), DELETED)
    assert world.run(item("second", namespace="others")) is READY


def test_run_that_wrote_nothing_keeps_no_name() -> None:
    world = World()
    world.run(item("first"), REFUSED)
    assert world.run(item("second")) is READY


def test_run_that_wrote_nothing_leaves_what_an_earlier_run_keeps() -> None:
    world = World()
    world.run(item("first"), FAILED)
    world.now = CONSISTENCY_S / 2
    world.run(item("first"), REFUSED)
    assert reason_of(world.run(item("second"))) is Reason.PENDING
    world.now = CONSISTENCY_S
    assert world.run(item("second")) is READY


def test_run_that_raises_keeps_the_name() -> None:
    world = World()

    def fail() -> None:
        raise OSError("no space left")

    world.during = fail
    with pytest.raises(OSError, match="space"):
        world.run(item("first"))
    assert reason_of(world.run(item("second"))) is Reason.PENDING


def test_claim_that_changes_before_the_run_is_decided_on_again() -> None:
    """Two workers found no claim. The second one must not run, and may publish only the claim of the first one."""
    world = World()
    first, second = item("first"), item("second")
    found = world.claims.find(second)
    assert world.claims.acquire(first, world.claims.find(first))
    assert not world.claims.acquire(second, found)
    assert reason_of(world.run(second)) is Reason.PENDING


def test_run_that_was_not_announced_keeps_no_name() -> None:
    world = World()
    with pytest.raises(KubeError):
        world.run(item("first"), write_error=kube_error(500))
    assert world.run(item("second")) is READY


class TestReplicas:
    """Two replicas, each with one of two objects that name one bucket."""

    @pytest.fixture(autouse=True)
    def _make(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(World, "is_sharded", True)
        self.world = World(item("first"), item("second"))
        self.first, self.second = self.world.make_claims(), self.world.make_claims()

    def test_claim_of_the_one_is_read_by_the_other(self) -> None:
        assert self.first.acquire(item("first"), self.first.find(item("first")))
        found = self.second.find(item("second"))
        assert found.claim is not None
        assert found.claim.uid == "uid-first"

    def test_of_two_that_claim_at_once_one_gets_the_name(self) -> None:
        found = self.first.find(item("first")), self.second.find(item("second"))
        answers: list[bool] = []
        # Between the read and the write of the first one.
        self.world.maps.before_write = lambda: answers.append(self.second.acquire(item("second"), found[1]))
        assert not self.first.acquire(item("first"), found[0])
        assert answers == [True]

    def test_runs_of_one_replica_do_not_fail_by_each_other(self) -> None:
        """Names with one ConfigMap, as a tenant may choose them: each write would find another version than it read."""
        names = [name for number in range(200) if crc32((name := f"bucket-{number}").encode()) % CONFIG_MAPS == 0][:10]
        objects = [item("first", bucket=name) for name in names]
        read, find = threading.Barrier(len(objects)), self.world.maps.find_config_map
        write, refused = self.world.maps.write_config_map, []

        def find_together(namespace: str, name: str) -> tuple[dict[str, str], str] | None:
            found = find(namespace, name)
            # As many as may read before one writes.
            with contextlib.suppress(threading.BrokenBarrierError):
                read.wait(0.2)
            return found

        def write_and_count(*arguments: Any) -> None:
            try:
                write(*arguments)
            except KubeError:
                refused.append(arguments)
                raise

        self.world.maps.find_config_map = find_together  # type: ignore[method-assign]
        self.world.maps.write_config_map = write_and_count  # type: ignore[method-assign]
        with ThreadPoolExecutor(len(objects)) as pool:
            done = list(pool.map(lambda one: self.first.acquire(one, NameClaims()), objects))
        assert done == [True] * len(objects)
        assert refused == []
        self.world.maps.find_config_map = find  # type: ignore[method-assign]
        assert all(self.second.find(one).claim for one in objects)

    def test_claim_of_a_replica_that_is_killed_in_a_run_expires(self) -> None:
        self.first.acquire(item("first"), self.first.find(item("first")))
        self.world.now = RUN_LIMIT_S - 1
        assert self.second.find(item("second")).claim is not None
        # Whoever takes the object over goes on with its claim.
        assert self.second.acquire(item("first"), self.second.find(item("first")))
        self.world.now += RUN_LIMIT_S
        assert self.second.find(item("second")).claim is None

    def test_expired_claims_are_removed_and_unchanged_ones_not_written(self) -> None:
        names = [f"bucket-{number}" for number in range(100)]
        for name in names:
            one = item("first", bucket=name)
            self.first.acquire(one, self.first.find(one))
            self.first.end_run(one, READY)
        assert len(self.world.maps.stored) == CONFIG_MAPS
        size = sum(len(data["claims"]) for data, _ in self.world.maps.stored.values())
        self.world.now = CONSISTENCY_S + 1
        for name in names[:50]:
            one = item("first", bucket=name)
            self.first.acquire(one, self.first.find(one))
            self.first.end_run(one, REFUSED)
        assert sum(len(data["claims"]) for data, _ in self.world.maps.stored.values()) < size / 2
        before = {name: version for name, (_, version) in self.world.maps.stored.items()}
        self.first.end_run(item("second", bucket=names[0]), READY)
        assert {name: version for name, (_, version) in self.world.maps.stored.items()} == before

    def test_no_run_begins_when_the_claims_cannot_be_read_or_written(self) -> None:
        self.world.maps.error = kube_error(500)
        with pytest.raises(KubeError):
            self.world.run(item("first"))

    def test_outcome_is_published_although_the_claim_cannot_be_ended(self) -> None:
        def fail() -> None:
            self.world.maps.error = kube_error(500)

        self.world.during = fail
        assert self.world.run(item("first")) is READY

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{",
            '{"a": [1]}',
            '{"a": ["u", "n", "x", false, "soon", false, null]}',
            "[" * 100_000,
            '{"a": ["u", "n", "x", false, 1' + 400 * "0" + ", false, null]}",
        ],
        ids=range(7),
    )
    def test_config_map_that_a_person_has_edited_does_not_stop_anything(self, text: str) -> None:
        self.first.acquire(item("first"), self.first.find(item("first")))
        name = next(iter(self.world.maps.stored))
        self.world.maps.stored[name] = {"claims": text}, "7"
        assert self.world.run(item("second")) is READY
