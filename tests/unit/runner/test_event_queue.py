"""What is asked of SQS: how soon a message that is handed on is visible, and what is reported of its key."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from runner.drift.aws_clients import AWSClients
from runner.drift.event_queue import MAX_TIMES, EventQueue, Message, QueueError
from runner.queue_url import QueueURL

URL = QueueURL.parse("https://sqs.eu-central-1.amazonaws.com/123456789012/events")
# After a failed request: the first back-off (runner.backoff), and the time of the next request.
_LONGEST_PAUSE_S = 5 + 1


class Sqs:
    """Clients and the client of the queue at once. ``error``: what each request ends with."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.timeouts: list[int] = []
        self.attributes: list[dict[str, str]] = []

    def get_sqs(self, region: str) -> Sqs:
        assert region == "eu-central-1"
        return self

    def receive_message(self, MessageSystemAttributeNames: list[str], **_: Any) -> dict[str, Any]:  # noqa: N803
        if self.error is not None:
            raise self.error
        asked = [{name: one[name] for name in MessageSystemAttributeNames if name in one} for one in self.attributes]
        return {"Messages": [{"Body": "x", "ReceiptHandle": "y", "Attributes": one} for one in asked]}

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == URL.url
        self.timeouts += [entry["VisibilityTimeout"] for entry in Entries]
        return {}


def queue_with(sqs: Sqs) -> EventQueue:
    return EventQueue(cast("AWSClients", sqs), URL)


def test_message_is_handed_on_at_once_and_is_not_deleted_while_its_replica_waits() -> None:
    """A replica that waits after one failed request does not check its objects anew: that failure is tolerated."""
    sqs = Sqs()
    queue_with(sqs).hand_on([Message("", str(times), times) for times in range(1, MAX_TIMES)])
    assert [sqs.timeouts[times - 1] for times in (1, 31, 32, 34, 100)] == [0, 0, 1, 4, 30]
    assert sum(sqs.timeouts) > 2 * _LONGEST_PAUSE_S
    assert max(sqs.timeouts) <= 30


@pytest.mark.parametrize(
    ("code", "has_remedy"),
    [("KMS.AccessDeniedException", True), ("KmsAccessDenied", True), ("AccessDenied", False)],
)
def test_error_of_the_key_of_the_queue_has_its_remedy(code: str, has_remedy: bool) -> None:
    sqs = Sqs(ClientError({"Error": {"Code": code, "Message": "no"}}, "ReceiveMessage"))
    with pytest.raises(QueueError) as raised:
        queue_with(sqs).receive()
    assert code in str(raised.value)
    assert ("kms:Decrypt" in str(raised.value)) is has_remedy


def test_message_shows_how_long_it_waited_for_its_first_receive() -> None:
    """By the clock of SQS. One that is handed on has waited for the replica that received it first."""
    sqs = Sqs()
    sqs.attributes = [
        {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000", "ApproximateFirstReceiveTimestamp": sent}
        for sent in ("1700000360500", "1700000000000", "1699999999999")
    ]
    sqs.attributes += [{"ApproximateReceiveCount": "7"}, {}]
    found = queue_with(sqs).receive()
    assert [message.waited_s for message in found] == [360.5, 0.0, 0.0, 0.0, 0.0]
    assert [message.times for message in found] == [1, 1, 1, 7, 1]
