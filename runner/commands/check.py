"""``s3-operator check``."""

from __future__ import annotations

import sys
from itertools import chain

import click

from runner.commands.options import (
    EVENT_QUEUE,
    LEASE_NAME,
    LEASE_NAMESPACE,
    SHARDING,
    STORE_OPTIONS,
    WATCH_NAMESPACE,
    Seconds,
    settings_of,
    with_options,
)
from runner.commands.start import connect
from runner.queue_url import QueueURL


@click.command()
@with_options([WATCH_NAMESPACE, LEASE_NAMESPACE, LEASE_NAME, EVENT_QUEUE, SHARDING, *STORE_OPTIONS])
@click.option("--wait", "wait_s", type=Seconds(min=0), default=60, show_default=True,
              help="Seconds in which an operator must have acquired its Lease.")  # fmt: skip
def check(
    watch_namespaces: tuple[str, ...],
    leader_election_namespace: str,
    lease_name: str,
    event_queue: QueueURL | None,
    sharding: bool,
    wait_s: float,
    **store: object,
) -> None:
    """Report whether Kubernetes, AWS and an operator answer as they should. Exit status 1: not all do.

    With --provider Other also what the store has of AWS, as a table. With --event-queue-url also whether the operator
    has its rights on the queue, and with --sharding whether replicas can hand messages on. No message is deleted.
    """
    from runner.commands.check_report import CheckError, check_of_queue, checks, checks_without_cluster
    from runner.kube.config import find_own_namespace
    from runner.kube.leader import Election, Terms, scope_of

    role = settings_of(store)
    namespace = leader_election_namespace or find_own_namespace()
    try:
        kube = connect(watch_namespaces)
        scope = scope_of(watch_namespaces)
        election = Election(kube, namespace, "check", Terms(15, 10, 2), name=lease_name, scope=scope)
        found = checks(kube, election, wait_s, role)
    except click.ClickException as error:
        found = checks_without_cluster(error.message, role)
    found = chain(found, check_of_queue(event_queue, is_sharded=sharding))
    is_well = True
    for name, run_check in found:
        try:
            click.echo(f"ok      {name}: {run_check()}")
        except CheckError as error:
            click.echo(f"FAILED  {name}: {error}")
            is_well = False
    sys.exit(0 if is_well else 1)
