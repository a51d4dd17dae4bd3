"""Settings that send data elsewhere: a target that AWS refuses is named, and the run is tried again soon."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.examples import example_fields, make_targets
from s3bucket.outcome import Retry
from tests.support.world import NewObject, World, requests_of


@pytest.fixture(scope="module", autouse=True)
def _targets(world: World) -> None:
    make_targets(world.s3, world.account)


def test_target_that_refuses_events_is_named_and_tried_again_and_all_else_is_applied(
    world: World, new_object: NewObject
) -> None:
    cr = new_object(**example_fields("notifications"), requesterPays=True)
    arn = cr["spec"]["notifications"]["queues"][0]["arn"]
    with world.aws.gate.marked("closed-target", arn):
        run = world.reconcile(cr)
        assert (run.outcome["reason"], run.outcome["retry"]) == ("AWSError", Retry.TRANSIENT), run.output
        message = run.outcome["message"]
        assert message.startswith("spec.notifications: AWS cannot send events to a target: create it, and let s3.amaz")
        assert f"{arn}: Permissions on the destination queue do not allow S3 to publish" in message
        assert world.s3.get_bucket_request_payment(Bucket=cr["spec"]["bucketName"])["Payer"] == "Requester"
        assert world.differs(cr) == ["notifications"]
    assert world.reconcile(cr).outcome["reason"] == "Ready"
    assert world.differs(cr) == []


def test_replication_waits_for_its_destination_and_is_cleared_before_versioning_is_suspended(
    world: World, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    given, target = example_fields("replication"), new_name("replica")
    given["replication"]["rules"][0]["destination"]["bucketARN"] = f"arn:aws:s3:::{target}"
    cr = new_object(iamUser=None, requesterPays=True, **given)
    bucket = {"Bucket": cr["spec"]["bucketName"]}
    for remedy in ("create the destination bucket", "enable versioning of the destination bucket"):
        run = world.reconcile(cr)
        assert (run.outcome["reason"], run.outcome["retry"]) == ("AWSError", Retry.TRANSIENT), run.output
        assert run.outcome["message"].startswith(f"spec.replication: {remedy}: failed to write ")
        assert world.s3.get_bucket_request_payment(**bucket)["Payer"] == "Requester", "all else is applied"
        world.s3.create_bucket(Bucket=target)
    world.s3.put_bucket_versioning(Bucket=target, VersioningConfiguration={"Status": "Enabled"})
    lag = "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
    world.aws.gate.add_fault("PutBucketReplication", "InvalidRequest", times=1, message=lag, bucket=bucket["Bucket"])
    assert world.reconcile(cr).outcome["reason"] == "Ready", "sent again, as AWS shows versioning late"

    del cr["spec"]["replication"]
    cr["spec"]["enableVersioning"] = False
    with requests_of(world) as requests:
        run = world.reconcile(cr)
    assert (run.outcome["reason"], world.differs(cr)) == ("Ready", []), run.output
    writes = [item["action"] for item in requests if item["write"] and not item["action"].endswith("Tagging")]
    assert writes == ["DeleteBucketReplication", "PutBucketVersioning"]
    assert world.s3.get_bucket_versioning(**bucket)["Status"] == "Suspended"
