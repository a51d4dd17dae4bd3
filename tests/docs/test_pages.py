"""README and docs: lists are complete, generated pages are up to date, and links have a target."""

from __future__ import annotations

import re

import pytest
import yaml

from dev.site.generate import find_stale
from runner.cli import main
from runner.control.metrics import Metrics
from runner.yaml_file import read_yaml
from s3bucket.outcome import Reason
from tests.support.docs import find_anchors, find_blocks, find_links, find_pages
from tests.support.world import PROJECT

# This reason exists only in check mode, and never in a status.
REASONS = sorted(set(Reason) - {Reason.WOULD_CHANGE})
ALERTS = yaml.safe_load((PROJECT / "chart" / "s3-operator" / "files" / "alerts.yaml").read_text())
VALUES = read_yaml(PROJECT / "chart" / "s3-operator" / "values.yaml")
PAGES = find_pages()


def section(page: str, title: str) -> str:
    """The text of a section, up to the next heading of the same or a higher level."""
    return section_of((PROJECT / page).read_text(), title)


def section_of(text: str, title: str) -> str:
    """Like section, of a text."""
    level = title.partition(" ")[0]
    return text.partition(f"\n{title}\n")[2].partition(f"\n{level} ")[0].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The first cell of each table row in a text, without the header rows."""
    rows = re.findall(r"^\| ?([^|]+?) ?\|", text, re.MULTILINE)
    return [cell for row, cell in enumerate(rows) if "---" not in cell and rows[row + 1 : row + 2] != ["---"]]


def test_every_metric_is_explained() -> None:
    listed = first_cells(section("docs/reference/metrics.md", "## Metrics"))
    # The samples of a counter end in _total.
    there = [
        f"{family.name}_total" if family.type == "counter" else family.name for family in Metrics().registry.collect()
    ]
    assert sorted(cell.strip("`").partition("{")[0] for cell in listed) == sorted(there)


def test_every_alert_has_a_remedy() -> None:
    listed = first_cells(section("docs/reference/metrics.md", "## Alerts"))
    assert listed == [alert["alert"] for alert in ALERTS]


def test_every_reason_has_a_meaning_a_cause_and_a_remedy() -> None:
    listed = first_cells(section("docs/reference/conditions.md", "## Reasons"))
    assert sorted(re.sub(r"\[(\w+)\].*", r"\1", cell) for cell in listed) == REASONS
    for reason in REASONS:
        text = section("docs/operations/troubleshooting.md", f"## {reason}")
        assert re.fullmatch(r"\n\*\*Cause\.\*\* .+\n\n\*\*Remedy\.\*\* .+\n", text), reason
    with_reason = re.findall(
        r"^## (.+)\n\n\*\*Cause", (PROJECT / "docs/operations/troubleshooting.md").read_text(), re.M
    )
    assert sorted(with_reason) == REASONS


def test_generated_parts_are_up_to_date() -> None:
    assert list(find_stale()) == [], "run make generate and commit the result"


def test_files_of_the_code_map_exist() -> None:
    head = (PROJECT / "docs/contributing/code-map.md").read_text().partition("<!-- generated")[0]
    paths = re.findall(r"`([^` ]+/[^` ]*)`", head)
    assert paths
    assert [path for path in paths if not (PROJECT / path).exists()] == []


def test_code_map_describes_every_file() -> None:
    text = (PROJECT / "docs/contributing/code-map.md").read_text()
    assert re.findall(r"^\| `[^`]+` \|\s*\|$", text, re.MULTILINE) == []
    for folder in ("roles/s3bucket/tasks", "playbooks/tasks", "roles/s3bucket/library"):
        files = [path.name for path in (PROJECT / folder).iterdir() if path.suffix in (".py", ".yml")]
        assert sorted(files) == sorted(cell.strip("`") for cell in first_cells(section_of(text, f"### {folder}")))


def test_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES)
def test_commands_name_values_and_subcommands_that_exist(page: str) -> None:
    text = "\n".join(block.text for block in find_blocks(page) if block.kind == "sh").replace("\\\n", " ")
    for name in re.findall(r"--set[ =]\"?([A-Za-z_.]+?)(?:\\|=)", text):
        found = VALUES
        for part in name.rstrip(".").split("."):
            assert part in found, name
            found = found[part]
            # The end of the path: a value, or a map with keys that the user chooses.
            if not found or not isinstance(found, dict):
                break
    assert set(re.findall(r"(?:^|[ /])s3-operator ([a-z][a-z-]+) ", text, re.MULTILINE)) <= {*main.commands, "chart"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for file, anchor in find_links(page):
        target = ((PROJECT / page).parent / file if file else PROJECT / page).resolve()
        assert target.exists(), file
        if anchor:
            assert anchor in find_anchors(str(target.relative_to(PROJECT))), f"{file}#{anchor}"


def test_every_page_of_the_explanation_has_a_diagram() -> None:
    pages = [page for page in PAGES if page.startswith("docs/explanation/")]
    assert [page for page in pages if not any(block.kind == "mermaid" for block in find_blocks(page))] == []
