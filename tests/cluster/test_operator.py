"""The operator process: create, change, drift, delete and restart; unowned and contested names; outages."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dev.apigate import ApiGate
from dev.wait import wait_until
from runner.execution import processes
from tests.support.operator import (
    StartOperator,
    condition,
    delete,
    event_reasons,
    get,
    live,
    patch,
    wait_gone,
    wait_ready,
)
from tests.support.world import CLUSTER, EXECUTOR, NewObject, World, requests_of


def test_object_from_create_over_change_and_drift_to_deletion(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    operator = start_operator()
    cr = new_object()
    wait_ready(world, cr)
    item = live(world, cr)
    assert item is not None
    status = item["status"]
    assert item["metadata"]["finalizers"] == ["agill.apps.s3"]
    assert (status["status"], status["secretName"]) == ("Ready", f"{cr['metadata']['name']}-iam-secret")
    assert status["accessKeyID"] == world.credentials(cr)[0]
    assert status["effective"]["bucketACL"] == "private"

    # Change the spec.
    patch(world, cr, {"spec": {"enableVersioning": True, "requesterPays": True}})
    wait_ready(world, cr, generation=2)
    assert world.differs({**cr, "spec": {**cr["spec"], "enableVersioning": True, "requesterPays": True}}) == []
    assert (live(world, cr) or {})["status"]["effective"]["managedSettings"] == ["requesterPays"]

    # What is no longer managed is no longer in the status.
    patch(world, cr, {"spec": {"requesterPays": None, "unmanagedFields": ["bucketACL"]}})
    wait_ready(world, cr, generation=3)
    assert {"managedSettings", "bucketACL"} & (live(world, cr) or {})["status"]["effective"].keys() == set()

    # Drift in Kubernetes is repaired on the watch event, not at the next sync.
    old_key = world.credentials(cr)[0]
    world.core.delete_namespaced_secret(status["secretName"], cr["metadata"]["namespace"])
    wait_until(lambda: world.secret(cr) is not None and world.credentials(cr)[0] != old_key, "a fresh key")
    wait_until(lambda: "DriftCorrected" in event_reasons(world, cr), "the Event DriftCorrected")

    delete(world, cr)
    wait_gone(world, cr)
    assert not any(world.snapshot(cr).values())
    wanted = ["CREATING", "CREATED", "COMPLETED", "COMPLETED", "DriftCorrected", "DELETING", "DELETED"]
    assert event_reasons(world, cr) == wanted
    # When the warm process is not available, the shim starts stock runs. Only their duration would show it.
    assert len(operator.lines("warm process is ready")) == (EXECUTOR == "warm")
    assert operator.stop() == 0
    assert list(operator.work_dir.iterdir()) == []


def test_deletion_of_a_simple_object_makes_few_requests(
    world: World, new_object: NewObject, start_operator: StartOperator, tmp_path: Path
) -> None:
    with ApiGate(world.kubeconfig, tmp_path) as gate:
        operator = start_operator(environment=world.environment(KUBECONFIG=str(gate.kubeconfig)))
        cr = new_object()
        wait_ready(world, cr)
        gate.clear_requests()
        with requests_of(world) as to_aws:
            delete(world, cr)
            wait_gone(world, cr)
        to_kubernetes = Counter(item.action for item in gate.requests() if not item.action.endswith("leases"))
        operator.stop()
    assert len(to_aws) <= 8, Counter(item["action"] for item in to_aws)
    # An event of the watch after the creation, or after the deletion, may cause another read of the object.
    assert to_kubernetes.pop("GET s3s") <= 3
    assert to_kubernetes == {
        "POST events": 2,
        "PATCH s3s/status": 1,
        "GET secrets": 1,
        "GET services": 1,
        "DELETE secrets": 1,
        "DELETE services": 1,
        "PATCH s3s": 1,
    }


def test_drift_in_aws_is_repaired_at_the_sync_and_a_sync_without_drift_writes_nothing(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    operator = start_operator("--sync-period", "2")
    cr = new_object()
    wait_ready(world, cr)
    wait_until(lambda: len(operator.reconciles_of(cr)) >= 2, "a sync")
    before, runs = live(world, cr), len(operator.runs_of(cr))
    with requests_of(world) as requests:
        seen = len(operator.reconciles_of(cr))
        wait_until(lambda: len(operator.reconciles_of(cr)) >= seen + 2, "two more syncs")
    # The drift check only read: the role did not run.
    assert len(operator.runs_of(cr)) == runs
    assert [request["action"] for request in requests if request["write"]] == []
    # No status was written: the resourceVersion is unchanged.
    assert live(world, cr) == before

    world.s3.delete_bucket(Bucket=cr["spec"]["bucketName"])
    wait_until(lambda: "DriftCorrected" in event_reasons(world, cr), "the bucket made again")
    assert world.differs(cr) == []
    assert [line["level"] for line in operator.runs_of(cr) if not line["changed"]].count("info") == 0
    status, text = get(operator.port("/metrics"), "/metrics")
    assert status == 200
    assert 's3_operator_drift_corrected_total{aspect="bucket"} 1.0' in text
    name, namespace = cr["metadata"]["name"], cr["metadata"]["namespace"]
    assert f's3_info{{namespace="{namespace}",s3="{name}"}} 1.0' in text


def test_without_drift_check_the_role_runs_at_every_sync(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    operator = start_operator("--sync-period", "2", "--no-drift-check")
    cr = new_object()
    wait_ready(world, cr)
    wait_until(lambda: len(operator.runs_of(cr)) >= 3, "two runs that change nothing")
    assert operator.lines("checked") == []


def test_contested_bucket_the_first_keeps_it_the_second_is_a_conflict(
    world: World, new_object: NewObject, new_name: Callable[[str], str], start_operator: StartOperator
) -> None:
    start_operator()
    bucket = new_name("contested")
    first = new_object(bucketName=bucket)
    wait_ready(world, first)
    second = new_object(bucketName=bucket)
    wait_until(lambda: condition(world, second).get("reason") == "Conflict", "Conflict")
    assert first["metadata"]["name"] in condition(world, second)["message"]
    assert "Conflict" in event_reasons(world, second)
    found = live(world, second)
    assert found is not None
    assert found["status"]["status"] == "Conflict"
    # The object that never owned anything is deleted at once. The resources of the first object stay.
    delete(world, second)
    wait_gone(world, second)
    assert world.differs(first) == []
    assert condition(world, first)["status"] == "True"


def test_object_that_is_refused_keeps_no_other_one_waiting_for_the_name(
    world: World, new_object: NewObject, new_name: Callable[[str], str], start_operator: StartOperator
) -> None:
    bucket = new_name("contested")
    world.s3.create_bucket(Bucket=bucket)
    objects = [new_object(bucketName=bucket, iamUser=None) for _ in range(2)]
    start_operator()
    # The Conflict comes well before the operator would give up a name that a run may have claimed in IAM.
    for cr in objects:
        wait_until(lambda cr=cr: condition(world, cr).get("reason") == "Conflict", "Conflict")
        assert "exists in this AWS account" in condition(world, cr)["message"]


def test_two_objects_created_at_once_for_one_user_get_one_owner(
    world: World, new_object: NewObject, new_name: Callable[[str], str], start_operator: StartOperator
) -> None:
    user = {"username": new_name("both")}
    objects = [new_object(iamUser=user), new_object(iamUser=user)]
    start_operator()
    wait_until(
        lambda: all(condition(world, cr).get("reason") in ("Ready", "Conflict") for cr in objects), "both reasons"
    )
    assert sorted(condition(world, cr)["reason"] for cr in objects) == ["Conflict", "Ready"]
    assert len(world.iam.list_access_keys(UserName=user["username"])["AccessKeyMetadata"]) == 1


def test_error_is_published_and_recovery_follows_the_cause(
    world: World, new_object: NewObject, new_name: Callable[[str], str], start_operator: StartOperator
) -> None:
    start_operator("--sync-period", "6")
    bucket = new_name("denied")
    world.aws.gate.add_fault("CreateBucket", "AccessDenied", status=403, bucket=bucket)
    cr = new_object(bucketName=bucket)
    try:
        wait_until(lambda: condition(world, cr).get("reason") == "AccessDenied", "AccessDenied")
    finally:
        world.aws.gate.clear_faults()
    assert "s3:CreateBucket" in condition(world, cr)["message"]
    wait_ready(world, cr)
    assert event_reasons(world, cr) == ["CREATING", "FAILED", "CREATED"]


def test_expired_credentials_are_counted_although_no_object_changes(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    operator = start_operator("--sync-period", "2")
    cr = new_object()
    wait_ready(world, cr)
    runs, port = len(operator.runs_of(cr)), operator.port("/metrics")
    counter = 's3_operator_aws_errors_total{reason="CredentialsInvalid",source="check"} '

    def count() -> float:
        return float(get(port, "/metrics")[1].partition(counter)[2].partition("\n")[0])

    assert count() == 0
    # The call that each sync makes for a Ready object.
    world.aws.gate.add_fault("ListAccessKeys", "ExpiredToken", status=403)
    try:
        wait_until(lambda: count() >= 2, "two checks that failed")
    finally:
        world.aws.gate.clear_faults()
    assert condition(world, cr)["reason"] == "CredentialsInvalid"
    assert condition(world, cr, "Stalled")["status"] == "True"
    assert len(operator.runs_of(cr)) == runs
    wait_ready(world, cr)
    assert condition(world, cr, "Stalled") == {}


def test_invalid_spec_is_published_and_works_once_corrected(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    """Also one with a setting that the administrator does not allow."""
    start_operator("--allowed-settings=requesterPays")
    broken, other = new_object(bucketPolicy='{"Statement": [}'), new_object(abac=True, requesterPays=True)
    wait_until(lambda: condition(world, broken).get("reason") == "InvalidSpec", "InvalidSpec")
    wait_until(lambda: condition(world, other).get("reason") == "InvalidSpec", "InvalidSpec")
    assert "spec.bucketPolicy" in condition(world, broken)["message"]
    assert condition(world, other)["message"].startswith("spec.abac: the operator does not allow this setting")
    for cr in (broken, other):
        assert not any(world.snapshot({**cr, "spec": {**cr["spec"], "bucketPolicy": ""}}).values())
    patch(world, broken, {"spec": {"bucketPolicy": ""}})
    patch(world, other, {"spec": {"abac": None}})
    wait_ready(world, broken, generation=2)
    wait_ready(world, other, generation=2)
    assert world.s3.get_bucket_request_payment(Bucket=other["spec"]["bucketName"])["Payer"] == "Requester"


def test_bad_input_is_published_by_condition_and_event_and_works_once_corrected(
    world: World, new_object: NewObject, new_name: Callable[[str], str], start_operator: StartOperator
) -> None:
    """Only errors that AWS and Kubernetes report. The tests of the role cover the others."""
    refused_by_aws = json.dumps({
        "Statement": [{"Effect": "Deny", "Principal": {"AWS": "nobody"}, "Action": "s3:PutObject", "Resource": "*"}]
    })  # fmt: skip
    policy, secret, elsewhere = new_object(bucketPolicy=refused_by_aws), new_object(), new_name("elsewhere")
    world.aws.gate.make_bucket_elsewhere(elsewhere)
    taken = new_object(bucketName=elsewhere, iamUser=None)
    namespace, name = secret["metadata"]["namespace"], f"{secret['metadata']['name']}-iam-secret"
    world.core.create_namespaced_secret(namespace, {"metadata": {"name": name}, "stringData": {"other": "x"}})
    start_operator("--sync-period", "5")
    for cr, reason, word, event, message in (
        (policy, "InvalidSpec", "Failed", "FAILED", "spec.bucketPolicy: AWS refuses it"),
        (taken, "BucketNameTaken", "Conflict", "Conflict", "belongs to another AWS account"),
        (secret, "Conflict", "Conflict", "Conflict", "delete or rename the Secret"),
    ):
        wait_until(lambda cr=cr, reason=reason: condition(world, cr).get("reason") == reason, reason)
        found = condition(world, cr)
        assert found["status"] == "False"
        assert message in found["message"]
        assert (live(world, cr) or {})["status"]["status"] == word
        wait_until(lambda cr=cr, event=event: event in event_reasons(world, cr), f"the Event {event}")
    assert set(world.core.read_namespaced_secret(name, namespace).data) == {"other"}
    assert world.snapshot(secret)["user"] is None

    patch(world, policy, {"spec": {"bucketPolicy": ""}})
    world.core.delete_namespaced_secret(name, namespace)
    delete(world, taken)
    wait_ready(world, policy, generation=2)
    wait_ready(world, secret)
    wait_gone(world, taken)
    # Published once, not at each retry.
    assert [event_reasons(world, cr).count("FAILED") for cr in (policy, secret)] == [1, 0]


def test_bucket_name_that_its_object_gave_up_is_not_given_to_another_while_the_first_ones_key_reaches_it(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    start_operator()
    first = new_object()
    wait_ready(world, first)
    bucket = first["spec"]["bucketName"]
    # Done by the tenant: the next sync is minutes away.
    tenant = world.tenant(first)
    tenant.delete_bucket(Bucket=bucket)
    second = new_object(bucketName=bucket)
    wait_until(lambda: condition(world, second).get("reason") == "Conflict", "Conflict")
    assert f"{first['metadata']['namespace']}/{first['metadata']['name']}" in condition(world, second)["message"]
    assert bucket not in [item["Name"] for item in world.s3.list_buckets()["Buckets"]]
    # The deletion of the first object deletes its access key too. Any change of the second object reconciles it again.
    delete(world, first)
    wait_gone(world, first)
    patch(world, second, {"spec": {"tags": {"again": "1"}}})
    wait_ready(world, second, generation=2)


def test_restart_changes_nothing(world: World, new_object: NewObject, start_operator: StartOperator) -> None:
    first = start_operator()
    cr = new_object()
    wait_ready(world, cr)
    assert first.stop() == 0
    before = world.snapshot(cr), live(world, cr)
    second = start_operator("--sync-period", "2")
    wait_until(lambda: second.reconciles_of(cr), "a sync after the restart")
    assert (world.snapshot(cr), live(world, cr)) == before


def test_operator_killed_in_a_run_leaves_no_writer_and_heals(
    world: World, new_object: NewObject, new_name: Callable[[str], str], start_operator: StartOperator
) -> None:
    terms = ("--lease-duration", "10", "--renew-deadline", "8", "--retry-period", "0.5")
    first = start_operator(*terms)
    # The run hangs in AWS. A stock run hangs in a worker that left the process group of ansible-playbook, a warm one in
    # its own process.
    user = new_name("user")
    world.aws.gate.arm(user, action="PutUserPolicy", number=1)
    cr = new_object(iamUser={"username": user})
    try:
        wait_until(lambda: world.aws.gate.wait_held(1), "the run hangs")
        run = f"{processes.operator_id(first.process.pid)}-0"
        assert len(processes.find_run(run)) > (1 if EXECUTOR == "warm" else 2), "the hanging module"
        first.kill()
        # A warm run ends soon after its operator.
        assert EXECUTOR == "warm" or processes.find_run(run), "the run outlives its operator"
        second = start_operator(*terms, only=cr["metadata"]["namespace"], work_dir=first.work_dir)
        wait_until(lambda: second.lines("leading"), "the second leads")
        assert processes.find_run(run) == []
        assert run not in " ".join(path.name for path in first.work_dir.iterdir())
    finally:
        world.aws.gate.disarm(is_dropped=True)
    wait_ready(world, cr)
    keys = world.iam.list_access_keys(UserName=cr["spec"]["iamUser"]["username"])["AccessKeyMetadata"]
    assert [key["AccessKeyId"] for key in keys] == [world.credentials(cr)[0]]


def test_second_replica_waits_and_takes_over(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    terms = ("--lease-duration", "30", "--renew-deadline", "20", "--retry-period", "0.5")
    first = start_operator(*terms)
    wait_until(lambda: first.lines("leading"), "the first leads")
    second = start_operator(*terms)
    port = second.port("/readyz")
    assert get(port, "/readyz") == (200, "ok")
    assert get(port, "/healthz") == (200, "ok")
    cr = new_object()
    wait_ready(world, cr)
    assert second.lines("leading") == []
    assert first.stop() == 0
    # The Lease was released, so the second operator need not wait until it expires.
    wait_until(lambda: second.lines("leading"), "the second leads", timeout_s=5)
    delete(world, cr)
    wait_gone(world, cr)
    assert second.runs_of(cr)


def test_run_that_takes_too_long_is_ended_with_all_its_descendants(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    operator = start_operator("--run-timeout", "6")
    cr = new_object()
    world.aws.gate.add_fault("CreateBucket", delay_s=60, bucket=cr["spec"]["bucketName"])
    try:
        wait_until(lambda: condition(world, cr).get("reason") == "RunTimeout", "RunTimeout")
        run = f"{processes.operator_id(operator.process.pid)}-0"
        assert processes.find_run(run) == []
    finally:
        world.aws.gate.clear_faults()
    wait_ready(world, cr)


def test_sigterm_in_a_run_cancels_it_after_the_grace_time_and_exits_0(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    operator = start_operator("--grace-period", "1")
    cr = new_object()
    world.aws.gate.add_fault("CreateBucket", delay_s=60, bucket=cr["spec"]["bucketName"])
    try:
        wait_until(lambda: processes.find_run(f"{processes.operator_id(operator.process.pid)}-0"), "a run")
        name = f"{processes.operator_id(operator.process.pid)}-0"
        assert operator.stop() == 0
        assert processes.find_run(name) == []
        assert list(operator.work_dir.iterdir()) == []
    finally:
        world.aws.gate.clear_faults()
    lease = world.custom.get_namespaced_custom_object(
        "coordination.k8s.io", "v1", cr["metadata"]["namespace"], "leases", "s3-operator"
    )
    assert not lease["spec"].get("holderIdentity")


def test_keys_in_the_environment_reach_no_file_environment_or_log(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    environment = world.environment()
    admin = dict(line.split(" = ") for line in world.aws.credentials_file.read_text().splitlines() if " = " in line)
    del environment["AWS_SHARED_CREDENTIALS_FILE"]
    environment |= {
        "AWS_ACCESS_KEY_ID": admin["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": admin["aws_secret_access_key"],
    }
    operator = start_operator(environment=environment)
    wait_until(lambda: operator.lines("leading"), "the operator")
    secret = admin["aws_secret_access_key"].encode()
    with open(f"/proc/{operator.process.pid}/environ", "rb") as stream:
        assert secret not in stream.read()
    cr = new_object()
    pids = wait_until(lambda: processes.find_run(f"{processes.operator_id(operator.process.pid)}-0"), "a run")
    for pid in pids:
        for name in ("environ", "cmdline"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as stream:
                    assert secret not in stream.read()
            except (FileNotFoundError, ProcessLookupError):
                continue
    wait_ready(world, cr)
    tenant_secret = world.credentials(cr)[1]
    assert operator.stop() == 0
    assert list(operator.work_dir.iterdir()) == []
    log = operator.log_file.read_text()
    assert secret.decode() not in log
    assert tenant_secret not in log


def once(world: World, cr: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one pass over the objects in the namespace of an object."""
    namespace = cr["metadata"]["namespace"]
    command = [str(Path(sys.executable).parent / "s3-operator"), "once", "--watch-namespace", namespace]
    command += ["--work-dir", str(folder / "work"), "--cluster-name", CLUSTER]
    command += ["--leader-election-namespace", namespace]
    return subprocess.run(command, env=world.environment(), capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("only_ready", [True, False], ids=["all-ready", "one-conflict"])
def test_once_makes_one_pass_and_reports_by_its_exit_status(
    world: World, new_object: NewObject, tmp_path: Path, only_ready: bool
) -> None:
    cr = new_object()
    if not only_ready:
        world.s3.create_bucket(Bucket=cr["spec"]["bucketName"])
    done = once(world, cr, tmp_path)
    assert done.returncode == (0 if only_ready else 1), done.stderr
    assert condition(world, cr)["reason"] == ("Ready" if only_ready else "Conflict")


def test_once_gives_a_deleted_bucket_to_no_one_else(world: World, new_object: NewObject, tmp_path: Path) -> None:
    first = new_object()
    bucket = first["spec"]["bucketName"]
    assert once(world, first, tmp_path).returncode == 0
    # As the holder of the first object's access key could do: that key would then have access to the second object's
    # bucket.
    world.s3.delete_bucket(Bucket=bucket)
    second = new_object(bucketName=bucket)
    assert once(world, first, tmp_path).returncode == 1
    owner = f"S3 object {first['metadata']['namespace']}/{first['metadata']['name']} already owns bucket"
    assert owner in condition(world, second)["message"]
    assert world.differs(first) == []


def test_once_refuses_while_an_operator_holds_the_lease(
    world: World, new_object: NewObject, start_operator: StartOperator, tmp_path: Path
) -> None:
    operator = start_operator()
    wait_until(lambda: operator.lines("leading"), "the operator leads")
    done = once(world, new_object(), tmp_path)
    assert done.returncode == 2
    assert "another s3-operator holds the Lease" in done.stderr


def test_address_in_use_is_reported_with_a_remedy(world: World, start_operator: StartOperator, tmp_path: Path) -> None:
    port = start_operator().port("/metrics")
    command = [str(Path(sys.executable).parent / "s3-operator"), "run", "--metrics-bind-address", f"127.0.0.1:{port}"]
    command += ["--health-probe-bind-address", "0", "--work-dir", str(tmp_path / "work")]
    done = subprocess.run(command, env=world.environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "--metrics-bind-address" in done.stderr
    assert "Traceback" not in done.stderr


def test_signal_int_ends_it_like_term(start_operator: StartOperator) -> None:
    operator = start_operator()
    wait_until(lambda: operator.lines("leading"), "the operator")
    operator.process.send_signal(signal.SIGINT)
    assert operator.process.wait(30) == 0
