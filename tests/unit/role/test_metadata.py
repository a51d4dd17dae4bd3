"""Labels and annotations of a spec in a Secret, Service or ConfigMap, and the record of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3bucket.metadata import MAX_RECORD, RECORD, Metadata, Record, is_same, patch_of, read_record, record_of

GIVEN = Metadata({"team": "photos"}, {"note": "text"})


def item(labels: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"labels": labels, "annotations": annotations}}


def written(metadata: Metadata, *entries: str) -> dict[str, Any]:
    record = record_of(metadata, entries) if entries else record_of(metadata)
    return item(dict(metadata.labels), {**metadata.annotations, **({RECORD: record.text} if record.text else {})})


def test_object_without_anything_of_a_spec_needs_no_record() -> None:
    assert record_of(Metadata()).text == ""
    assert is_same(item({}, {}), Metadata(), record_of(Metadata()))
    assert patch_of(None, Metadata(), record_of(Metadata())) == {"labels": {}, "annotations": {}}


def test_record_survives_being_written_and_read() -> None:
    record = record_of(GIVEN, ["credentials"], config_map=True)
    assert read_record(item({}, {RECORD: record.text})) == record
    assert read_record(item({}, {})) == Record()
    assert read_record(None) == Record()


def test_what_is_removed_from_the_spec_is_removed_and_what_others_set_is_kept() -> None:
    found = written(GIVEN)
    found["metadata"]["labels"]["others"] = "x"
    assert patch_of(found, Metadata({"tier": "1"}), record_of(Metadata({"tier": "1"}))) == {
        "labels": {"team": None, "tier": "1"},
        "annotations": {"note": None, RECORD: '{"labels":["tier"]}'},
    }
    assert patch_of(found, Metadata(), record_of(Metadata())) == {
        "labels": {"team": None},
        "annotations": {"note": None, RECORD: None},
    }


@pytest.mark.parametrize(
    "found",
    [
        item({"team": "other"}, written(GIVEN)["metadata"]["annotations"]),
        item({}, written(GIVEN)["metadata"]["annotations"]),
        item({"team": "photos"}, {RECORD: record_of(GIVEN).text}),
        item({"team": "photos"}, {"note": "text"}),
        written(Metadata({"team": "photos", "more": "x"}, {"note": "text"})),
        {"metadata": {}},
    ],
    ids=["edited", "label", "annotation", "record", "recorded", "none"],
)
def test_any_difference_is_seen(found: dict[str, Any]) -> None:
    assert is_same(written(GIVEN), GIVEN, record_of(GIVEN))
    assert not is_same(found, GIVEN, record_of(GIVEN))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", "{", '{"labels": 1}', '{"labels": [1, {}]}', "[" * 20_000, f'{{"labels": ["{"a" * MAX_RECORD}"]}}'],
    ids=["empty", "list", "number", "open", "no-list", "no-names", "deep", "large"],
)
def test_record_of_any_text_names_nothing(text: str) -> None:
    found = read_record(item({}, {RECORD: text}))
    assert (found.labels, found.annotations) == (frozenset(), frozenset())


@pytest.mark.parametrize("name", ["\ud800", "__ansible_unsafe", "a\n", "", "a" * 318])
def test_forged_record_has_only_names_that_kubernetes_allows(name: str) -> None:
    """They become keys of a manifest, which must be UTF-8, and must be a map for Ansible."""
    text = json.dumps({part: [name, "team"] for part in ("labels", "annotations", "entries")})
    found = read_record(item({}, {RECORD: text}))
    assert found.labels == found.annotations == found.entries == {"team"}


def test_forged_record_does_not_remove_the_operators_own_labels() -> None:
    names = ["agill.apps/s3", "app.kubernetes.io/managed-by", "agill.apps/key"]
    found = item({}, {RECORD: json.dumps({"labels": names, "annotations": names})})
    assert patch_of(found, Metadata(), record_of(Metadata())) == {"labels": {}, "annotations": {RECORD: None}}
