"""``s3-operator once``."""

from __future__ import annotations

import click

from runner import logs
from runner.commands.options import RoleOptions
from runner.commands.run import make_operator, with_operator
from runner.commands.start import exit_now, private_environment


class _NothingDone(click.ClickException):
    """The command could not start."""

    exit_code = 2


@click.command()
@with_operator
def once(role: RoleOptions, log_format: str, log_level: str, **flags: object) -> None:
    """Reconcile all objects once, holding the operator's Lease.

    Exit status 0: all objects are Ready; 1: some are not, a namespace is missing, or it was stopped by a signal or the
    loss of the Lease; 2: nothing was done, because it could not start, or another process holds the Lease.
    """
    try:
        with private_environment(role.work_dir) as base:
            logs.set_up(log_format, log_level)
            status = make_operator(base, role, flags).once()
    except click.ClickException as error:
        raise _NothingDone(error.message) from error
    exit_now(status)
