"""What ``make generate`` writes. Whether the files are up to date is checked by ``make check-generated``."""

from __future__ import annotations

import pytest
import yaml

from dev.generate import PROJECT, option_lines, reference_lines, replaced
from dev.site.peers import PEERS
from s3bucket.settings import ALL

SCHEMA = {
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 9, "description": "A <name>: 'its' \"own\"."},
        "rules": {
            "type": "array",
            "maxItems": 2,
            "description": "Rules.",
            "x-kubernetes-validations": [{"message": "rules must not overlap"}],
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"type": "array", "description": "Kinds.", "items": {"type": "string", "enum": ["A", "B"]}},
                    "days": {"type": "integer", "minimum": 1, "description": "Days."},
                },
            },
        },
    },
}


def test_argument_spec_has_the_schema_s_types_choices_and_texts() -> None:
    assert yaml.safe_load("\n".join(option_lines(SCHEMA))) == {
        "name": {"description": "A <name>: 'its' \"own\".", "type": "str", "required": True},
        "rules": {
            "description": "Rules.",
            "type": "list",
            "elements": "dict",
            "options": {
                "kind": {"description": "Kinds.", "type": "list", "elements": "str", "choices": ["A", "B"]},
                "days": {"description": "Days.", "type": "int"},
            },
        },
    }


def test_reference_has_a_section_for_each_field_with_its_limits_and_rules() -> None:
    lines = list(reference_lines(SCHEMA, "spec"))
    assert [line for line in lines if line.startswith("#")] == [
        "### spec.name", "### spec.rules", "### spec.rules[].kind", "### spec.rules[].days",
    ]  # fmt: skip
    assert "`string`, required, at most 9 characters" in lines
    assert "A &lt;name>: 'its' \"own\"." in lines
    assert "- rules must not overlap" in lines
    assert "`list of string`, one of `A`, `B`" in lines
    assert "`integer`, at least 1" in lines


def test_only_lines_between_the_markers_are_replaced() -> None:
    text = "a:\n  # begin of generated lines: x\n  old: 1\n  # end of generated lines: x\nb: 2\n"
    assert replaced(text, "x", ["new: 2"]) == text.replace("old: 1", "new: 2")
    with pytest.raises(ValueError, match="begin of generated lines: y"):
        replaced(text, "y", [])


def test_each_setting_has_its_row_in_the_comparison_with_peers() -> None:
    assert {setting.name for setting in ALL} <= set(PEERS)
    table = (PROJECT / "docs" / "reference" / "s3.md").read_text()
    for setting in ALL:
        assert f"| `{setting.name}` | `{setting.field}` |" in table
