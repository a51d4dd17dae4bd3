"""JSON that is nested more deeply than the parser can, in the operator and in the role."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import json_text

sys.path.insert(0, str(Path(__file__).parents[3] / "roles" / "s3bucket" / "module_utils"))
_OF_ROLE = importlib.import_module("s3bucket.json_text")


@pytest.fixture(params=[json_text.parse_json, _OF_ROLE.parse_json], ids=["operator", "role"])
def parse(request: pytest.FixtureRequest) -> Callable[[bytes], Any]:
    return request.param  # type: ignore[no-any-return]


def nested(levels: int, opening: str = '{"f:a":', closing: str = "}") -> str:
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize("levels", [2_000, 150_000])
@pytest.mark.parametrize(("opening", "closing"), [('{"f:a":', "}"), ("[", "]")], ids=["objects", "lists"])
def test_value_that_is_nested_too_deeply_is_cut_and_the_rest_is_there(
    parse: Callable[[bytes], Any], levels: int, opening: str, closing: str
) -> None:
    brackets = '"}]{[\\" \\\\"'
    fields = nested(levels, opening, closing)
    text = f'{{"items":[{{"managedFields":{fields},"name":{brackets}}},{{"managedFields":{fields},"name":"ü"}}],"a":1}}'
    found = parse(text.encode())
    assert [item["name"] for item in found["items"]] == [json.loads(brackets), "ü"]
    assert found["a"] == 1


def test_other_text_is_parsed_as_it_is(parse: Callable[[bytes], Any]) -> None:
    text = nested(json_text.MAX_DEPTH + 1)
    assert parse(text.encode()) == json.loads(text)
    for wrong in (b"", b"{", b"<html>", nested(3_000)[:-1].encode(), nested(3_000)[:-2990].encode()):
        with pytest.raises(ValueError, match=r"."):
            parse(wrong)


def test_role_and_operator_do_the_same() -> None:
    texts = [Path(module.__file__ or "").read_text() for module in (json_text, _OF_ROLE)]
    assert len({text.partition("from __future__")[2] for text in texts}) == 1
