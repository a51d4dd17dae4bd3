"""The command line of ``s3-operator``. Every flag can be set by an environment variable, as ``--help`` shows."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from runner import __version__, credentials, iam_policy, logs, processes
from runner.settings import Settings

_SHM = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it, 0700


def _default_work_base() -> Path:
    """A memory-backed folder where there is one: a run's files hold secrets."""
    return _SHM if os.access(_SHM, os.W_OK) else Path(tempfile.gettempdir())


def _namespaces(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def _matching(pattern: re.Pattern[str]) -> Callable[[click.Context, click.Parameter, str], str]:
    def check(_: click.Context, __: click.Parameter, value: str) -> str:
        if value and not pattern.fullmatch(value):
            raise click.BadParameter(f"{value!r} does not match {pattern.pattern}")
        return value

    return check


def _all_matching(
    pattern: re.Pattern[str],
) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]:
    def check(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(name.strip() for value in values for name in value.split(",") if name.strip())
        wrong = [name for name in names if not pattern.fullmatch(name)]
        if wrong:
            raise click.BadParameter(f"{wrong[0]!r} does not match {pattern.pattern}")
        return names

    return check


def _tags(_: click.Context, __: click.Parameter, value: str) -> dict[str, str]:
    try:
        tags = json.loads(value or "{}")
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"is not JSON: {error}") from error
    if not isinstance(tags, dict) or len(tags) > iam_policy.MAX_TAGS:
        raise click.BadParameter(f"must be a JSON object of at most {iam_policy.MAX_TAGS} tags")
    for key, text in tags.items():
        if (
            not iam_policy.TAG_KEY.fullmatch(key)
            or not isinstance(text, str)
            or not iam_policy.TAG_VALUE.fullmatch(text)
        ):
            raise click.BadParameter(
                f"the tag {key!r} is none that AWS allows (letters, digits, _.:/=+-@), or its prefix is reserved"
            )
    return dict(tags)


