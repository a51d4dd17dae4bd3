"""The start of each command: it removes AWS keys from the environment, and creates the work directory.

No module that might read a key from the environment may be imported before :func:`private_environment`.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from runner import small_kubernetes
from runner.execution import credentials, processes

if TYPE_CHECKING:
    from runner.kube.client import Kube

_SHM = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it, 0700
# Space for the files of a start: a credentials file and the folders of the warm process.
_MIN_FREE = 64 * 1024
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class WrongUsage(click.UsageError):
    """A usage error of a command that exits with 2 when something differs."""

    exit_code = 1


class ComparingCommand(click.Command):
    """A command that exits with 2 when something differs. Its usage errors exit with 1."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise WrongUsage(error.format_message(), error.ctx) from error


def connect(namespaces: tuple[str, ...]) -> Kube:
    """The configured cluster.

    :raises click.ClickException: when there is none
    """
    small_kubernetes.import_small()
    from runner.kube.client import Kube, KubeError, load_config

    try:
        load_config()
    except KubeError as error:
        raise click.ClickException(str(error)) from error
    return Kube(namespaces)


@contextlib.contextmanager
def private_environment(work_dir: Path | None) -> Iterator[Path]:
    """Remove AWS keys from the environment, and forbid core dumps. Yields the work directory.

    What this process creates there is removed at the end, also when a signal stops the command.

    :param work_dir: None for the default one
    """
    processes.forbid_core_dumps()
    base = work_dir or _default_work_base() / f"s3-operator-{os.getuid()}"
    try:
        _make_private(base, is_default=work_dir is None)
        processes.handle_stop_signals(_exit_by_signal)
        # The restarted program must not lose a signal. A signal must not end it before it can remove the credentials
        # file.
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


def exit_now(status: int) -> NoReturn:
    """Exit although threads may still wait for an answer. Python would abort if such a thread holds a lock at exit."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _default_work_base() -> Path:
    """A memory-backed folder where one exists, because a run's files hold secrets."""
    return _SHM if os.access(_SHM, os.W_OK) else Path(tempfile.gettempdir())


def _make_private(base: Path, *, is_default: bool) -> None:
    """Create the work directory with mode 0700, and check that it is writable.

    :raises OSError: when it cannot be used
    """
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Everyone may write to the parent of the default directory, so a link there may be anyone's.
    if base.stat().st_uid != os.getuid() or (is_default and base.is_symlink()):
        raise click.ClickException(f"{base} is another user's: name a folder of your own with --work-dir")
    base.chmod(0o700)
    with tempfile.TemporaryFile(dir=base) as stream:
        stream.write(bytes(_MIN_FREE))


def _exit_by_signal(number: int) -> NoReturn:
    sys.exit(128 + number)
