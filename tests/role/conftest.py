"""What tests of the role's modules share that send their requests themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dev.aws import Aws


@pytest.fixture
def s3(aws: Aws) -> Any:
    """A client of S3."""
    return aws.client("s3")


@pytest.fixture
def gate(aws: Aws) -> Iterator[Any]:
    """The gate, with the requests of this test only."""
    aws.gate.clear_requests()
    yield aws.gate
    aws.gate.clear_faults()
