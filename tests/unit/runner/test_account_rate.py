"""The rate of requests to an account that several replicas use. The client is a real one that sends nothing."""

from __future__ import annotations

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from runner.drift.account_rate import AccountRate


class Answer:
    """What IAM answers to each request."""

    def __init__(self) -> None:
        self.is_throttling = True

    def __call__(self, **_: object) -> AWSResponse:
        code = "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>"
        text, status = (code, 400) if self.is_throttling else ("<GetUserResponse/>", 200)
        raw = type("Raw", (), {"stream": lambda *_, **__: iter([text.encode()])})()
        return AWSResponse("https://iam.amazonaws.com", status, {}, raw)


@pytest.fixture
def throttled() -> tuple[AccountRate, Answer]:
    """A rate, after IAM has throttled."""
    session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b")
    client = session.client(
        "iam", region_name="us-east-1", config=Config(retries={"mode": "standard", "max_attempts": 1})
    )
    rate, answer = AccountRate(client), Answer()
    client.meta.events.register("before-send", answer)
    assert rate.limit is None
    rate.share(0.5)
    assert rate.limit is None, "what the account allows is not known"
    with pytest.raises(ClientError, match="Throttling"):
        client.get_user(UserName="a")
    # A rate to measure changes by: it was measured over less than a second.
    rate._limiter._token_bucket.max_rate = 40.0
    return rate, answer


def test_replica_that_joins_gets_its_share_at_once(throttled: tuple[AccountRate, Answer]) -> None:
    rate, _ = throttled
    rate.share(1 / 2)
    assert rate.limit == pytest.approx(20)
    rate.share(2 / 4)
    assert rate.limit == pytest.approx(10)


def test_share_of_a_replica_that_ends_is_used(throttled: tuple[AccountRate, Answer]) -> None:
    rate, _ = throttled
    rate.share(2 / 1)
    assert rate.limit == pytest.approx(80)
    adjustor = rate._limiter._rate_adjustor
    # And the limit grows from there.
    assert adjustor.success_received(rate._limiter._clock.current_time() + 60) > 80
