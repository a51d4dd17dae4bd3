"""The command line of ``s3-operator``: collects the commands of :mod:`runner.commands`.

Every option that has an environment variable names it in ``--help``.
"""

from __future__ import annotations

import io
import sys

import click

from runner.commands.check import check
from runner.commands.iam_policy import print_iam_policy
from runner.commands.once import once
from runner.commands.orphans import orphans
from runner.commands.plan import plan
from runner.commands.run import run
from runner.commands.version import version
from runner.commands.warn_uninstall import warn_uninstall


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Manages a bucket, an IAM user, its access key and a Service for every S3 object of a cluster.

    A command that cannot start, or is stopped, reports why in one line on standard error. Exit status after a signal:
    128 and the signal's number, but for run and once.
    """
    for stream in (sys.stdout, sys.stderr):
        # In a locale that lacks a character, as an escape.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


for _command in (run, once, check, plan, orphans, warn_uninstall, print_iam_policy, version):
    main.add_command(_command)
