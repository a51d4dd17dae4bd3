"""``s3-operator orphans``."""

from __future__ import annotations

import sys

import click

from runner import logs
from runner.commands.options import OUTPUT, WATCH_NAMESPACE, RoleOptions, with_options, with_role
from runner.commands.start import ComparingCommand, connect, private_environment


@click.command(cls=ComparingCommand)
@with_options([OUTPUT, WATCH_NAMESPACE])
@with_role
def orphans(role: RoleOptions, output: str, watch_namespaces: tuple[str, ...]) -> None:
    """List what has this cluster's owner tags in AWS, and an S3 object that no longer exists. Changes nothing.

    IAM users and roles, EKS Pod Identity associations (with --eks-cluster-arn), and buckets.

    Exit status 0: there are none; 2: there are some; 1: AWS or Kubernetes does not answer.
    """
    with private_environment(role.work_dir):
        logs.set_up("text", "error")
        from runner.commands.orphan_report import OrphanError, find_all, json_of, text_of

        try:
            found = find_all(connect(watch_namespaces), role)
            click.echo(json_of(found) if output == "json" else text_of(found))
            sys.exit(2 if found.orphans else 0)
        except OrphanError as error:
            raise click.ClickException(str(error)) from error
