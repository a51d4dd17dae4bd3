"""``python -m dev.site.generate``: write the generated regions of README and docs.

A region is between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``; everything around it is written by hand.
The S3 resource comes from ``crds/``, the CLI from click, the figures from ``bench/results``, the code map from
docstrings. ``--check`` writes nothing and fails when a page is not up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from dev.site import code_map, figures
from runner.cli import main as operator

_PROJECT = Path(__file__).parents[2]
# The regions of each page.
PAGES = {
    "README.md": "figures in short",
    "docs/operations/sizing.md": "figures",
    "docs/reference/s3.md": "resource",
    "docs/reference/cli.md": "commands",
    "docs/contributing/code-map.md": "code map",
}


def make_page(name: str, text: str) -> str:
    """The text of a page with its region as it should be.

    :raises ValueError: when the page has no such region
    """
    region = PAGES[name]
    start, end = f"<!-- generated: {region} -->\n", f"<!-- end of {region} -->\n"
    head, has_start, rest = text.partition(start)
    _, has_end, tail = rest.partition(end)
    if not has_start or not has_end:
        raise ValueError(f"{name} has no region {start.strip()} ... {end.strip()}")
    return f"{head}{start}\n{_GENERATORS[region]()}\n{end}{tail}"


def find_stale() -> dict[str, str]:
    """The pages that are not up to date, with the text that they should have."""
    pages = {name: (_PROJECT / name).read_text() for name in PAGES}
    wanted = {name: make_page(name, text) for name, text in pages.items()}
    return {name: text for name, text in wanted.items() if text != pages[name]}


def _resource() -> str:
    crd = yaml.safe_load((_PROJECT / "crds" / "s3s.agill.apps.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [_text(schema), ""]
    group, names = crd["spec"]["group"], crd["spec"]["names"]
    lines += [
        f"Group `{group}`, version `{version['name']}`, kind `{names['kind']}`, plural `{names['plural']}`.",
        "",
        *_list("Rules for the whole object:", _rules(schema)),
        "## Spec",
        "",
        *_object(schema["properties"]["spec"], "spec"),
        "## Status",
        "",
        *_status(schema["properties"]["status"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _object(schema: dict[str, Any], path: str) -> Iterator[str]:
    yield from (_text(schema), "", *_list("Rules for several fields:", _rules(schema)))
    for name, field in schema["properties"].items():
        required = ", required" if name in schema.get("required", ()) else ""
        yield from (f"### {path}.{name}", "", f"*{_type(field)}{required}.* {_text(field)}", "")
        yield from _list("Rules:", [*_limits(field), *_rules(field), *_rules(field.get("additionalProperties", {}))])
        if "properties" in field:
            yield from _rows(field, name)


def _rows(schema: dict[str, Any], path: str) -> Iterator[str]:
    yield from ("| field | type | meaning |", "|---|---|---|")
    for name, field in schema["properties"].items():
        required = ", required" if name in schema.get("required", ()) else ""
        notes = "; ".join(_rules(field))
        text = _text(field) + (f" Rules: {notes}." if notes else "")
        yield f"| `{path}.{name}` | {_type(field)}{required} | {_cell(text)} |"
    yield ""


def _status(schema: dict[str, Any]) -> Iterator[str]:
    yield from (_text(schema), "", "| field | type | meaning |", "|---|---|---|")
    for name, field in schema["properties"].items():
        yield f"| `status.{name}` | {_type(field)} | {_cell(_text(field))} |"
    yield ""


def _text(schema: dict[str, Any]) -> str:
    return _placeholders(" ".join(schema.get("description", "").split()))


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema["type"])


_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} entries",
}


def _limits(schema: dict[str, Any]) -> list[str]:
    return [text.format(schema[key]) for key, text in _LIMITS.items() if schema.get(key, 1) != 1]


def _rules(schema: dict[str, Any]) -> list[str]:
    # The message names the field and the remedy; the rule is CEL.
    return [" ".join(rule["message"].split()) for rule in schema.get("x-kubernetes-validations", [])]


def _list(title: str, items: list[str]) -> list[str]:
    return [title, "", *(f"- {item}" for item in items), ""] if items else []


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


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


def _placeholders(text: str) -> str:
    # Text in angle brackets would be HTML.
    return re.sub(r"<([a-z][^<>]*)>", r"`<\1>`", text)


_GENERATORS: dict[str, Callable[[], str]] = {
    "resource": _resource,
    "commands": _commands,
    "code map": code_map.tables,
    "figures": figures.table,
    "figures in short": figures.short_table,
}


def main() -> None:
    """Write the pages, or with ``--check`` fail when one is not up to date."""
    stale = find_stale()
    if sys.argv[1:] == ["--check"] and stale:
        sys.exit(f"not up to date: {', '.join(stale)}; run make generate-docs and commit the result")
    for name, text in stale.items():
        (_PROJECT / name).write_text(text)
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
