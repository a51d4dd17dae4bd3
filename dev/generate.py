"""Write the files that follow from others: ``make generate``.

=============================================  ==========================================================
from                                           to
=============================================  ==========================================================
``crds/``                                      the role's argument_specs, and the chart's copy of the CRD
the defaults in ``s3bucket.defaults``          the role's ``defaults/main.yml`` and argument_specs
``s3bucket.role_settings``                     the role's argument_specs, ``defaults/`` and ``vars/main.yml``
the files of ``s3bucket/settings/``            its ``__init__.py``, which imports each of them by name
``runner.commands.iam_policy``                 ``docs/iam-policy.json``
``runner.execution.warm.internals``            ``docs/contributing/ansible-internals.md``
what ``dev.site.generate`` lists               regions of README and docs
=============================================  ==========================================================

In a file that is written by hand, only the lines between two markers are replaced. Each step is a process of its own
(``python -m dev.generate STEP``), as the later ones import what the first one writes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[1]
ROLE = PROJECT / "roles" / "s3bucket"
CORE = ROLE / "module_utils" / "s3bucket"
CRD = PROJECT / "crds" / "s3s.agill.apps.yaml"
# Of docs/iam-policy.json.
_ACCOUNT = "111122223333"
_TYPES = {"string": "str", "boolean": "bool", "integer": "int", "number": "float", "object": "dict", "array": "list"}
_WIDTH = 110
Schema = dict[str, Any]


def main() -> None:
    """Do the step that the command line names, or all."""
    if len(sys.argv) > 1:
        STEPS[sys.argv[1]]()
        return
    for name in STEPS:
        subprocess.run([sys.executable, "-m", "dev.generate", name], check=True, cwd=PROJECT)


def write(path: Path, text: str) -> None:
    """Write a file if it is not so already, and print its name then."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(path.relative_to(PROJECT))


def replaced(text: str, name: str, lines: list[str]) -> str:
    """The text with other lines between the two markers of a name. The lines get the markers' indent.

    :raises ValueError: when a marker is missing
    """
    begin, end = (f"# {word} of generated lines: {name}\n" for word in ("begin", "end"))
    head, found_begin, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"no lines {begin!r} and {end!r}")
    indent = head[head.rfind("\n") + 1 :]
    body = "".join(f"{indent}{line}\n" if line else "\n" for line in lines)
    return f"{head}{begin}{body}{indent}{end}{tail}"


def write_settings() -> None:
    """Import every file of ``settings/`` by name: Ansible packs a module with what its imports name only."""
    names = sorted(path.stem for path in (CORE / "settings").glob("*.py") if path.stem != "__init__")
    path = CORE / "settings" / "__init__.py"
    imports = [f"from .{name} import SETTING as _{name.upper()}" for name in names]
    # The empty line is what ruff wants after imports.
    text = replaced(path.read_text(), "imports", [*imports, ""])
    write(path, replaced(text, "list", [f"_{name.upper()}," for name in names]))


def write_role() -> None:
    """Write the spec's options and the defaults of the role."""
    from s3bucket.defaults import DEFAULTS

    schema = read_schema()["properties"]["spec"]
    defaults = {name: DEFAULTS[name] for name in schema["properties"] if name in DEFAULTS}
    lines = yaml.safe_dump(defaults, sort_keys=False).replace("''", '""').splitlines()
    specs, main_yml = ROLE / "meta" / "argument_specs.yml", ROLE / "defaults" / "main.yml"
    text = replaced(specs.read_text(), "spec", list(option_lines(schema)))
    write(specs, replaced(text, "defaults", lines))
    write(main_yml, replaced(main_yml.read_text(), "defaults", [f"  {line}" for line in lines]))


def write_role_settings() -> None:
    """Write the variables of the role's settings: their options, their defaults, and all of them for the modules."""
    from s3bucket.role_settings import TABLE

    options, defaults = [], []
    for setting in TABLE:
        options += _option_of(setting.variable, setting.help, setting.default, setting.choices)
        defaults += [f"# {line}" for line in textwrap.wrap(setting.help, _WIDTH)]
        defaults += [*_variable_of(setting.variable, setting.name, setting.default), ""]
    names = [f'{setting.name}: "{{{{ {setting.variable} }}}}"' for setting in TABLE]
    for folder, lines in (
        ("meta/argument_specs.yml", options),
        ("defaults/main.yml", defaults[:-1]),
        ("vars/main.yml", names),
    ):
        path = ROLE / folder
        write(path, replaced(path.read_text(), "role settings", lines))


def _variable_of(variable: str, name: str, default: object) -> list[str]:
    """The line of a role variable in its defaults, or the lines of a long one."""
    value = f"{{{{ s3bucket_operator_settings.{name} | default({default!r}) }}}}"
    if len(value) < _WIDTH:
        return [f'{variable}: "{value}"']
    return [f"{variable}: >-", *(f"  {line}" for line in textwrap.wrap(value, _WIDTH))]


def _option_of(name: str, description: str, default: object, choices: tuple[str, ...]) -> list[str]:
    """The option of an argument spec for a setting of the role."""
    kinds = {bool: "bool", int: "int", str: "str", list: "list", dict: "dict"}
    lines = [f"{name}:", "  description: >-"]
    lines += [f"    {line}" for line in textwrap.wrap(description, _WIDTH)]
    lines.append(f"  type: {kinds[type(default)]}")
    lines += ["  elements: str"] if isinstance(default, list) else []
    lines += [f"  choices: {json.dumps(choices)}"] if choices else []
    if isinstance(default, list):
        return [*lines, *(f"  {line}" for line in _list_lines("default", default))]
    return [*lines, f"  default: {json.dumps(default)}"]


