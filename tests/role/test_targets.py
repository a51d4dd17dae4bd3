"""Settings that send data elsewhere: a target that AWS refuses is named, and the run is tried again soon."""

from __future__ import annotations

from s3bucket.outcome import Retry
from tests.support.settings import example_fields
from tests.support.world import NewObject, World


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
