"""requesterPays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

CASES = {"example": Case({"Payer": "Requester"}), "off": Case({"Payer": "BucketOwner"}, {"requesterPays": False})}
CLEARED = {"Payer": "BucketOwner"}


def _turn_off(subject: Subject) -> None:
    payer = {"Payer": "BucketOwner"}
    subject.world.s3.put_bucket_request_payment(Bucket=subject.bucket, RequestPaymentConfiguration=payer)


ROWS = {"requester-pays-off": Row("requester_pays", "requesterPays", _turn_off)}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {}
REFUSED = {"requester-pays-text": ({"requesterPays": "yes"}, "spec.requesterPays: must be true or false")}
