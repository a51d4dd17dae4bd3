"""The chart's values.schema.json and README.md, generated from the comments of its values.yaml.

``python -m dev.chart_docs`` writes both, ``--check`` compares them. helm-docs makes README.md. The schema is made here,
because the Go module proxy does not serve helm-schema. Its annotations are used, so that it can replace this file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .binaries import find_binaries

CHART = Path(__file__).parents[1] / "chart" / "s3-operator"
SCHEMA, README = "values.schema.json", "README.md"
# Draft 7 is what every Helm 3 and 4 knows.
_DRAFT = "http://json-schema.org/draft-07/schema#"
_BLOCK, _ROOT_BLOCK, _DESCRIPTION = "@schema", "@schema.root", "-- "
_TYPES = {"bool": "boolean", "int": "integer", "str": "string", "seq": "array", "map": "object"}
# With one of them, a value needs no type of its default.
_TYPED = {"type", "enum", "anyOf", "const"}
# The keywords that define which keys or items a map or list may have.
_CONTENTS = {"object": ("properties", "additionalProperties"), "array": ("items",)}

Schema = dict[str, Any]


class AnnotationError(Exception):
    """A comment of values.yaml is missing or not valid. The message names the value."""


def generate(chart: Path) -> None:
    """Write both files of a chart.

    :raises AnnotationError: for a value without a description, or without a schema of its contents
    """
    schema = make_schema((chart / "values.yaml").read_text())
    (chart / SCHEMA).write_text(json.dumps(schema, indent=2) + "\n")
    options = [f"--chart-search-root={chart}", "--sort-values-order=file", "--log-level=warning"]
    subprocess.run([str(find_binaries(["helm-docs"])["helm-docs"]), *options], check=True)


def find_stale(chart: Path = CHART) -> list[str]:
    """The names of the files that are not what :func:`generate` writes."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / chart.name
        shutil.copytree(chart, copy)
        generate(copy)
        return [name for name in (SCHEMA, README) if (copy / name).read_text() != (chart / name).read_text()]


def make_schema(text: str) -> Schema:
    """The JSON Schema of values, from their defaults and the annotations above them.

    A map that has defaults takes no other keys. References to definitions are resolved, so that each value has its own
    description.

    :param text: a values.yaml
    """
    lines = text.splitlines()
    values = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(values, yaml.MappingNode):
        raise AnnotationError("values.yaml is not a map")
    comment = _comment_above(lines, values.start_mark.line)
    root = _annotation(comment, _ROOT_BLOCK, "the comment of the first value")
    definitions = root.pop("definitions", {})
    found = _Source(lines, definitions).properties(values)
    properties = {**_resolve(root.pop("properties", {}), definitions), **found}
    return {"$schema": _DRAFT, **root, "type": "object", "additionalProperties": False, "properties": properties}


@dataclass(frozen=True)
class _Source:
    """The lines of a values.yaml and its definitions."""

    lines: list[str]
    definitions: Schema

    def properties(self, values: yaml.MappingNode, path: str = "", *, is_described: bool = False) -> Schema:
        """The schemas of a map's keys.

        :param path: the map's place in the values
        :param is_described: whether the map, or one around it, has a description
        """
        return {
            key.value: self._property(key, value, f"{path}.{key.value}".lstrip("."), is_described)
            for key, value in values.value
        }

    def _property(self, key: yaml.Node, value: yaml.Node, where: str, is_described: bool) -> Schema:
        comment = _comment_above(self.lines, key.start_mark.line)
        schema: Schema = _resolve(_annotation(comment, _BLOCK, where), self.definitions)
        description = _description(comment)
        if description:
            schema = {"description": description, **{name: schema[name] for name in schema if name != "description"}}
        if not _TYPED & schema.keys():
            schema["type"] = _TYPES[value.tag.rpartition(":")[2]]
        contents = _CONTENTS.get(str(schema.get("type")), ())
        has_contents = any(name in schema for name in contents) or not contents
        if isinstance(value, yaml.MappingNode) and value.value and not has_contents:
            inner = self.properties(value, where, is_described=is_described or bool(description))
            return {**schema, "additionalProperties": False, "properties": inner}
        if not has_contents:
            raise AnnotationError(f"values.yaml: {where} needs an annotation with {' or '.join(contents)}")
        if not (description or is_described):
            raise AnnotationError(f"values.yaml: {where} needs a description, a comment that begins with '# -- '")
        return schema


def _comment_above(lines: list[str], number: int) -> list[str]:
    """The comment directly above a line, without its indentation and signs."""
    first = number
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return [line.strip().removeprefix("#").removeprefix(" ") for line in lines[first:number]]


def _annotation(comment: list[str], mark: str, where: str) -> Schema:
    """The YAML between two lines that are the mark."""
    marks = [number for number, line in enumerate(comment) if line.strip() == mark]
    if not marks:
        return {}
    if len(marks) != 2:
        raise AnnotationError(f"values.yaml: {where} has {len(marks)} lines {mark}, not two")
    found = yaml.safe_load("\n".join(comment[marks[0] + 1 : marks[1]]))
    if not isinstance(found, dict):
        raise AnnotationError(f"values.yaml: {where}: what is between the lines {mark} is not a map")
    return found


def _description(comment: list[str]) -> str:
    """The text from the last line that begins with -- on, less helm-docs' own marks."""
    begins = [number for number, line in enumerate(comment) if line.startswith(_DESCRIPTION)]
    if not begins:
        return ""
    text = [line for line in comment[begins[-1] :] if not line.startswith("@")]
    return " ".join(text).removeprefix(_DESCRIPTION)


def _resolve(schema: Any, definitions: Schema) -> Any:
    """A schema with its references replaced; what stands beside a reference has precedence."""
    if isinstance(schema, list):
        return [_resolve(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).removeprefix("#/definitions/")
    if name and name not in definitions:
        raise AnnotationError(f"values.yaml: there is no definition {name}")
    base = _resolve(definitions[name], definitions) if name else {}
    return {**base, **{key: _resolve(value, definitions) for key, value in schema.items() if key != "$ref"}}


def main() -> None:
    """Write the files, or with ``--check`` exit with 1 where they are not up to date."""
    try:
        if sys.argv[1:] != ["--check"]:
            generate(CHART)
        elif stale := find_stale():
            sys.exit(f"not up to date in {CHART.name}: {', '.join(stale)}. Run: make generate-chart")
    except AnnotationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
