"""``s3-operator warn-uninstall``."""

from __future__ import annotations

import click

from runner.commands.options import WATCH_NAMESPACE, with_options
from runner.commands.start import connect


@click.command("warn-uninstall")
@with_options([WATCH_NAMESPACE])
def warn_uninstall(watch_namespaces: tuple[str, ...]) -> None:
    """Print a warning while S3 objects exist. Run it before an uninstall. The exit status is always 0."""
    from runner.commands.check_report import uninstall_warning
    from runner.kube.client import KubeError

    try:
        click.echo(uninstall_warning(connect(watch_namespaces)) or "No S3 object is left.")
    except (KubeError, click.ClickException) as error:
        click.echo(f"WARNING: whether S3 objects are left is not known: {error}")
