"""``s3-operator run``, and what it shares with ``once``: the options of the operator, and its start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner import logs, small_kubernetes
from runner.commands.options import (
    EVENT_QUEUE,
    LEASE_NAME,
    LEASE_NAMESPACE,
    SHARDING,
    WATCH_NAMESPACE,
    RoleOptions,
    Seconds,
    with_options,
    with_role,
)
from runner.commands.start import connect, exit_now, private_environment
from runner.execution import processes
from runner.settings import Settings

if TYPE_CHECKING:
    from runner.control.operator import Operator

_BEFORE_ROLE = [
    click.option("--sync-period", "sync_period_s", type=Seconds(min=1), default=300, show_default=True,
                 envvar=["syncPeriod", "SYNC_PERIOD"], show_envvar=True,
                 help="Seconds after which every object is reconciled again, give or take 10 %."),
    EVENT_QUEUE,
    click.option("--sync-period-with-events", "sync_period_with_events_s", type=Seconds(min=1), default=3600,
                 show_default=True, envvar="SYNC_PERIOD_WITH_EVENTS", show_envvar=True,
                 help="The sync period while the queue of --event-queue-url works, in seconds. It is never shorter "
                      "than --sync-period."),
    click.option("--event-delay", "event_delay_s", type=Seconds(min=0), default=1800, show_default=True,
                 envvar="EVENT_DELAY", show_envvar=True,
                 help="Seconds within which an event must arrive after the operator has changed a bucket. Otherwise a "
                      "rule, a trail or a policy does not work, and the objects of that region are checked each "
                      "--sync-period until one arrives. CloudTrail takes about 5 minutes, sometimes more, so fewer "
                      "than 300 are refused for a queue at AWS. 0: this is not checked."),
    click.option("--max-concurrent-reconciles", type=click.IntRange(min=1), default=3, show_default=True,
                 envvar=["MAX_CONCURRENT_RECONCILES_S3_AGILL_APPS", "MAX_CONCURRENT_RECONCILES"], show_envvar=True,
                 help="Objects that are reconciled at a time."),
    click.option("--resync-workers", type=click.IntRange(min=1), default=8, show_default=True,
                 envvar="RESYNC_WORKERS", show_envvar=True,
                 help="Drift checks that run at a time. They wait for AWS most of the time."),
    click.option("--reserved-workers", type=click.IntRange(min=0), default=1, show_default=True,
                 envvar="RESERVED_WORKERS", show_envvar=True,
                 help="Of the objects that are reconciled at a time, and of the drift checks that run at a time, one "
                      "namespace has at most all but this number. It may have one in any case. Where a single "
                      "namespace is watched, it may have all."),
    click.option("--run-timeout", "run_timeout_s", type=Seconds(min=1), default=600, show_default=True,
                 envvar="RUN_TIMEOUT", show_envvar=True, help="Seconds after which a run of the role is ended."),
    click.option("--executor", type=click.Choice(["warm", "stock"]), default="warm", show_default=True,
                 envvar="EXECUTOR", show_envvar=True,
                 help="warm: runs are forks of a process that has Ansible imported. stock: each is a new "
                      "ansible-playbook."),
    click.option("--drift-check/--no-drift-check", default=True, show_default=True,
                 envvar="DRIFT_CHECK", show_envvar=True,
                 help="Whether an object is checked by reading alone, and the role runs only when something differs. "
                      "Objects with driftPolicy Report are, in any case."),
    click.option("--full-sync-period", "full_sync_period_s", type=Seconds(min=1), default=86400,
                 show_default=True, envvar="FULL_SYNC_PERIOD", show_envvar=True,
                 help="Seconds after which the role runs although the drift check finds nothing."),
    click.option("--verify-credentials/--no-verify-credentials", default=True, show_default=True,
                 envvar="VERIFY_CREDENTIALS", show_envvar=True,
                 help="Whether requests with the access keys of S3 objects show that AWS accepts them: the condition "
                      "CredentialsVerified. spec.verify decides for one object."),
    click.option("--verify-period", "verify_period_s", type=Seconds(min=1), default=3600, show_default=True,
                 envvar="VERIFY_PERIOD", show_envvar=True,
                 help="Seconds after which an access key is verified again, give or take 10 %."),
    click.option("--grace-period", "grace_period_s", type=Seconds(min=0), default=20, show_default=True,
                 envvar="GRACE_PERIOD", show_envvar=True,
                 help="Seconds for which runs may go on at the end, before they are cancelled."),
    click.option("--orphan-policy", type=click.Choice(["Deactivate", "Report"]), default="Deactivate",
                 envvar="ORPHAN_POLICY", show_envvar=True, show_default=True,
                 help="What happens to the access keys of an IAM user whose S3 object no longer exists. Report: metric "
                      "and log only."),
    click.option("--orphan-grace-period", "orphan_grace_period_s", type=Seconds(min=0), default=600,
                 show_default=True, envvar="ORPHAN_GRACE_PERIOD", show_envvar=True,
                 help="Seconds for which an S3 object must be missing before the keys of its user are deactivated."),
    WATCH_NAMESPACE,
]  # fmt: skip
_AFTER_ROLE = [
    click.option("--leader-elect/--no-leader-elect", default=True, show_default=True,
                 envvar="LEADER_ELECT", show_envvar=True, help="Whether replicas elect a leader, by a Lease."),
    LEASE_NAMESPACE,
    LEASE_NAME,
    click.option("--lease-duration", "lease_duration_s", type=Seconds(min=2), default=15, show_default=True,
                 help="Seconds for which a Lease is valid after it was renewed."),
    click.option("--renew-deadline", "renew_deadline_s", type=Seconds(min=1), default=10, show_default=True,
                 help="Seconds after which a leader that could not renew the Lease stops."),
    click.option("--retry-period", "retry_period_s", type=Seconds(min=0.1), default=2, show_default=True,
                 help="Seconds between two attempts to acquire or renew the Lease."),
    click.option("--metrics-bind-address", "metrics_address", default=":8080", show_default=True,
                 envvar="METRICS_BIND_ADDRESS", show_envvar=True,
                 help="Where /metrics is served: host:port, [IPv6 address]:port, or :port for all addresses of the "
                      "machine; 0 for nowhere."),
    click.option("--health-probe-bind-address", "health_address", default=":8081", show_default=True,
                 envvar="HEALTH_PROBE_BIND_ADDRESS", show_envvar=True,
                 help="Where /healthz and /readyz are served, in the same form."),
    click.option("--log-format", type=click.Choice(["json", "text"]), default="json", show_default=True,
                 envvar="LOG_FORMAT", show_envvar=True, help="The format of log lines."),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
                 default="info", show_default=True, envvar="LOG_LEVEL", show_envvar=True,
                 help="The least level of lines that are logged."),
]  # fmt: skip


def with_operator(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the operator."""
    return with_options(_BEFORE_ROLE)(with_role(with_options(_AFTER_ROLE)(command)))


