"""The URL of an SQS queue, and what it names: region, account and queue. Pure.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from s3bucket.regions import is_url_of_aws

_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?/(\d{12})/([A-Za-z0-9_-]{1,80})", re.ASCII)
_REGION = r"([a-z]{2,}(?:-[a-z]+)+-\d{1,2})"
# sqs.REGION.amazonaws.com, also of FIPS, dual stack and a VPC endpoint; REGION.queue.amazonaws.com is the form of old.
_HOSTS = (re.compile(rf"(?:.*\.)?sqs(?:-fips)?\.{_REGION}\..+"), re.compile(rf"{_REGION}\.queue\..+"))


@dataclass(frozen=True)
class QueueURL:
    """A queue. ``region`` is empty where the host does not show it, as of an endpoint of one's own."""

    url: str
    region: str
    account: str
    name: str

    @classmethod
    def parse(cls, url: str) -> QueueURL:
        """Read a URL.

        :raises ValueError: for what is none; FIFO queues cannot be the target of a rule without a group for messages
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise ValueError(
                "it must be the URL of a standard SQS queue, as https://sqs.eu-central-1.amazonaws.com/123456789012/NAME"
            )
        regions = (pattern.fullmatch(found[1]) for pattern in _HOSTS)
        return cls(url, next((region[1] for region in regions if region), ""), found[3], found[4])

    @property
    def is_of_aws(self) -> bool:
        """Whether it is a queue at AWS itself, and not at an endpoint of one's own."""
        return is_url_of_aws(self.url)

    def arn(self, partition: str) -> str:
        """The queue's ARN."""
        return f"arn:{partition}:sqs:{self.region}:{self.account}:{self.name}"
