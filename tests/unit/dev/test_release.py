"""A release is refused when its versions, its changelog or its SBOM do not agree."""

from __future__ import annotations

import pytest

from dev.release import ReleaseError, check_sbom, check_versions, find_locked, read_sections, split_image, write_notes

_CHANGELOG = """# Changelog

Text.

## 1.1.0 (2026-12-01)

### Added

- One. See [the guide](docs/guide.md#a) and [AWS](https://example.com/x).

## 1.0.0 (2026-11-01)

- Zero.
"""
_CHART = {"version": "1.1.0", "appVersion": "1.1.0"}


def test_sections_of_a_changelog_are_newest_first() -> None:
    sections = read_sections(_CHANGELOG)
    assert [(section.version, section.date) for section in sections] == [
        ("1.1.0", "2026-12-01"),
        ("1.0.0", "2026-11-01"),
    ]
    assert sections[0].text.startswith("### Added")
    assert "Zero" not in sections[0].text
    assert sections[1].text == "- Zero."


def test_changelog_without_a_section_is_refused() -> None:
    with pytest.raises(ReleaseError, match="no section"):
        read_sections("# Changelog\n\n## Unreleased\n")


def test_versions_that_agree_are_accepted() -> None:
    check_versions("1.1.0", _CHART, read_sections(_CHANGELOG)[0], "v1.1.0")


@pytest.mark.parametrize(
    ("version", "chart", "tag", "place"),
    [
        ("1.1.0", {"version": "1.0.9"}, None, "Chart.yaml, version: 1.0.9"),
        ("1.1.0", {"appVersion": "1.0.9"}, None, "Chart.yaml, appVersion: 1.0.9"),
        ("1.2.0", {"version": "1.2.0", "appVersion": "1.2.0"}, None, "CHANGELOG.md, first section: 1.1.0"),
        ("1.1.0", {}, "v1.1.1", "the tag: 1.1.1"),
        ("1.1.0rc1", {}, None, "not of the form X.Y.Z"),
    ],
    ids=["chart", "app-version", "changelog", "tag", "form"],
)
def test_version_that_differs_is_named(version: str, chart: dict[str, str], tag: str | None, place: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        check_versions(version, {**_CHART, **chart}, read_sections(_CHANGELOG)[0], tag)
    assert place in str(caught.value)


def test_unreleased_changelog_is_refused_with_a_tag_only() -> None:
    newest = read_sections(_CHANGELOG.replace("2026-12-01", "unreleased"))[0]
    check_versions("1.1.0", _CHART, newest, None)
    with pytest.raises(ReleaseError, match="by the date of the release"):
        check_versions("1.1.0", _CHART, newest, "v1.1.0")


def test_changelog_with_something_else_than_a_date_is_refused() -> None:
    newest = read_sections(_CHANGELOG.replace("2026-12-01", "soon"))[0]
    with pytest.raises(ReleaseError, match="neither a date"):
        check_versions("1.1.0", _CHART, newest, None)


def test_links_of_the_notes_lead_into_the_repository() -> None:
    notes = write_notes(read_sections(_CHANGELOG)[0], "owner/name")
    assert "](https://github.com/owner/name/blob/v1.1.0/docs/guide.md#a)" in notes
    assert "](https://example.com/x)" in notes


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("agill17/s3-operator:1.0.0", ("docker.io", "docker.io/agill17/s3-operator")),
        ("ghcr.io/agill17/s3-operator:1.0.0", ("ghcr.io", "ghcr.io/agill17/s3-operator")),
        ("localhost:5000/s3-operator:1.0.0", ("localhost:5000", "localhost:5000/s3-operator")),
    ],
)
def test_image_is_split_as_container_tools_do(reference: str, expected: tuple[str, str]) -> None:
    assert split_image(reference) == expected


def test_sbom_lists_what_is_locked() -> None:
    locked = find_locked("one==1.0 \\\n    --hash=sha256:ab\ntwo==2.0 \\\n    --hash=sha256:cd\n")
    assert locked == {"one==1.0", "two==2.0"}
    components = [{"name": "one", "version": "1.0"}, {"name": "two", "version": "2.0"}]
    check_sbom({"components": components}, locked)
    for wrong in (components[:1], [*components, {"name": "three", "version": "3.0"}], None):
        with pytest.raises(ReleaseError, match="SBOM"):
            check_sbom({"components": wrong}, locked)
