"""The generated regions of README and docs; ``make generate`` writes them.

A region is between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``; everything around it is written by hand.
The markers are on lines of their own, or both within one line. The S3 resource comes from ``crds/``, the CLI from
click, the figures from ``bench/results``, the code map from docstrings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from dev.generate import reference
from dev.site import code_map, figures
from runner.cli import main as operator
from s3bucket.settings import ALL

_PROJECT = Path(__file__).parents[2]
# The regions of each page.
PAGES = {
    "README.md": ("figures in short", "number of settings"),
    "docs/operations/sizing.md": ("figures",),
    "docs/reference/s3.md": ("resource",),
    "docs/reference/cli.md": ("commands",),
    "docs/contributing/code-map.md": ("code map",),
    "docs/explanation/role.md": ("settings",),
    "roles/s3bucket/README.md": ("settings",),
}


def make_page(name: str, text: str) -> str:
    """The text of a page with its regions as they should be.

    :raises ValueError: when the page does not have one of them
    """
    for region in PAGES[name]:
        start, end = f"<!-- generated: {region} -->", f"<!-- end of {region} -->"
        head, has_start, rest = text.partition(start)
        old, has_end, tail = rest.partition(end)
        if not has_start or not has_end:
            raise ValueError(f"{name} has no region {start} ... {end}")
        made = _GENERATORS[region]()
        new = f"\n\n{made}\n" if old.startswith("\n") else made
        text = f"{head}{start}{new}{end}{tail}"
    return text


def find_stale() -> dict[str, str]:
    """The pages that are not up to date, with the text that they should have."""
    pages = {name: (_PROJECT / name).read_text() for name in PAGES}
    wanted = {name: make_page(name, text) for name, text in pages.items()}
    return {name: text for name, text in wanted.items() if text != pages[name]}


def _commands() -> str:
    lines: list[str] = []
    for name in sorted(operator.commands):
        lines += _command(name, operator.commands[name])
    return "\n".join(lines).rstrip() + "\n"


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"s3-operator {name}")
    usage = " ".join([f"s3-operator {name}", *command.collect_usage_pieces(context)])
    yield from (f"## {name}", "", f"`{usage}`", "")
    for paragraph in re.split(r"\n\s*\n", (command.help or "").strip()):
        yield from (_placeholders(" ".join(paragraph.split())), "")
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        yield from ("| option | environment | default | meaning |", "|---|---|---|---|")
        yield from map(_option, options)
        yield ""


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if isinstance(option.type, click.Choice):
        names += f" ({', '.join(f'`{choice}`' for choice in option.type.choices if choice)})"
    variables = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    default = f"`{_default(option)}`" if option.show_default else "required" if option.required else ""
    meaning = _cell(_placeholders(option.help or ""))
    return f"| {names} | {', '.join(f'`{variable}`' for variable in variables)} | {default} | {meaning} |"


def _default(option: click.Option) -> str:
    if isinstance(option.default, bool):
        return (option.opts if option.default else option.secondary_opts)[0]
    # 15.0 and 15 are the same to a person.
    return f"{option.default:g}" if isinstance(option.default, float) else str(option.default)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _placeholders(text: str) -> str:
    # Text in angle brackets would be HTML.
    return re.sub(r"<([a-z][^<>]*)>", r"`<\1>`", text)


_GENERATORS: dict[str, Callable[[], str]] = {
    "resource": reference,
    "commands": _commands,
    "code map": code_map.tables,
    "figures": figures.table,
    "figures in short": figures.short_table,
    "number of settings": lambda: str(len(ALL)),
    "settings": lambda: ", ".join(f"`{setting.name}`" for setting in ALL) + "\n",
}


def write_pages() -> None:
    """Write the pages that are not up to date, and print their names."""
    for name, text in find_stale().items():
        (_PROJECT / name).write_text(text)
        print(name)
