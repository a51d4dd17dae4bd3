"""One versitygw for a test session: an implementation of S3, IAM and STS that is independent of moto and the gate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.versitygw import Versitygw


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with Versitygw(tmp_path_factory.mktemp("versitygw")) as store:
        yield store
