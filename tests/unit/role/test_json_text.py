"""JSON that is nested too deeply for the parser, as the operator and the role read it."""

from __future__ import annotations

import json

import pytest

from s3bucket.json_text import MAX_DEPTH, parse_json


def nested(levels: int, opening: str = '{"f:a":', closing: str = "}") -> str:
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize("levels", [2_000, 150_000])
@pytest.mark.parametrize(("opening", "closing"), [('{"f:a":', "}"), ("[", "]")], ids=["objects", "lists"])
def test_value_that_is_nested_too_deeply_is_cut_and_the_rest_is_there(levels: int, opening: str, closing: str) -> None:
    brackets = '"}]{[\\" \\\\"'
    fields = nested(levels, opening, closing)
    text = f'{{"items":[{{"managedFields":{fields},"name":{brackets}}},{{"managedFields":{fields},"name":"ü"}}],"a":1}}'
    found = parse_json(text.encode())
    assert [item["name"] for item in found["items"]] == [json.loads(brackets), "ü"]
    assert found["a"] == 1


def test_other_text_is_parsed_as_it_is() -> None:
    text = nested(MAX_DEPTH + 1)
    assert parse_json(text.encode()) == json.loads(text)
    for wrong in (b"", b"{", b"<html>", nested(3_000)[:-1].encode(), nested(3_000)[:-2990].encode()):
        with pytest.raises(ValueError, match=r"."):
            parse_json(wrong)
