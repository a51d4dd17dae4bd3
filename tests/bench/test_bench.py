"""What can be wrong with a benchmark unseen: what it counts, what it takes for in order, what it writes."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench import BenchError
from bench.accounting import CgroupTree, ProcTree, Tree, make_tree, pss_mb
from bench.alone import measure_alone
from bench.calls import KubernetesCalls, without_watches
from bench.events import Repair, measure_repair, times_of
from bench.events import figures as events_figures
from bench.events import message as events_message
from bench.fair import times_while
from bench.goals import goal_rows
from bench.memory import first_minute_of_slope, memory_rows
from bench.meter import Cost
from bench.objects import make
from bench.peers import ack
from bench.place import OBJECT, OPERATOR, Place
from bench.process import OperatorProcess
from bench.rows import Results, Row, rows_of, table
from bench.settings import GROUPS, settings_of
from bench.steady import Stretch, measure_drift, measure_restart
from dev.aws import Aws
from dev.controlplane import ControlPlane
from runner.control.status import status_of
from runner.drift.cloudtrail import Change, Kind, Name, change_in
from runner.objects import S3Object
from s3bucket.api import PLURAL
from s3bucket.observe import observe, outcome_status
from s3bucket.outcome import Outcome, Reason
from tests.support.cloudtrail import ACCOUNT
from tests.support.world import World

Names = Callable[[str], str]

# The child leaves a grandchild, which burns CPU when its parent is gone already.
_ORPHAN = """
import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        while time.process_time() < {burn_s}:
            pass
    os._exit(0)
"""
_SUBREAPER = "from runner.execution.processes import become_subreaper; become_subreaper()\n"
_REAP = """
try:
    while True:
        os.wait()
except ChildProcessError:
    print("done", flush=True)
