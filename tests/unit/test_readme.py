"""The README names every metric, alert and reason, and none that there is not."""

from __future__ import annotations

import re

import pytest
import yaml

from runner.cli import main
from runner.control.metrics import Metrics
from s3bucket.outcome import Reason
from tests.support.world import PROJECT

README = (PROJECT / "README.md").read_text()
ALERTS = yaml.safe_load((PROJECT / "chart" / "s3-operator" / "files" / "alerts.yaml").read_text())


def section(title: str) -> str:
    """A section's text, up to the next title of its level or above."""
    level = title.partition(" ")[0]
    return README.partition(f"\n{title}\n")[2].partition(f"\n{level} ")[0].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The first cell of each row of the tables in a text, less heads."""
    rows = re.findall(r"^\| ?([^|]+?) ?\|", text, re.MULTILINE)
    return [cell for row, cell in enumerate(rows) if "---" not in cell and rows[row + 1 : row + 2] != ["---"]]


def test_every_metric_is_explained() -> None:
    told = [cell.strip("`").partition("{")[0] for cell in first_cells(section("### Metrics"))]
    # A counter's samples end in _total.
    there = [
        f"{family.name}_total" if family.type == "counter" else family.name for family in Metrics().registry.collect()
    ]
    assert sorted(told) == sorted(there)


def test_every_alert_says_what_to_do() -> None:
    assert first_cells(section("### Alerts")) == [alert["alert"] for alert in ALERTS]


def test_every_reason_is_explained() -> None:
    told = ", ".join(first_cells(section("## Is it in order?"))).split(", ")
    # In check mode only, never in a status.
    assert sorted(told) == sorted(set(Reason) - {Reason.WOULD_CHANGE})


@pytest.mark.parametrize("path", ["README.md", "docs/restore-clone-rebuild.md"])
def test_commands_of_the_guides_name_values_and_subcommands_that_exist(path: str) -> None:
    text = (PROJECT / path).read_text()
    values = yaml.safe_load((PROJECT / "chart" / "s3-operator" / "values.yaml").read_text())
    names = re.findall(r"--set[ =]\"?([A-Za-z_.]+?)(?:\\|=)", text)
    assert names
    for name in names:
        found = values
        for part in name.rstrip(".").split("."):
            assert part in found, name
            found = found[part]
            # A value, or a map whose keys are the user's.
            if not found or not isinstance(found, dict):
                break
    assert set(re.findall(r"^(?:  )*s3-operator ([a-z][a-z-]+)", text, re.MULTILINE)) <= set(main.commands)


def test_guide_of_restored_clusters_is_linked() -> None:
    assert "(docs/restore-clone-rebuild.md)" in README


def anchors(text: str) -> set[str]:
    """The anchors of a text's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "docs/awx.md",
        "docs/restore-clone-rebuild.md",
        "docs/without-the-operator.md",
        "roles/s3bucket/README.md",
    ],
)
def test_links_of_the_guides_lead_to_files_and_headings(path: str) -> None:
    text = (PROJECT / path).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text)
    assert links
    for file, anchor in links:
        target = ((PROJECT / path).parent / file if file else PROJECT / path).resolve()
        assert target.exists(), file
        if anchor:
            assert anchor in anchors(target.read_text()), f"{file}#{anchor}"