@click.command()
@with_operator
@with_options([SHARDING])
def run(role: RoleOptions, log_format: str, log_level: str, **flags: object) -> None:
    """Watch and reconcile until SIGTERM, SIGINT or SIGHUP.

    Exit status 0: stopped by a signal; 1: the Lease was lost, or it could not start; 2: a flag is wrong.
    """
    from runner.control.health import AddressError

    with private_environment(role.work_dir) as base:
        logs.set_up(log_format, log_level)
        try:
            status = make_operator(base, role, flags).run()
        except AddressError as error:
            hint = "--metrics-bind-address and --health-probe-bind-address choose others"
            raise click.ClickException(f"{error}: {hint}") from error
    exit_now(status)


def make_operator(base: Path, role: RoleOptions, flags: dict[str, object]) -> Operator:
    """The operator with these flags. It is not started yet.

    :param base: the work directory
    :raises click.ClickException: when it cannot start
    """
    # Imported only now, because no key is left in the environment.
    from runner.execution.environment import find_missing_collections

    missing = find_missing_collections()
    if missing:
        remedy = f"ansible-galaxy collection install -r {role.project_dir / 'requirements.yml'}"
        raise click.ClickException(f"the Ansible collections {', '.join(missing)} are not installed: {remedy}")

    small_kubernetes.import_small()
    # The role's core imports the collections.
    from runner.control.operator import Operator
    from runner.kube.config import find_own_namespace
    from runner.kube.leader import TermsError

    if flags["event_queue"] and not role.settings.is_aws:
        raise click.UsageError("--event-queue-url needs AWS: with --provider Other, leave it out.")
    flags["leader_election_namespace"] = flags["leader_election_namespace"] or find_own_namespace()
    paths = {"project_dir": role.project_dir, "work_dir": processes.short_path(base)}
    # once works on all objects.
    settings = Settings.of({"sharding": False, **flags, **paths, "role": role.settings})
    _check_event_delay(settings)
    if settings.sharding and not settings.leader_elect:
        raise click.UsageError("--sharding needs Leases: leave out --no-leader-elect")
    try:
        return Operator(settings, connect(settings.watch_namespaces))
    except TermsError as error:
        raise click.UsageError(str(error)) from error


def _check_event_delay(settings: Settings) -> None:
    """Refuse a time within which most events of AWS cannot arrive.

    :raises click.UsageError: with the remedy
    """
    from runner.control.canary import LEAST_LIMIT_S

    url, delay_s = settings.event_queue, settings.event_delay_s
    if url is not None and url.is_of_aws and 0 < delay_s < LEAST_LIMIT_S:
        raise click.UsageError(
            f"--event-delay {delay_s:g} is shorter than CloudTrail takes, which is about 5 minutes: events of the "
            "operator's own changes would be taken for missing. Give at least "
            f"{LEAST_LIMIT_S}, or 0 to turn this off (EVENT_DELAY; eventDelay of the chart)."
        )