sys.stdin.read()
"""
_BURN_S = 0.5


@contextmanager
def started(tree: Tree, script: str) -> Iterator[subprocess.Popen[str]]:
    """A Python script in an account; ends when its input does."""
    words = tree.command([sys.executable, "-c", script])
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        tree.follow(process.pid)
        yield process


@pytest.fixture(scope="module")
def place(
    control_plane: ControlPlane, aws: Aws, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    yield Place(control_plane, aws, tmp_path_factory.mktemp("bench"))
    kind = ("rbac.authorization.k8s.io", "v1", "clusterrolebindings")
    world.custom.delete_cluster_custom_object(*kind, OPERATOR)


@pytest.fixture
def cgroup() -> CgroupTree:
    tree = make_tree()
    if not isinstance(tree, CgroupTree):
        pytest.skip("no cgroup can be made here: the bench adds /proc up, which another test is about")
    return tree


def test_cpu_of_orphan_that_another_reaped_is_counted_by_cgroup(cgroup: CgroupTree) -> None:
    with started(cgroup, _ORPHAN.format(burn_s=_BURN_S)) as process:
        # The grandchild has the output too: its end is the end of both.
        process.communicate()
    assert cgroup.cpu_s() > _BURN_S
    cgroup.close()


def test_figures_of_a_day_follow_from_the_checks_and_from_what_is_read_for_all() -> None:
    # 100 objects, each checked once in two sync periods: 5 requests of S3, one of IAM, and in each period one for all.
    calls = Counter({"GetBucketAcl": 500, "GetUser": 100, "GetResources": 2, "ReceiveMessage": 30})
    found = {name: value for name, value, _ in events_figures(calls, 100, 2, 100)}
    assert found["requests_a_day_without_queue"] == pytest.approx(288 * 6 + 288 / 100)
    assert found["requests_a_day"] == pytest.approx(24 * 6 + 288 / 100 + 4320 / 100)
    s3 = 30 * 10_000 * 5 * 0.0004 / 1000
    assert found["dollars_a_month_without_queue"] == pytest.approx(288 * s3)
    assert found["dollars_a_month"] == pytest.approx(24 * s3 + 30 * 4320 * 0.4 / 1e6)


def test_message_of_the_bench_is_a_change_of_the_bucket() -> None:
    found = change_in(events_message("photos", ACCOUNT, "eu-central-1"), ACCOUNT)
    assert isinstance(found, Change)
    assert (found.names, found.region) == ({Name.of(Kind.BUCKET, "photos")}, "eu-central-1")
    assert found.principal.endswith("user/somebody")


class Receiver:
    """An operator and its bucket: repaired at the second question. The message has one result."""

    def __init__(self, result: str, runs: int = 1) -> None:
        self._result = result
        self._runs = runs
        self._asked = 0

    def put_bucket_versioning(self, **_: Any) -> None:
        """A change by others."""

    def get_bucket_versioning(self, **_: Any) -> dict[str, str]:
        self._asked += 1
        return {"Status": "Enabled" if self._asked == 1 else "Suspended"}

    def events(self) -> Counter[str]:
        return Counter({"malformed": 1}) + Counter({self._result: 1} if self._asked else {})

    def runs(self) -> int:
        return 5 + (self._runs if self._asked else 0)

    def runs_s(self) -> float:
        return 4.0 + (0.25 if self._asked else 0)


@pytest.mark.parametrize(("result", "runs"), [("malformed", 1), ("coalesced", 1), ("check", 2)])
def test_repair_that_its_message_did_not_lead_to_is_no_measurement(result: str, runs: int) -> None:
    """A message that was malformed gave a row all the same: the next periodic check of the object."""
    receiver = Receiver(result, runs)
    with pytest.raises(BenchError, match="the message about photos"):
        measure_repair(receiver, receiver, lambda _: None, "photos")


def test_repair_is_measured_with_its_run() -> None:
    receiver = Receiver("check")
    sent: list[str] = []
    repair = measure_repair(receiver, receiver, sent.append, "photos")
    assert (sent, repair.run_s) == (["photos"], 0.25)


def test_times_of_repairs_are_with_and_without_the_run() -> None:
    repairs = [Repair(0.5, 0.25), Repair(2.5, 0.5), Repair(0.75, 0.25)]
    assert times_of(repairs) == [
        ("repaired_median", 0.75),
        ("repaired_most", 2.5),
        ("repaired_after_run_median", 0.5),
        ("repaired_after_run_most", 2.0),
    ]


def test_what_is_left_in_a_cgroup_ends_with_it(cgroup: CgroupTree) -> None:
    with started(cgroup, "import sys; print('up', flush=True); sys.stdin.read()") as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == "up"
        cgroup.close()
        assert process.wait() == -signal.SIGKILL
    assert not cgroup.folder.exists()


def test_cpu_of_reaped_orphan_is_counted_by_proc_of_a_subreaper() -> None:
    tree = ProcTree()
    with started(tree, _SUBREAPER + _ORPHAN.format(burn_s=_BURN_S) + _REAP) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        assert tree.cpu_s() > _BURN_S
        process.communicate()


def test_memory_that_a_fork_shares_is_counted_once() -> None:
    tree = make_tree()
    mb = 80
    script = f"import os, sys\nheld = b'x' * {mb}_000_000\nos.fork()\nos.write(1, b'up\\n')\nsys.stdin.read()"
    with started(tree, script) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
        assert len(tree.pids()) == 2
        assert mb < pss_mb(tree.pids()) < 1.8 * mb
        process.communicate()
    tree.close()


def test_kubernetes_calls_are_those_of_the_user_once_each(tmp_path: Path) -> None:
    def line(user: str, verb: str, resource: str) -> str:
        about = {"resource": resource, "name": "bench"}
        return json.dumps({"user": {"username": user}, "verb": verb, "objectRef": about}) + "\n"

    log = tmp_path / "audit.log"
    log.write_text(line("bench", "get", "s3s") + line("other", "get", "s3s") + line("bench", "get", "s3s")[:20])
    calls = KubernetesCalls(log, "bench")
    assert calls.count() == {"get s3s": 1}

    log.write_text(log.read_text() + line("bench", "get", "s3s")[20:] + line("bench", "watch", "secrets"))
    assert calls.count() == {"get s3s": 2, "watch secrets": 1}
    assert without_watches(calls.count()) == 2

    log.write_text("")
    with pytest.raises(BenchError, match="rotated"):
        calls.count()


def test_aws_calls_are_those_of_the_key_also_when_no_request_is_kept(place: Place, aws: Aws) -> None:
    calls = place.aws_calls()
    before = calls.count()
    aws.gate.keep_requests(False)
    try:
        aws.gate.clear_requests()
        key = place.folder / "credentials"
        key_id, secret = (line.partition(" = ")[2] for line in key.read_text().splitlines()[1:])
        client = aws.client("sts", aws_access_key_id=key_id, aws_secret_access_key=secret)
        for asked in (client, client, aws.client("sts")):
            asked.get_caller_identity()
        assert aws.gate.requests() == []
        aws.gate.clear_requests()
        assert calls.count() - before == {"GetCallerIdentity": 2}
    finally:
        aws.gate.keep_requests(True)


def test_throttled_action_lets_so_many_requests_a_second_through(aws: Aws) -> None:
    iam = aws.client("iam", config=Config(retries={"max_attempts": 0}))

    def is_refused() -> bool:
        try:
            iam.list_users(MaxItems=1)
        except ClientError as error:
            if error.response["Error"]["Code"] != "Throttling":
                raise
            return True
        return False

    # The next one passes in an hour.
    aws.gate.add_fault("ListUsers", "Throttling", spares_per_s=1 / 3600)
    try:
        assert [is_refused() for _ in range(3)] == [False, True, True]
        aws.gate.clear_faults()
        # As fast as they come.
        aws.gate.add_fault("ListUsers", "Throttling", spares_per_s=10**6)
        assert not any(is_refused() for _ in range(3))
    finally:
        aws.gate.clear_faults()


def test_ready_made_objects_are_in_order_as_the_role_and_the_operator_see_it(
    place: Place, world: World, new_name: Names
) -> None:
    namespace = new_name("bench")
    place.make_namespace(namespace)
    (made,) = make(place, namespace, [new_name("made")])

    seen = observe(made.wanted, world.sources())
    assert (seen.differs, seen.notes) == ([], [])

    name = made.item["metadata"]["name"]
    item = world.custom.get_namespaced_custom_object(*OBJECT, namespace, PLURAL, name)
    outcome = Outcome(True, Reason.READY, status=outcome_status(made.wanted, seen))
    assert status_of(S3Object(item), outcome, "now") is None, "the operator would write another status"


def test_sync_rows_count_what_was_checked_and_repaired(place: Place, aws: Aws, tmp_path: Path, new_name: Names) -> None:
    namespace = new_name("bench")
    place.make_namespace(namespace)
    names = [new_name("synced") for _ in range(4)]
    make(place, namespace, names)
    operator = OperatorProcess(place, tmp_path / "operator", "warm", 2, only=namespace)
    try:
        restart = {row.metric: row.value for row in measure_restart(operator, len(names), 6)}
        drift = {row.metric: row.value for row in measure_drift(operator, 4, 6, names[:1], aws.client("s3"))}
    finally:
        operator.stop()
    assert restart["checks"] >= len(names)
    assert restart["cpu"] > 0
    assert restart["peak_pss"] > 0
    # Nine or ten for each check, what is asked once, and what checks asked that were not over yet.
    assert 6 < restart["aws_calls_each"] < 25
    assert drift["checks"] > len(names) / 2
    assert drift["kubernetes_calls"] > 0
    assert aws.client("s3").get_bucket_versioning(Bucket=names[0])["Status"] == "Suspended"


@pytest.mark.parametrize(
    ("checks", "runs"),
    [
        pytest.param({"in_sync": 99, "differs": 1}, 1, id="one differs"),
        pytest.param({"in_sync": 99, "failed": 1}, 0, id="one fails"),
        pytest.param({"in_sync": 100}, 1, id="a run that nothing asked for"),
        pytest.param({"in_sync": 80}, 0, id="the sync does not keep up"),
    ],
)
def test_stretch_of_something_else_is_no_row(checks: dict[str, int], runs: int) -> None:
    with pytest.raises(BenchError):
        Stretch(checks=Counter(checks), runs=runs).expect(100)


@pytest.mark.parametrize("growth_mb_min", [0, 2])
def test_memory_slope_begins_in_the_third_sync_period_and_leaves_out_runs(growth_mb_min: float) -> None:
    samples = [(second / 60, 200 + growth_mb_min * (second // 60)) for second in range(630)]
    # The two lists of users fill up until minute 4; a run's processes are there for most of a minute.
    samples = [(at, mb - 50 / (1 + int(at)) if at < 4 else mb) for at, mb in samples]
    samples = [(at, mb + 60 if int(at) in (5, 6) and at % 1 > 0.2 else mb) for at, mb in samples]
    assert first_minute_of_slope(120) == 4
    found = {row.metric: row.value for row in memory_rows(samples, "warm", 1000, 10, 4)}
    assert found["pss_slope"] == pytest.approx(growth_mb_min)
    assert found["pss_10_min"] == 200 + 9 * growth_mb_min
    assert "pss_15_min" not in found


def test_memory_of_a_short_run_has_no_slope_and_no_goal(tmp_path: Path) -> None:
    results = Results(tmp_path, {})
    results.add(memory_rows([(second / 60, 200.0) for second in range(630)], "warm", 1000, 10, None))
    assert [row.metric for row in results.rows] == ["pss_1_min", "pss_2_min", "pss_5_min", "pss_10_min"]
    assert list(goal_rows(results)) == []


def test_check_alone_finds_what_the_stub_has_in_order(tmp_path: Path) -> None:
    found = {row.metric: row.value for row in measure_alone(tmp_path, 30, 10)}
    # One read of all users, and of the account, over ten checks.
    assert 6 <= found["aws_calls_each"] <= 8
    assert 0 < found["cpu_each"] < found["cpu"]
    assert found["peak_pss"] >= found["pss_before"] > 0


def test_rows_are_written_after_each_measurement(tmp_path: Path) -> None:
    results = Results(tmp_path, {"commit": "abc"})
    results.add(rows_of("steady", "warm", 1000, Cost(120.0, 20.00001, 200.0, Counter(HeadBucket=9000)), of=1000))
    first = json.loads((tmp_path / "latest.json").read_text())
    results.add([Row("memory", "warm", 1000, "pss_10_min", 200, "MB")])
    then = json.loads((tmp_path / "latest.json").read_text())

    assert {"name": "steady", "executor": "warm", "objects": 1000, "metric": "cpu", "value": 20.0, "unit": "s"} in first
    metrics = ["wall", "cpu", "peak_pss", "aws_calls", "kubernetes_calls"]
    assert [row["metric"] for row in first][:5] == metrics
    assert then[:-1] == first
    assert then[-1]["metric"] == "pss_10_min"
    assert json.loads((tmp_path / "machine.json").read_text()) == {"commit": "abc"}


def test_goals_have_rows_where_their_rows_are(tmp_path: Path) -> None:
    results = Results(tmp_path, {})
    results.add([Row("latency_alone", "warm", 1, "wall_median", 0.4, "s")])
    assert [(row.metric, row.is_met) for row in goal_rows(results)] == [("wall_median", True)]

    results.add([Row("latency_alone", "stock", 1, "wall_median", 2.0, "s")])
    results.add(list(goal_rows(results)))
    goals = {(row.name, row.metric): (row.value, row.is_met) for row in results.rows}
    assert goals["goal_latency_alone", "stock_over_warm"] == (5.0, False)
    assert "NOT met" in table(results.rows)


def test_new_object_counts_only_while_the_other_namespace_keeps_the_operator_busy() -> None:
    loaded = itertools.chain([True] * 7, itertools.repeat(False))
    assert times_while(lambda: next(loaded), iter([1.0, 2.0, 3.0, 4.0]).__next__) == [1.0, 2.0, 3.0]
    loaded = itertools.chain([True] * 5, itertools.repeat(False))
    with pytest.raises(BenchError, match="over after 2 new objects"):
        times_while(lambda: next(loaded), iter([1.0, 2.0, 3.0]).__next__)


def test_settings_come_from_the_environment() -> None:
    given: dict[str, Any] = {
        "OBJECTS": "40",
        "BURST": "4",
        "CONFLICTING": "9",
        "EDITED": "5",
        "ROWS": "latency,steady",
        "LONG": "",
    }
    settings = settings_of(given)
    assert (settings.objects, settings.burst, settings.rows) == (40, 4, ("latency", "steady"))
    assert (settings.conflicting, settings.edited) == (9, 5)
    assert (settings.stock_burst, settings.is_long) == (4, False)
    assert settings_of({}).rows == GROUPS
    with pytest.raises(ValueError, match="speed"):
        settings_of({"ROWS": "speed"})


def test_user_of_peer_has_the_policy_that_the_operator_gives() -> None:
    policies = ack.user("photos", "peers")["spec"]["inlinePolicies"]
    (document,) = policies.values()
    (statement,) = json.loads(document)["Statement"]
    assert statement["Action"] == ["s3:*"]
    assert statement["Resource"] == ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]


def test_peer_that_is_not_built_is_named(place: Place, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="s3-controller/controller: PEERS names the folder"):
        ack.install_crds(place, tmp_path)


def test_rows_of_peers_are_measured_only_when_asked_for() -> None:
    assert "peers" not in settings_of({}).rows
    assert settings_of({"ROWS": "peers", "PEERS": "/built"}).peers == Path("/built")
