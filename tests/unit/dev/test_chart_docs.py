"""The JSON schema that is generated from the comments of a values.yaml."""

from __future__ import annotations

import pytest

from dev.chart_docs import AnnotationError, make_schema

VALUES = """
# A comment that is no description.

# @schema.root
# title: Values
# properties: {global: {type: object}}
# definitions:
#   port: {description: A port., type: integer, maximum: 65535}
#   ports: {type: array, items: {$ref: "#/definitions/port"}}
# @schema.root
server:
  # @schema
  # $ref: "#/definitions/port"
  # maximum: 1024
  # @schema
  # -- The port that is
  # served. @ is no mark here.
  # @section -- Server
  port: 80
  # @schema
  # $ref: "#/definitions/ports"
  # @schema
  # -- Others.
  others: []
# -- Its own text, for all below.
limits:
  cpu: 1
  deep: {memory: 1Gi, is_set: true}
"""


def test_schema_has_types_descriptions_definitions_and_closed_maps() -> None:
    schema = make_schema(VALUES)
    assert schema.pop("$schema") == "http://json-schema.org/draft-07/schema#"
    deep = {"memory": {"type": "string"}, "is_set": {"type": "boolean"}}
    port = {"description": "A port.", "type": "integer", "maximum": 65535}
    assert schema == {
        "title": "Values",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "global": {"type": "object"},
            "server": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "port": {
                        "description": "The port that is served. @ is no mark here.",
                        "type": "integer",
                        "maximum": 1024,
                    },
                    "others": {"description": "Others.", "type": "array", "items": port},
                },
            },
            "limits": {
                "description": "Its own text, for all below.",
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "cpu": {"type": "integer"},
                    "deep": {"type": "object", "additionalProperties": False, "properties": deep},
                },
            },
        },
    }


BAD = {
    "no-description": ("port: 80", "port needs a description"),
    "no-items": ("# -- Ports.\nports: []", "ports needs an annotation with items"),
    "no-keys": ("# -- Labels.\nmeta:\n  labels: {}", "meta.labels needs an annotation with properties or"),
    "no-end": ("# @schema\n# type: string\n# -- A.\na: x", "a has 1 lines @schema, not two"),
    "no-map": ("# @schema\n# string\n# @schema\n# -- A.\na: x", "a: what is between the lines @schema is not a map"),
    "no-definition": ("# @schema\n# $ref: '#/definitions/b'\n# @schema\n# -- A.\na: x", "there is no definition b"),
    "no-values": ("[]", "values.yaml is not a map"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_annotation_is_named(text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        make_schema(text)
