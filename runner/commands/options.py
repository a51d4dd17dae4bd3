"""The options that several commands have. Those of the role come from :class:`s3bucket.role_settings.RoleSettings`.

An option with an environment variable takes its value from there when it is not given.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from runner.queue_url import QueueURL
from runner.settings import default_project_dir, find_other_core
from s3bucket.errors import ReconcileError
from s3bucket.json_types import Json
from s3bucket.role_settings import TABLE, RoleSettings, Setting

Option = Callable[[Callable[..., None]], Callable[..., None]]


class Seconds(click.FloatRange):
    """A duration. Refuses nan, which every range of click accepts, and inf."""

    name = "seconds"

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The value as a number of seconds."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


def with_options(options: Sequence[Option]) -> Option:
    """Add options to a command, in this order."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def matching(pattern: re.Pattern[str]) -> Callable[[click.Context, click.Parameter, str], str]:
    """A callback that refuses a value that does not match a pattern."""

    def check(_: click.Context, __: click.Parameter, value: str) -> str:
        if value and not pattern.fullmatch(value):
            raise click.BadParameter(f"{value!r} does not match {pattern.pattern}")
        return value

    return check


def all_matching(
    pattern: re.Pattern[str],
) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]:
    """The same for an option that can be given several times, or as a comma-separated list."""

    def check(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(name.strip() for value in values for name in value.split(",") if name.strip())
        wrong = [name for name in names if not pattern.fullmatch(name)]
        if wrong:
            raise click.BadParameter(f"{wrong[0]!r} does not match {pattern.pattern}")
        return names

    return check


def _namespaces(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    # Duplicates are removed: two watches of one namespace would do everything twice.
    return tuple(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))


def _project(_: click.Context, __: click.Parameter, folder: Path) -> Path:
    for name in ("playbooks/operator.yml", "roles/s3bucket/meta/argument_specs.yml"):
        if not (folder / name).is_file():
            raise click.BadParameter(f"{folder} holds no {name}: name the folder of s3-operator's playbooks and roles")
    other = find_other_core(folder)
    if other:
        message = f"{other} is not what this s3-operator has: name the folder of the same version, or install it"
        raise click.BadParameter(message)
    return folder


WATCH_NAMESPACE = click.option(
    "--watch-namespace", "watch_namespaces", multiple=True, callback=_namespaces,
    envvar="WATCH_NAMESPACE", show_envvar=True,
    help="Only this namespace. It can be given again, or as a list with commas. Default: all.",
)  # fmt: skip
LEASE_NAMESPACE = click.option(
    "--leader-election-namespace", default="", envvar="LEADER_ELECTION_NAMESPACE", show_envvar=True,
    help="The namespace of the operator's Lease. Default: the Pod's namespace, or default.",
)  # fmt: skip
LEASE_NAME = click.option(
    "--lease-name", default="s3-operator", show_default=True, envvar="LEASE_NAME", show_envvar=True,
    help="The operator's Lease. Operators that watch different namespaces need different ones.",
)  # fmt: skip


def _queue_url(_: click.Context, __: click.Parameter, value: str) -> QueueURL | None:
    try:
        return QueueURL.parse(value) if value else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


EVENT_QUEUE = click.option(
    "--event-queue-url", "event_queue", default="", callback=_queue_url, envvar="EVENT_QUEUE_URL", show_envvar=True,
    help="The SQS queue that brings CloudTrail's management events of S3 and IAM. An object that others change in AWS "
         "is then checked at once. Default: none.",
)  # fmt: skip
SHARDING = click.option(
    "--sharding/--no-sharding", default=False, show_default=True, envvar="SHARDING", show_envvar=True,
    help="Whether all replicas work, each on its share of the S3 objects. Otherwise one works, the others stand by.",
)  # fmt: skip
OUTPUT = click.option(
    "--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="The format of the output.",
)  # fmt: skip


_HOW_GIVEN: dict[type, str] = {list: " It can be given again, or as a list with commas.", dict: " A JSON object."}


def _of_setting(setting: Setting) -> Option:
    """The option of one setting of the role."""
    default = setting.default if setting.operator_default is None else setting.operator_default
    is_list, is_flag = isinstance(default, list), isinstance(default, bool)
    is_number = isinstance(default, int) and not is_flag
    choices = ("", "true", "false") if is_flag else setting.choices

    def check(_: click.Context, __: click.Parameter, value: str | int | tuple[str, ...]) -> object:
        given: Json = ",".join(value) if isinstance(value, tuple) else value
        try:
            valid = setting.value_of(given, setting.option)
        except ReconcileError as refusal:
            raise click.BadParameter(refusal.message.removeprefix(f"{setting.option}: ")) from refusal
        return tuple(valid) if isinstance(valid, list) else valid

    return click.option(
        setting.option,
        setting.name,
        multiple=is_list,
        # A flag has a value, too, so that the reader of a Deployment's arguments knows where it ends.
        type=click.IntRange(min=0) if is_number else click.Choice(choices) if choices else str,
        default=default if is_number else () if is_list else "",
        show_default=is_number,
        callback=check,
        envvar=setting.environment,
        show_envvar=True,
        help=setting.help + _HOW_GIVEN.get(type(default), ""),
    )


def settings_of(flags: Mapping[str, object]) -> RoleSettings:
    """The settings among checked flags of their names.

    :raises click.UsageError: for settings that contradict each other
    """
    settings = RoleSettings.from_valid(flags)
    try:
        settings.check()
    except ReconcileError as refusal:
        raise click.UsageError(refusal.message) from refusal
    return settings


STORE_OPTIONS = [_of_setting(setting) for setting in TABLE if setting.name in ("provider", "account_id")]

ROLE_OPTIONS: list[Option] = [
    *map(_of_setting, TABLE),
    click.option("--project-dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
                 default=default_project_dir(), callback=_project, envvar="PROJECT_DIR", show_envvar=True,
                 help="The folder with playbooks/ and roles/. Default: those of this installation."),
    click.option("--work-dir", type=click.Path(file_okay=False, path_type=Path), default=None,
                 envvar="WORK_DIR", show_envvar=True,
                 help="The folder for the private folders of runs. Default: in /dev/shm, or the temporary folder."),
]  # fmt: skip


@dataclass(frozen=True)
class RoleOptions:
    """The values of the role's options. ``work_dir`` None: the default folder."""

    settings: RoleSettings
    project_dir: Path
    work_dir: Path | None


def with_role(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the role, and pass their values as ``role``."""

    @functools.wraps(command)
    def wrapped(*, project_dir: Path, work_dir: Path | None, **flags: object) -> None:
        names = {setting.name for setting in TABLE}
        others = {name: value for name, value in flags.items() if name not in names}
        command(role=RoleOptions(settings_of(flags), project_dir, work_dir), **others)

    return with_options(ROLE_OPTIONS)(wrapped)