_WATCH_NAMESPACE = click.option(
    "--watch-namespace", "watch_namespaces", multiple=True, callback=_namespaces,
    envvar="WATCH_NAMESPACE", show_envvar=True,
    help="Only this namespace; can be given again, or as a list with commas. Default: all.",
)  # fmt: skip
_LEASE_NAMESPACE = click.option(
    "--leader-election-namespace", default="", envvar="LEADER_ELECTION_NAMESPACE", show_envvar=True,
    help="The namespace of the operator's Lease. Default: the Pod's namespace, or default.",
)  # fmt: skip
_LEASE_NAME = click.option(
    "--lease-name", default="s3-operator", show_default=True, envvar="LEASE_NAME", show_envvar=True,
    help="The operator's Lease. Operators that watch different namespaces need different ones.",
)  # fmt: skip
# What the role is told, and where it and its secrets are.
_ROLE_OPTIONS = [
    click.option("--cluster-name", default="", envvar="CLUSTER_NAME", show_envvar=True,
                 help="The cluster's name in owner tags. Default: the uid of the namespace kube-system."),
    click.option("--deletion-policy", type=click.Choice(["", "Delete", "Retain"]), default="",
                 envvar="DELETION_POLICY", show_envvar=True,
                 help="What an object means that does not give spec.deletionPolicy. Default: Delete."),
    click.option("--service-external-name", default="", envvar="SERVICE_EXTERNAL_NAME", show_envvar=True,
                 help="The host that Services point to; none for an IP address. Default: AWS's for the region."),
    click.option("--iam-path", default="", callback=_matching(iam_policy.PATH), envvar="IAM_PATH", show_envvar=True,
                 help="The IAM path of users that are made. Default: /."),
    click.option("--permissions-boundary", default="", callback=_matching(iam_policy.BOUNDARY),
                 envvar="PERMISSIONS_BOUNDARY", show_envvar=True,
                 help="The ARN of the permissions boundary that every user gets and must keep. Default: none."),
    click.option("--tags", default="", callback=_tags, envvar="TAGS", show_envvar=True,
                 help="Tags for every bucket and user, as a JSON object. They override spec.tags. Default: none."),
    click.option("--allowed-policy", "allowed_policies", multiple=True, callback=_all_matching(iam_policy.BOUNDARY),
                 envvar="ALLOWED_POLICIES", show_envvar=True,
                 help="The ARN of a managed policy that others may attach to users; can be given again, or as a list "
                      "with commas. Default: none."),
    click.option("--allowed-group", "allowed_groups", multiple=True, callback=_all_matching(iam_policy.GROUP),
                 envvar="ALLOWED_GROUPS", show_envvar=True,
                 help="A group that others may add users to; can be given again, or as a list with commas. "
                      "Default: none."),
    click.option("--iam-settle", "iam_settle_s", type=click.IntRange(min=0), default=60, show_default=True,
                 envvar="IAM_SETTLE", show_envvar=True,
                 help="For so many seconds after a key was issued IAM may not show it everywhere."),
    click.option("--project-dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
                 default=Path(__file__).parents[1], envvar="PROJECT_DIR", show_envvar=True,
                 help="The folder with playbooks/ and roles/. Default: beside this program."),
    click.option("--work-dir", type=click.Path(file_okay=False, path_type=Path), default=None,
                 envvar="WORK_DIR", show_envvar=True,
                 help="Where runs have their private folders. Default: a folder in /dev/shm, or in the temporary one."),
]  # fmt: skip
_OPTIONS = [
    click.option("--sync-period", "sync_period_s", type=click.FloatRange(min=1), default=300, show_default=True,
                 envvar=["syncPeriod", "SYNC_PERIOD"], show_envvar=True,
                 help="Every object is looked at again after so many seconds, give or take 10 %."),
    click.option("--max-concurrent-reconciles", type=click.IntRange(min=1), default=3, show_default=True,
                 envvar=["MAX_CONCURRENT_RECONCILES_S3_AGILL_APPS", "MAX_CONCURRENT_RECONCILES"], show_envvar=True,
                 help="How many objects are worked on at a time; of one namespace at most one less."),
    click.option("--resync-workers", type=click.IntRange(min=1), default=8, show_default=True,
                 envvar="RESYNC_WORKERS", show_envvar=True,
                 help="How many drift checks are under way at a time. They wait for AWS most of the time."),
    click.option("--run-timeout", "run_timeout_s", type=click.FloatRange(min=1), default=600, show_default=True,
                 envvar="RUN_TIMEOUT", show_envvar=True, help="A run of the role is ended after so many seconds."),
    click.option("--executor", type=click.Choice(["warm", "stock"]), default="warm", show_default=True,
                 envvar="EXECUTOR", show_envvar=True,
                 help="Whether runs are forks of a process that has Ansible imported, or each a new ansible-playbook."),
    click.option("--drift-check/--no-drift-check", default=True, show_default=True,
                 envvar="DRIFT_CHECK", show_envvar=True,
                 help="Whether an object is checked by reading alone, and the role runs only when something differs. "
                      "Objects with driftPolicy Report are, in any case."),
    click.option("--full-sync-period", "full_sync_period_s", type=click.FloatRange(min=1), default=86400,
                 show_default=True, envvar="FULL_SYNC_PERIOD", show_envvar=True,
                 help="After so many seconds the role runs although the drift check finds nothing."),
    click.option("--grace-period", "grace_period_s", type=click.FloatRange(min=0), default=20, show_default=True,
                 envvar="GRACE_PERIOD", show_envvar=True,
                 help="At the end, runs may finish for so many seconds before they are cancelled."),
    click.option("--orphan-policy", type=click.Choice(["Deactivate", "Report"]), default="Deactivate",
                 envvar="ORPHAN_POLICY", show_envvar=True, show_default=True,
                 help="What happens to the access keys of an IAM user whose S3 object no longer exists. Report: metric "
                      "and log only."),
    click.option("--orphan-grace-period", "orphan_grace_period_s", type=click.FloatRange(min=0), default=600,
                 show_default=True, envvar="ORPHAN_GRACE_PERIOD", show_envvar=True,
                 help="Seconds for which an S3 object must be missing before the keys of its user are deactivated."),
    _WATCH_NAMESPACE,
    *_ROLE_OPTIONS,
    click.option("--leader-elect/--no-leader-elect", default=True, show_default=True,
                 envvar="LEADER_ELECT", show_envvar=True, help="Whether replicas elect one that works, by a Lease."),
    _LEASE_NAMESPACE,
    _LEASE_NAME,
    click.option("--lease-duration", "lease_duration_s", type=click.FloatRange(min=2), default=15, show_default=True,
                 help="For so many seconds a Lease is its holder's."),
    click.option("--renew-deadline", "renew_deadline_s", type=click.FloatRange(min=1), default=10, show_default=True,
                 help="A leader that could not renew for so many seconds stops."),
    click.option("--retry-period", "retry_period_s", type=click.FloatRange(min=0.1), default=2, show_default=True,
                 help="How often the Lease is tried."),
    click.option("--metrics-bind-address", "metrics_address", default=":8080", show_default=True,
                 envvar="METRICS_BIND_ADDRESS", show_envvar=True, help="Where /metrics is served; 0 for nowhere."),
    click.option("--health-probe-bind-address", "health_address", default=":8081", show_default=True,
                 envvar="HEALTH_PROBE_BIND_ADDRESS", show_envvar=True,
                 help="Where /healthz and /readyz are served; 0 for nowhere."),
]  # fmt: skip
_LOG_OPTIONS = [
    click.option("--log-format", type=click.Choice(["json", "text"]), default="json", show_default=True,
                 envvar="LOG_FORMAT", show_envvar=True, help="How log lines look."),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
                 default="info", show_default=True, envvar="LOG_LEVEL", show_envvar=True, help="What is logged."),
]  # fmt: skip


