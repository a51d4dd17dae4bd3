"""The command line of ``s3-operator``. Every flag can be set by an environment variable, as ``--help`` shows."""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

from runner import __version__, logs
from runner.commands import iam_policy
from runner.execution import credentials, processes
from runner.settings import Settings, default_project_dir, find_other_core

_SHM = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it, 0700
# Room for what a start writes: a credentials file and the folders of the warm process.
_MIN_FREE = 64 * 1024
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def _default_work_base() -> Path:
    """A memory-backed folder where there is one: a run's files hold secrets."""
    return _SHM if os.access(_SHM, os.W_OK) else Path(tempfile.gettempdir())


class _Seconds(click.FloatRange):
    """A time that passes: neither nan, which is in every range, nor inf."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


def _namespaces(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    # Once each: two watches of one namespace would do everything twice.
    return tuple(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))


def _project(_: click.Context, __: click.Parameter, folder: Path) -> Path:
    for name in ("playbooks/reconcile.yml", "roles/s3bucket/meta/argument_specs.yml"):
        if not (folder / name).is_file():
            raise click.BadParameter(f"{folder} holds no {name}: name the folder of s3-operator's playbooks and roles")
    other = find_other_core(folder)
    if other:
        message = f"{other} is not what this s3-operator has: name the folder of the same version, or install it"
        raise click.BadParameter(message)
    return folder


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
    click.option("--empty-time", "empty_time_s", type=click.IntRange(min=0), default=60, show_default=True,
                 envvar="EMPTY_TIME", show_envvar=True,
                 help="Seconds for which one run deletes objects from a bucket, at most half of --run-timeout. The "
                      "next run continues; other objects are served in between."),
    click.option("--project-dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
                 default=default_project_dir(), callback=_project, envvar="PROJECT_DIR", show_envvar=True,
                 help="The folder with playbooks/ and roles/. Default: those of this installation."),
    click.option("--work-dir", type=click.Path(file_okay=False, path_type=Path), default=None,
                 envvar="WORK_DIR", show_envvar=True,
                 help="Where runs have their private folders. Default: a folder in /dev/shm, or in the temporary one."),
]  # fmt: skip
_OPTIONS = [
    click.option("--sync-period", "sync_period_s", type=_Seconds(min=1), default=300, show_default=True,
                 envvar=["syncPeriod", "SYNC_PERIOD"], show_envvar=True,
                 help="Every object is looked at again after so many seconds, give or take 10 %."),
    click.option("--max-concurrent-reconciles", type=click.IntRange(min=1), default=3, show_default=True,
                 envvar=["MAX_CONCURRENT_RECONCILES_S3_AGILL_APPS", "MAX_CONCURRENT_RECONCILES"], show_envvar=True,
                 help="How many objects are worked on at a time; of one namespace at most one less."),
    click.option("--resync-workers", type=click.IntRange(min=1), default=8, show_default=True,
                 envvar="RESYNC_WORKERS", show_envvar=True,
                 help="How many drift checks are under way at a time. They wait for AWS most of the time."),
    click.option("--run-timeout", "run_timeout_s", type=_Seconds(min=1), default=600, show_default=True,
                 envvar="RUN_TIMEOUT", show_envvar=True, help="A run of the role is ended after so many seconds."),
    click.option("--executor", type=click.Choice(["warm", "stock"]), default="warm", show_default=True,
                 envvar="EXECUTOR", show_envvar=True,
                 help="Whether runs are forks of a process that has Ansible imported, or each a new ansible-playbook."),
    click.option("--drift-check/--no-drift-check", default=True, show_default=True,
                 envvar="DRIFT_CHECK", show_envvar=True,
                 help="Whether an object is checked by reading alone, and the role runs only when something differs. "
                      "Objects with driftPolicy Report are, in any case."),
    click.option("--full-sync-period", "full_sync_period_s", type=_Seconds(min=1), default=86400,
                 show_default=True, envvar="FULL_SYNC_PERIOD", show_envvar=True,
                 help="After so many seconds the role runs although the drift check finds nothing."),
    click.option("--grace-period", "grace_period_s", type=_Seconds(min=0), default=20, show_default=True,
                 envvar="GRACE_PERIOD", show_envvar=True,
                 help="At the end, runs may finish for so many seconds before they are cancelled."),
    click.option("--orphan-policy", type=click.Choice(["Deactivate", "Report"]), default="Deactivate",
                 envvar="ORPHAN_POLICY", show_envvar=True, show_default=True,
                 help="What happens to the access keys of an IAM user whose S3 object no longer exists. Report: metric "
                      "and log only."),
    click.option("--orphan-grace-period", "orphan_grace_period_s", type=_Seconds(min=0), default=600,
                 show_default=True, envvar="ORPHAN_GRACE_PERIOD", show_envvar=True,
                 help="Seconds for which an S3 object must be missing before the keys of its user are deactivated."),
    _WATCH_NAMESPACE,
    *_ROLE_OPTIONS,
    click.option("--leader-elect/--no-leader-elect", default=True, show_default=True,
                 envvar="LEADER_ELECT", show_envvar=True, help="Whether replicas elect one that works, by a Lease."),
    _LEASE_NAMESPACE,
    _LEASE_NAME,
    click.option("--lease-duration", "lease_duration_s", type=_Seconds(min=2), default=15, show_default=True,
                 help="For so many seconds a Lease is its holder's."),
    click.option("--renew-deadline", "renew_deadline_s", type=_Seconds(min=1), default=10, show_default=True,
                 help="A leader that could not renew for so many seconds stops."),
    click.option("--retry-period", "retry_period_s", type=_Seconds(min=0.1), default=2, show_default=True,
                 help="How often the Lease is tried."),
    click.option("--metrics-bind-address", "metrics_address", default=":8080", show_default=True,
                 envvar="METRICS_BIND_ADDRESS", show_envvar=True,
                 help="Where /metrics is served: host:port, [IPv6 address]:port, or :port for all addresses of the "
                      "machine; 0 for nowhere."),
    click.option("--health-probe-bind-address", "health_address", default=":8081", show_default=True,
                 envvar="HEALTH_PROBE_BIND_ADDRESS", show_envvar=True,
                 help="Where /healthz and /readyz are served, in the same form."),
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
    """Keeps a bucket, an IAM user, its access key and a Service for every S3 object of a cluster.

    A command that cannot start, or is stopped, says why in one line on standard error. Exit status after a signal: 128
    and the signal's number, but for run and once.
    """
    for stream in (sys.stdout, sys.stderr):
        # In a locale that lacks a character, as an escape.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")


@main.command()
@_with(_OPTIONS + _LOG_OPTIONS)
def run(log_format: str, log_level: str, **flags: Any) -> None:
    """Watch and work until SIGTERM, SIGINT or SIGHUP.

    Exit status 0: stopped by a signal; 1: the Lease was lost, or it could not start; 2: a flag is wrong.
    """
    from runner.control.health import AddressError

    with _private_environment(flags["work_dir"]) as base:
        try:
            status = _operator(base, log_format, log_level, flags).run()
        except AddressError as error:
            hint = "--metrics-bind-address and --health-probe-bind-address choose others"
            raise click.ClickException(f"{error}: {hint}") from error
    _end(status)


@main.command()
@_with(_OPTIONS + _LOG_OPTIONS)
def once(log_format: str, log_level: str, **flags: Any) -> None:
    """One pass over all objects, holding the operator's Lease.

    Exit status 0: all objects are Ready; 1: some are not, a namespace is missing, or it was stopped by a signal or the
    loss of the Lease; 2: nothing was done, as it could not start, or another holds the Lease.
    """
    try:
        with _private_environment(flags["work_dir"]) as base:
            status = _operator(base, log_format, log_level, flags).once()
    except click.ClickException as error:
        raise _NothingDone(error.message) from error
    _end(status)


@main.command()
@_with([_WATCH_NAMESPACE, _LEASE_NAMESPACE, _LEASE_NAME])
@click.option("--wait", "wait_s", type=_Seconds(min=0), default=60, show_default=True,
              help="For so many seconds an operator may take to begin its work.")  # fmt: skip
def check(watch_namespaces: tuple[str, ...], leader_election_namespace: str, lease_name: str, wait_s: float) -> None:
    """Tell whether Kubernetes, AWS and an operator answer as they should. Exit status 1: not all do."""
    from runner.commands.check import CheckError, checks, checks_without_cluster
    from runner.kube.config import find_own_namespace
    from runner.kube.leader import Election, Terms, scope_of

    namespace = leader_election_namespace or find_own_namespace()
    try:
        kube = _kube(watch_namespaces)
        scope = scope_of(watch_namespaces)
        election = Election(kube, namespace, "check", Terms(15, 10, 2), name=lease_name, scope=scope)
        found = checks(kube, election, wait_s)
    except click.ClickException as error:
        found = checks_without_cluster(error.message)
    is_well = True
    for name, look in found:
        try:
            click.echo(f"ok      {name}: {look()}")
        except CheckError as error:
            click.echo(f"FAILED  {name}: {error}")
            is_well = False
    sys.exit(0 if is_well else 1)


class _NothingDone(click.ClickException):
    """``once`` could not start."""

    exit_code = 2


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
    with _private_environment(flags["work_dir"]):
        logs.set_up("text", "error")
        from runner.commands.plan import PlanError, json_of, plan_cluster, plan_file, status_of, text_of

        try:
            if filename:
                planned = plan_file(filename, namespace or "default", names, flags)
            else:
                planned = plan_cluster(_kube((namespace,) if namespace else watch_namespaces), names, flags)
            click.echo(json_of(planned) if output == "json" else text_of(planned))
            sys.exit(status_of(planned))
        except PlanError as error:
            raise click.ClickException(str(error)) from error


@main.command(cls=_PlanCommand)
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="How it is printed.")  # fmt: skip
@_with([_WATCH_NAMESPACE, *_ROLE_OPTIONS])
def orphans(output: str, watch_namespaces: tuple[str, ...], **flags: Any) -> None:
    """List IAM users and buckets with this cluster's owner tags whose S3 object no longer exists. Changes nothing.

    Exit status 0: there are none; 2: there are some; 1: AWS or Kubernetes does not say.
    """
    with _private_environment(flags["work_dir"]):
        logs.set_up("text", "error")
        from runner.commands.orphans import OrphanError, find_all, json_of, text_of

        try:
            found = find_all(_kube(watch_namespaces), flags)
            click.echo(json_of(found) if output == "json" else text_of(found))
            sys.exit(2 if found.orphans else 0)
        except OrphanError as error:
            raise click.ClickException(str(error)) from error


@main.command("warn-uninstall")
@_with([_WATCH_NAMESPACE])
def warn_uninstall(watch_namespaces: tuple[str, ...]) -> None:
    """Print a warning while S3 objects exist: to be run before an uninstall. The exit status is always 0."""
    from runner.commands.check import uninstall_warning
    from runner.kube.client import KubeError

    try:
        click.echo(uninstall_warning(_kube(watch_namespaces)) or "No S3 object is left.")
    except (KubeError, click.ClickException) as error:
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
              help="The partition of the account's ARNs, as aws-cn, aws-us-gov or aws-eusc.")  # fmt: skip
def print_iam_policy(**settings: Any) -> None:
    """Print the least rights that the operator needs in AWS, as an IAM policy."""
    click.echo(json.dumps(iam_policy.policy_for(iam_policy.PolicySettings(**settings)), indent=2))


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def _kube(namespaces: tuple[str, ...]) -> Any:
    from runner.kube.client import Kube, KubeError, load_config

    try:
        load_config()
    except KubeError as error:
        raise click.ClickException(str(error)) from error
    return Kube(namespaces)


@contextlib.contextmanager
def _private_environment(work_dir: Path | None) -> Iterator[Path]:
    """Take AWS keys out of the environment, and let no crash write them down. Gives the folder for private files.

    What is made in it is removed at the end, also when a signal stops the command.
    """
    processes.forbid_core_dumps()
    base = work_dir or _default_work_base() / f"s3-operator-{os.getuid()}"
    try:
        _make_private(base, is_default=work_dir is None)
        processes.handle_stop_signals(_exit_by_signal)
        # A new start of this program must not lose a signal, nor die of it before it can remove the credentials file.
        with processes.stop_signals_held():
            credentials.clean_environment(base)
        yield base
    except OSError as error:
        if error.errno not in _NO_SPACE and not str(error.filename or "").startswith(str(base)):
            raise
        problem = f"{base} cannot be used as work directory: {error.strerror}"
        raise click.ClickException(f"{problem}: free space in it, or name another folder with --work-dir") from error
    finally:
        with contextlib.suppress(OSError):
            processes.remove_own_folders(base)


def _make_private(base: Path, *, is_default: bool) -> None:
    """Make the work directory, 0700, and try to write in it.

    :raises OSError: when it cannot be used
    """
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The parent of the default is everybody's: a link there may be anybody's.
    if base.stat().st_uid != os.getuid() or (is_default and base.is_symlink()):
        raise click.ClickException(f"{base} is another user's: name a folder of your own with --work-dir")
    base.chmod(0o700)
    with tempfile.TemporaryFile(dir=base) as stream:
        stream.write(bytes(_MIN_FREE))


def _exit_by_signal(number: int) -> NoReturn:
    sys.exit(128 + number)


def _end(status: int) -> NoReturn:
    """Exit although threads may still wait for an answer: Python aborts when such a thread holds a lock at its end."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _operator(base: Path, log_format: str, log_level: str, flags: dict[str, Any]) -> Any:
    logs.set_up(log_format, log_level)
    # Only now, with no key left in the environment, is the rest imported.
    from runner.execution.environment import find_missing_collections

    missing = find_missing_collections()
    if missing:
        remedy = f"ansible-galaxy collection install -r {flags['project_dir'] / 'requirements.yml'}"
        raise click.ClickException(f"the Ansible collections {', '.join(missing)} are not installed: {remedy}")

    # The role's core imports the collections.
    from runner.control.operator import Operator
    from runner.kube.config import find_own_namespace
    from runner.kube.leader import TermsError

    flags["leader_election_namespace"] = flags["leader_election_namespace"] or find_own_namespace()
    settings = Settings(**{**flags, "work_dir": processes.short_path(base)})
    try:
        return Operator(settings, _kube(flags["watch_namespaces"]))
    except TermsError as error:
        raise click.UsageError(str(error)) from error
