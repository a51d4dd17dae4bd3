"""The Lease of the operator from its first renewal to its release."""

from __future__ import annotations

from dev.wait import wait_until
from runner.control.leadership import Leadership
from runner.control.shutdown import Shutdown
from runner.control.threads import Threads
from runner.kube.hold import Terms
from runner.kube.leader import Election
from tests.support.fakes import FakeLeases


def test_lease_is_renewed_while_runs_end_after_a_request_to_stop_and_released_then() -> None:
    """The grace period may be longer than the Lease: another replica must not begin in it."""
    leases, shutdown = FakeLeases(), Shutdown(600)
    election = Election(leases, "ns", "first", Terms(15, 10, 0.01))
    renewals: list[float] = []
    leadership = Leadership(election, Threads(), shutdown, is_elected=True, report_renewal=renewals.append)
    assert leadership.acquire(lambda _: None)
    shutdown.begin()
    before = len(renewals)
    wait_until(lambda: len(renewals) > before + 3, "further renewals")
    assert leadership.may_run()
    leadership.release()
    assert leases.lease is not None
    assert leases.lease.holder == ""
    assert renewals == sorted(renewals)