def _with(options: list[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Keeps a bucket, an IAM user, its access key and a Service for every S3 object of a cluster."""


@main.command()
@_with(_OPTIONS + _LOG_OPTIONS)
def run(log_format: str, log_level: str, **flags: Any) -> None:
    """Watch and work until SIGTERM."""
    operator = _operator(log_format, log_level, flags)
    from runner.health import AddressError

    try:
        sys.exit(operator.run())
    except AddressError as error:
        hint = "--metrics-bind-address and --health-probe-bind-address choose others"
        raise click.ClickException(f"{error}: {hint}") from error


@main.command()
@_with(_OPTIONS + _LOG_OPTIONS)
def once(log_format: str, log_level: str, **flags: Any) -> None:
    """One pass over all objects. Exit status 0: all are Ready; 1: some are not; 2: nothing was done."""
    sys.exit(_operator(log_format, log_level, flags).once())


@main.command()
@_with([_WATCH_NAMESPACE, _LEASE_NAMESPACE, _LEASE_NAME])
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=60, show_default=True,
              help="For so many seconds an operator may take to begin its work.")  # fmt: skip
def check(watch_namespaces: tuple[str, ...], leader_election_namespace: str, lease_name: str, wait_s: float) -> None:
    """Tell whether Kubernetes, AWS and an operator answer as they should. Exit status 1: not all do."""
    kube = _kube(watch_namespaces)
    from runner.check import CheckError, checks
    from runner.leader import Election, Terms, scope_of
    from runner.operator import default_identity_namespace

    namespace = leader_election_namespace or default_identity_namespace()
    is_well = True
    scope = scope_of(watch_namespaces)
    election = Election(kube, namespace, "check", Terms(15, 10, 2), name=lease_name, scope=scope)
    for name, look in checks(kube, election, wait_s):
        try:
            click.echo(f"ok      {name}: {look()}")
        except CheckError as error:
            click.echo(f"FAILED  {name}: {error}")
            is_well = False
    sys.exit(0 if is_well else 1)


class _WrongUsage(click.UsageError):
    """Exit status 2 means that something differs, so a wrong flag must end with another."""

    exit_code = 1


class _PlanCommand(click.Command):
    """A command whose usage errors end with 1."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _WrongUsage(error.format_message(), error.ctx) from error


@main.command(cls=_PlanCommand)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--filename", "-f", type=click.File("rb"), help="A YAML file with S3 objects; - for standard input.")
@click.option("--namespace", "-n", default="", help="Only this namespace; with -f, that of objects that name none.")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="How it is printed.")  # fmt: skip
@_with([_WATCH_NAMESPACE, *_ROLE_OPTIONS])
def plan(
    names: tuple[str, ...], filename: Any, namespace: str, output: str, watch_namespaces: tuple[str, ...], **flags: Any
) -> None:
    """Print what the operator would change, field by field, from reads alone.

    The objects are those of a file, or the cluster's. A file needs no cluster: without one give --cluster-name; Secret
    and Service are then not compared. Exit status 0: nothing differs; 2: something differs; 1: an object is refused, or
    AWS or Kubernetes does not answer.
    """
    base = _private_environment(flags["work_dir"])
    logs.set_up("text", "error")
    from runner.plan import PlanError, json_of, plan_cluster, plan_file, status_of, text_of

    try:
        if filename:
            planned = plan_file(filename, namespace or "default", names, flags)
        else:
            planned = plan_cluster(_kube((namespace,) if namespace else watch_namespaces), names, flags)
        click.echo(json_of(planned) if output == "json" else text_of(planned))
        sys.exit(status_of(planned))
    except PlanError as error:
        raise click.ClickException(str(error)) from error
    finally:
        processes.remove_own_folders(base)


@main.command(cls=_PlanCommand)
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="How it is printed.")  # fmt: skip
@_with([_WATCH_NAMESPACE, *_ROLE_OPTIONS])
def orphans(output: str, watch_namespaces: tuple[str, ...], **flags: Any) -> None:
    """List IAM users and buckets with this cluster's owner tags whose S3 object no longer exists. Changes nothing.

    Exit status 0: there are none; 2: there are some; 1: AWS or Kubernetes does not say.
    """
    base = _private_environment(flags["work_dir"])
    logs.set_up("text", "error")
    from runner.orphan_list import OrphanError, find_all, json_of, text_of

    try:
        found = find_all(_kube(watch_namespaces), flags)
        click.echo(json_of(found) if output == "json" else text_of(found))
        sys.exit(2 if found.orphans else 0)
    except OrphanError as error:
        raise click.ClickException(str(error)) from error
    finally:
        processes.remove_own_folders(base)


