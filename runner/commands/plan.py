"""``s3-operator plan``."""

from __future__ import annotations

import sys
from typing import BinaryIO

import click

from runner import logs
from runner.commands.options import OUTPUT, WATCH_NAMESPACE, RoleOptions, with_options, with_role
from runner.commands.start import ComparingCommand, connect, private_environment


@click.command(cls=ComparingCommand)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--filename", "-f", type=click.File("rb"), help="A YAML file with S3 objects; - for standard input.")
@click.option("--namespace", "-n", default="", help="Only this namespace; with -f, that of objects that name none.")
@with_options([OUTPUT, WATCH_NAMESPACE])
@with_role
def plan(
    role: RoleOptions,
    names: tuple[str, ...],
    filename: BinaryIO | None,
    namespace: str,
    output: str,
    watch_namespaces: tuple[str, ...],
) -> None:
    """Print what the operator would change, field by field, from reads alone.

    The objects are those of a file, or the cluster's. A file needs no cluster: without one give --cluster-name; Secret
    and Service are then not compared. Exit status 0: nothing differs; 2: something differs; 1: an object is refused, or
    AWS or Kubernetes does not answer.
    """
    with private_environment(role.work_dir):
        logs.set_up("text", "error")
        from runner.commands.plan_report import PlanError, json_of, plan_cluster, plan_file, status_of, text_of

        try:
            if filename:
                planned = plan_file(filename, namespace or "default", names, role)
            else:
                planned = plan_cluster(connect((namespace,) if namespace else watch_namespaces), names, role)
            click.echo(json_of(planned) if output == "json" else text_of(planned))
            sys.exit(status_of(planned))
        except PlanError as error:
            raise click.ClickException(str(error)) from error