def _list_lines(name: str, items: list[str]) -> list[str]:
    """A list in YAML: on one line, or with a line for each item where that would be too long."""
    line = f"{name}: [{', '.join(items)}]"
    return [line] if len(line) < _WIDTH else [f"{name}:", *(f"  - {item}" for item in items)]


def option_lines(schema: Schema) -> Iterator[str]:
    """The options of an argument spec for the properties of an object's schema."""
    for name, field in schema["properties"].items():
        yield f"{name}:"
        for line in _option(field):
            yield f"  {line}"
        if name in schema.get("required", []):
            yield "  required: true"
        items = field.get("items", {})
        inner = field if "properties" in field else items if "properties" in items else None
        if inner:
            yield "  options:"
            for line in option_lines(inner):
                yield f"    {line}"


def _option(field: Schema) -> Iterator[str]:
    yield "description: >-"
    for line in textwrap.wrap(field["description"], _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"  {line}"
    yield f"type: {_TYPES[field['type']]}"
    items = field.get("items", {})
    if items:
        yield f"elements: {_TYPES[items['type']]}"
    choices = field.get("enum", items.get("enum"))
    if choices:
        yield from _list_lines("choices", [str(choice) for choice in choices])


def write_chart() -> None:
    """Copy the CRD into the chart, from where a template reads it."""
    write(PROJECT / "chart" / "s3-operator" / "files" / CRD.name, CRD.read_text())


def write_policy() -> None:
    """Write the documented least-privilege policy."""
    from runner.commands.iam_policy import PolicySettings, policy_for

    boundary = f"arn:aws:iam::{_ACCOUNT}:policy/s3-operator-tenant"
    documented = PolicySettings(_ACCOUNT, "team-", "/s3-operator/", boundary)
    text = json.dumps(policy_for(documented), indent=2)
    write(PROJECT / "docs" / "iam-policy.json", f"{text}\n")


def write_internals() -> None:
    """Write the page about the internals of Ansible that warm runs replace or use."""
    from dev.internals import PAGE, write_page

    write(PAGE, write_page())


def write_docs() -> None:
    """Write the generated regions of README and docs."""
    from dev.site.generate import write_pages

    write_pages()


def reference() -> str:
    """The generated part of the S3 resource's reference page."""
    schema = read_schema()
    lines = ["`agill.apps/v1alpha1`, kind `S3`, namespaced.", "", _text(schema["description"]), ""]
    for part in ("spec", "status"):
        lines += [f"## {part}", "", _text(schema["properties"][part]["description"]), ""]
        lines += [*_rules(schema["properties"][part]), *reference_lines(schema["properties"][part], part)]
    lines += ["## Bucket settings in AWS", ""]
    lines += ["Settings are compared and written in this order. `status.drift` shows their names.", ""]
    return "\n".join([*lines, *_settings_table()]) + "\n"


def _settings_table() -> Iterator[str]:
    """The bucket settings, with where the tests have them and what peers call them."""
    from dev.site.peers import PEERS
    from s3bucket.settings import ALL

    yield "| name | field | IAM actions | tested in | ACK | Crossplane |"
    yield "|---|---|---|---|---|---|"
    for setting in ALL:
        names = dict.fromkeys([setting.read.operation.action, *(item.action for item in setting.writes)])
        actions = ", ".join(f"`{name}`" for name in names)
        tests = f"tests/settings/{setting.name}.py" if setting.is_optional else "tests/role/test_drift.py"
        peers = " | ".join(f"`{name}`" if name else "no" for name in PEERS[setting.name])
        yield f"| `{setting.name}` | `{setting.field}` | {actions} | `{tests}` | {peers} |"


def reference_lines(schema: Schema, path: str) -> Iterator[str]:
    """A section for each field of an object, and for the fields of objects in it."""
    for name, field in schema.get("properties", {}).items():
        items = field.get("items", {})
        yield from (f"### {path}.{name}", "", _kind(field, name in schema.get("required", [])), "")
        yield from (_text(field["description"]), "")
        yield from _rules(field)
        yield from reference_lines(field, f"{path}.{name}")
        yield from reference_lines(items, f"{path}.{name}[]")


def _kind(field: Schema, is_required: bool) -> str:
    items, values = field.get("items", {}), field.get("additionalProperties", {})
    kind = f"list of {items['type']}" if items else f"map of {values['type']}" if values else field["type"]
    limits = {
        "minLength": "at least {} characters", "maxLength": "at most {} characters", "minimum": "at least {}",
        "maximum": "at most {}", "minItems": "at least {} items", "maxItems": "at most {} items",
        "maxProperties": "at most {} entries",
    }  # fmt: skip
    parts = [f"`{kind}`", *(["required"] if is_required else [])]
    choices = field.get("enum", items.get("enum"))
    if choices:
        parts.append(f"one of {', '.join(f'`{choice}`' for choice in choices)}")
    return ", ".join([*parts, *(text.format(field[name]) for name, text in limits.items() if name in field)])


def _rules(field: Schema) -> list[str]:
    rules = [f"- {_text(rule['message'])}" for rule in field.get("x-kubernetes-validations", [])]
    return ["The API server refuses what breaks a rule:", "", *rules, ""] if rules else []


def _text(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def read_schema() -> Schema:
    """The schema of the S3 object."""
    versions = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    return dict(versions[0]["schema"]["openAPIV3Schema"])


STEPS: dict[str, Callable[[], None]] = {
    "settings": write_settings,
    "role": write_role,
    "role-settings": write_role_settings,
    "chart": write_chart,
    "policy": write_policy,
    "internals": write_internals,
    "docs": write_docs,
}

if __name__ == "__main__":
    main()