@main.command("warn-uninstall")
@_with([_WATCH_NAMESPACE])
def warn_uninstall(watch_namespaces: tuple[str, ...]) -> None:
    """Print a warning while S3 objects exist: to be run before an uninstall. The exit status is always 0."""
    kube = _kube(watch_namespaces)
    from runner.check import uninstall_warning
    from runner.kube import KubeError

    try:
        click.echo(uninstall_warning(kube) or "No S3 object is left.")
    except KubeError as error:
        click.echo(f"WARNING: whether S3 objects are left is not known: {error}")


@main.command("iam-policy")
@click.option("--account", required=True, callback=_matching(iam_policy.ACCOUNT), help="The AWS account's number.")
@click.option(
    "--bucket-prefix",
    default="",
    callback=_matching(iam_policy.PREFIX),
    help="Only buckets whose names begin with it. Default: all of the account.",
)
@click.option(
    "--iam-path",
    default="",
    callback=_matching(iam_policy.PATH),
    help="Only users of this path: the operator's own --iam-path. Default: all users.",
)
@click.option(
    "--permissions-boundary",
    default="",
    callback=_matching(iam_policy.BOUNDARY),
    help="Only users with it get rights: the operator's own --permissions-boundary. Default: all.",
)
@click.option("--allowed-group", "allowed_groups", multiple=True, callback=_all_matching(iam_policy.GROUP),
              help="The operator's own --allowed-group: from these it may remove users that it deletes.")  # fmt: skip
@click.option("--partition", default="aws", show_default=True, callback=_matching(iam_policy.PARTITION),
              help="aws, aws-cn or aws-us-gov.")  # fmt: skip
def print_iam_policy(**settings: Any) -> None:
    """Print the least rights that the operator needs in AWS, as an IAM policy."""
    click.echo(json.dumps(iam_policy.policy_for(iam_policy.PolicySettings(**settings)), indent=2))


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def _kube(namespaces: tuple[str, ...]) -> Any:
    from runner.kube import Kube, KubeError, load_config

    try:
        load_config()
    except KubeError as error:
        raise click.ClickException(f"{error}: set KUBECONFIG") from error
    return Kube(namespaces)


def _private_environment(work_dir: Path | None) -> Path:
    """Take AWS keys out of the environment, and let no crash write them down. Returns the folder for private files."""
    processes.forbid_core_dumps()
    base = work_dir or _default_work_base() / f"s3-operator-{os.getuid()}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if base.stat().st_uid != os.getuid():
        raise click.ClickException(f"{base} is another user's: name a folder with --work-dir")
    base.chmod(0o700)
    credentials.clean_environment(base)
    return base


def _operator(log_format: str, log_level: str, flags: dict[str, Any]) -> Any:
    base = _private_environment(flags["work_dir"])
    logs.set_up(log_format, log_level)
    # Only now, with no key left in the environment, is the rest imported.
    from runner.leader import TermsError
    from runner.operator import Operator, default_identity_namespace

    flags["leader_election_namespace"] = flags["leader_election_namespace"] or default_identity_namespace()
    settings = Settings(**{**flags, "work_dir": processes.short_path(base)})
    try:
        return Operator(settings, _kube(flags["watch_namespaces"]))
    except TermsError as error:
        raise click.UsageError(str(error)) from error
