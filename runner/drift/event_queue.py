"""The SQS queue of CloudTrail events: receives and deletes messages. Knows nothing of what is in them.

Long polling: a request waits for a message for up to 20 seconds, so an idle queue costs 4,320 requests a day.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
Threads: one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from runner.drift.aws_clients import AWSClients, Client, home_region
from runner.drift.cloudtrail import principal_of
from runner.queue_url import QueueURL
from s3bucket import errors
from s3bucket.errors import ReconcileError
from s3bucket.json_types import ApiObject
from s3bucket.outcome import Reason

WAIT_S = 20
BATCH = 10
# A message that no replica takes: the shard of its object is free, and who takes it checks its objects anyway. SQS
# chooses who receives a message: the right one of 16 replicas receives it in 150 attempts but for one of 16,000 cases.
MAX_TIMES = 150
# After the first attempts the next ones are slower, for a replica that does not ask for some minutes: the others would
# use up all of them within seconds.
_AT_ONCE, _MAX_DELAY_S = 32, 30
KMS_REMEDY = (
    "the queue is encrypted with a KMS key of the account's own: give the operator kms:Decrypt on that key, and "
    "events.amazonaws.com kms:GenerateDataKey and kms:Decrypt"
)
_MAX_MESSAGE = 600
# When it was sent and received are both by the clock of SQS.
_TIMES, _SENT, _FIRST = "ApproximateReceiveCount", "SentTimestamp", "ApproximateFirstReceiveTimestamp"


class QueueError(Exception):
    """The queue does not work; the message has the reason."""


class Message(NamedTuple):
    """A message.

    :param receipt: what its deletion names
    :param times: how often it was received, this time included
    :param waited_s: how long it was in the queue before any replica received it
    """

    body: str
    receipt: str
    times: int = 1
    waited_s: float = 0.0


class Caller(NamedTuple):
    """The operator in AWS; both are empty where STS does not answer. ``principal``: as in a change."""

    account: str = ""
    principal: str = ""


class EventQueue:
    """One queue.

    :param wait_s: seconds that a request waits for a message
    """

    def __init__(self, clients: AWSClients, url: QueueURL, *, wait_s: int = WAIT_S) -> None:
        self._clients = clients
        self._url = url
        self._wait_s = wait_s
        # It reads files of the AWS configuration.
        self._home = home_region()

    def receive(self) -> list[Message]:
        """The next messages, none after the waiting time.

        :raises QueueError: when the queue does not answer
        """
        try:
            answer = self._client().receive_message(
                QueueUrl=self._url.url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=self._wait_s,
                MessageSystemAttributeNames=[_TIMES, _SENT, _FIRST],
            )
        except (ReconcileError, *errors.AWS_ERRORS) as error:
            raise self._failure("receive messages (sqs:ReceiveMessage)", error) from error
        return [_message_of(item) for item in answer.get("Messages", [])]

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete at most :data:`BATCH` messages. One that stays is received again later.

        :raises QueueError: when none can be deleted
        """
        if not messages:
            return
        entries = [{"Id": str(number), "ReceiptHandle": item.receipt} for number, item in enumerate(messages)]
        try:
            answer = self._client().delete_message_batch(QueueUrl=self._url.url, Entries=entries)
        except (ReconcileError, *errors.AWS_ERRORS) as error:
            raise self._failure("delete messages (sqs:DeleteMessage)", error) from error
        failed = answer.get("Failed", [])
        if len(failed) == len(entries):
            code, text = failed[0].get("Code", ""), failed[0].get("Message", "")
            raise QueueError(f"{self._url.name}: failed to delete messages: {text[:_MAX_MESSAGE]} ({code[:100]})")

    def hand_on(self, messages: Sequence[Message]) -> None:
        """Let another replica receive messages: at once, and later those that were received often.

        Where that fails, another one receives them after their visibility timeout.

        :raises QueueError: when none can be handed on
        """
        if not messages:
            return
        entries = [
            {"Id": str(number), "ReceiptHandle": item.receipt, "VisibilityTimeout": delay_s_of(item.times)}
            for number, item in enumerate(messages)
        ]
        try:
            self._client().change_message_visibility_batch(QueueUrl=self._url.url, Entries=entries)
        except (ReconcileError, *errors.AWS_ERRORS) as error:
            raise self._failure("hand messages on (sqs:ChangeMessageVisibility)", error) from error

    def get_caller(self) -> Caller:
        """Who the operator is. Asked once for the same credentials."""
        try:
            found = self._clients.get(self._home).sts.get_caller_identity()
        except (ReconcileError, *errors.AWS_ERRORS):
            return Caller()
        return Caller(found["Account"], principal_of(found["Arn"]))

    def _client(self) -> Client:
        return self._clients.get_sqs(self._url.region or self._home)

    def _failure(self, what: str, error: Exception) -> QueueError:
        refusal = error if isinstance(error, ReconcileError) else errors.unknown(what, error)
        if refusal.reason is Reason.CREDENTIALS_INVALID:
            self._clients.forget()
        remedy = f": {KMS_REMEDY}" if is_of_kms(error) else ""
        return QueueError(f"{self._url.name}: {refusal.message[:_MAX_MESSAGE]}{remedy}")


def _message_of(item: ApiObject) -> Message:
    attributes = item.get("Attributes", {})
    times, sent, first = (
        int(attributes.get(name, default)) for name, default in ((_TIMES, 1), (_SENT, 0), (_FIRST, 0))
    )
    return Message(item.get("Body", ""), item["ReceiptHandle"], times, max(0, first - sent) / 1000 if sent else 0.0)


def is_of_kms(error: Exception) -> bool:
    """Whether it is the key of an encrypted queue that keeps messages from being received.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html#API_ReceiveMessage_Errors
    """
    return errors.code_of(error).lower().startswith("kms")


def delay_s_of(times: int) -> int:
    """In how many seconds another replica receives a message that was received so often."""
    return 0 if times < _AT_ONCE else min(_MAX_DELAY_S, 1 << min(times - _AT_ONCE, _MAX_DELAY_S))
