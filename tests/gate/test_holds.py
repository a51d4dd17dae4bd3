"""The holds of the gates: what a test does with one request reaches no other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev.awsgate.holds import Holds
from dev.wait import wait_until

_WAIT_S = 10


@pytest.fixture
def holds() -> Iterator[Holds]:
    made = Holds()
    yield made
    made.disarm()


def test_release_of_one_request_keeps_what_arrived_meanwhile(holds: Holds) -> None:
    with ThreadPoolExecutor() as pool:
        lease = pool.submit(holds.stay, "PUT leases")
        assert holds.wait(_WAIT_S) == "PUT leases"
        # It arrives while a test inspects what the first one is about.
        secret = pool.submit(holds.stay, "POST secrets")
        wait_until(lambda: holds.held() == ["PUT leases", "POST secrets"], "the second request", _WAIT_S)
        holds.let_go()
        assert not lease.result(_WAIT_S)
        # Named and still held, so that a test sees it before it goes on.
        assert holds.wait(_WAIT_S) == "POST secrets"
        assert not secret.done()
        holds.let_go()
        assert not secret.result(_WAIT_S)
        assert holds.held() == []


def test_disarming_releases_or_drops_all_that_is_held(holds: Holds) -> None:
    with ThreadPoolExecutor() as pool:
        requests = [pool.submit(holds.stay, "TagUser") for _ in range(2)]
        wait_until(lambda: len(holds.held()) == len(requests), "both requests", _WAIT_S)
        holds.disarm(is_dropped=True)
        assert [request.result(_WAIT_S) for request in requests] == [True, True]
