"""What makes a release: ``make release-check`` runs it on a person's machine, .github/workflows/release.yml on a tag.

``python -m dev.release check [--tag vX.Y.Z]`` compares the versions and leaves in build/release what is published
beside the image: release notes, sdist, wheel, chart and SBOM. ``python -m dev.release facts`` prints what the
workflow's other jobs need. Nothing here talks to a registry or needs a credential: publishing is the workflow's part.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from runner import __version__

from .binaries import find_binaries
from .image import default_name

_PROJECT = Path(__file__).parents[1]
_CHART = "chart/s3-operator"
_LOCK = "container/requirements.lock"
_UNRELEASED = "unreleased"
_HEADING = re.compile(r"^## (?P<version>\S+) \((?P<date>[^)]+)\)$", re.MULTILINE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_DEFAULT_REGISTRY = "docker.io"


class ReleaseError(Exception):
    """Why this commit cannot be released."""


@dataclass(frozen=True)
class Section:
    """One release in CHANGELOG.md; ``date`` is ``unreleased`` until the day of the release."""

    version: str
    date: str
    text: str


def read_sections(changelog: str) -> list[Section]:
    """The releases of a changelog, newest first.

    :raises ReleaseError: when there is none
    """
    headings = list(_HEADING.finditer(changelog))
    if not headings:
        raise ReleaseError("CHANGELOG.md has no section of the form '## X.Y.Z (YYYY-MM-DD)'")
    ends = [heading.start() for heading in headings[1:]] + [len(changelog)]
    return [
        Section(heading["version"], heading["date"], changelog[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=True)
    ]


def check_versions(version: str, chart: dict[str, str], newest: Section, tag: str | None) -> None:
    """Compare all places that state the version. Only with a tag must the changelog have a date.

    :raises ReleaseError: naming each place that differs
    """
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"runner/__init__.py: {version} is not of the form X.Y.Z")
    stated = {
        "Chart.yaml, version": chart["version"],
        "Chart.yaml, appVersion": chart["appVersion"],
        "CHANGELOG.md, first section": newest.version,
        **({"the tag": tag.removeprefix("v")} if tag else {}),
    }
    differing = [f"{place}: {found}" for place, found in stated.items() if found != version]
    if differing:
        raise ReleaseError(f"runner/__init__.py has version {version}, but {', '.join(differing)}")
    if tag and not _DATE.fullmatch(newest.date):
        raise ReleaseError(f"CHANGELOG.md: replace ({newest.date}) by the date of the release, as in (2026-01-31)")
    if newest.date != _UNRELEASED and not _DATE.fullmatch(newest.date):
        raise ReleaseError(f"CHANGELOG.md: ({newest.date}) is neither a date nor ({_UNRELEASED})")


def write_notes(section: Section, repository: str) -> str:
    """Release notes: the section, with links that lead from the page of the release into the repository."""
    base = f"https://github.com/{repository}/blob/v{section.version}/"
    return re.sub(r"\]\((?!https?:|#)([^)]+)\)", rf"]({base}\1)", section.text) + "\n"


def split_image(reference: str) -> tuple[str, str]:
    """Registry, and repository with its registry, of an image reference; without a registry it is Docker Hub's."""
    name = reference.rpartition(":")[0] or reference
    first, _, rest = name.partition("/")
    if not rest or not ("." in first or ":" in first or first == "localhost"):
        first, name = _DEFAULT_REGISTRY, f"{_DEFAULT_REGISTRY}/{name}"
    return first, name


def find_locked(lock: str) -> set[str]:
    """The packages of a requirements file, with their versions: what the SBOM must list."""
    return set(re.findall(r"^([A-Za-z0-9._-]+==[^ \\\n]+)", lock, re.MULTILINE))


def check_sbom(sbom: dict[str, object], locked: set[str]) -> None:
    """Compare a CycloneDX document with the lock.

    :raises ReleaseError: naming what is missing or too much
    """
    components = sbom.get("components")
    listed = {f"{item['name']}=={item['version']}" for item in components} if isinstance(components, list) else set()
    if listed != locked:
        raise ReleaseError(f"SBOM and {_LOCK} differ: {', '.join(sorted(listed ^ locked))}")


def _read_chart() -> dict[str, str]:
    chart = yaml.safe_load((_PROJECT / _CHART / "Chart.yaml").read_text())
    return {key: str(chart[key]) for key in ("version", "appVersion")}


def _check_image(helm: str) -> None:
    rendered = _run(helm, "template", "s3-operator", _CHART)
    images = set(re.findall(r"^\s*(?:- )?image: \"?([^\"\s]+)", rendered, re.MULTILINE))
    expected = split_image(default_name())
    if {split_image(image) for image in images} != {expected}:
        raise ReleaseError(f"the chart's images are {', '.join(sorted(images))}, the release publishes {expected[1]}")


def _build_package(target: Path) -> None:
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target))
    packages = [str(path) for path in target.iterdir() if path.suffix in (".whl", ".gz")]
    _run(sys.executable, "-m", "twine", "check", "--strict", *packages)


def _package_chart(helm: str, target: Path) -> None:
    _run(helm, "lint", "--strict", _CHART)
    _run(helm, "package", _CHART, "--destination", str(target))


def _write_sbom(file: Path) -> None:
    command = ["-m", "cyclonedx_py", "requirements", _LOCK, "--pyproject", "pyproject.toml", "--mc-type", "application"]
    _run(sys.executable, *command, "--output-reproducible", "--output-file", str(file))
    check_sbom(json.loads(file.read_text()), find_locked((_PROJECT / _LOCK).read_text()))


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _report(line: str) -> None:
    print(f"release: {line}", file=sys.stderr, flush=True)


@click.group(help=__doc__)
def main() -> None:
    """Collect the commands."""


@main.command()
@click.option("--tag", help="The tag of the release, as v1.2.3. Without it, the changelog may be unreleased.")
@click.option("--target", type=click.Path(path_type=Path), default=_PROJECT / "build" / "release", show_default=True)
def check(tag: str | None, target: Path) -> None:
    """Check this commit, and build what is published beside the image."""
    try:
        _check(tag, target)
    except ReleaseError as error:
        raise click.ClickException(str(error)) from error


def _check(tag: str | None, target: Path) -> None:
    newest = read_sections((_PROJECT / "CHANGELOG.md").read_text())[0]
    check_versions(__version__, _read_chart(), newest, tag)
    _report(f"version {__version__} ({newest.date}) in the package, the chart and the changelog")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    repository = os.environ.get("GITHUB_REPOSITORY") or "agill17/s3-operator"
    (target / "notes.md").write_text(write_notes(newest, repository))
    programs = find_binaries(["helm", "actionlint"])
    _run(str(programs["actionlint"]))
    helm = str(programs["helm"])
    _check_image(helm)
    _package_chart(helm, target)
    _build_package(target)
    _write_sbom(target / "sbom.cdx.json")
    _report("in " + str(target) + ": " + ", ".join(sorted(path.name for path in target.iterdir())))


@main.command()
def facts() -> None:
    """Print version, image and registry as lines for GITHUB_OUTPUT."""
    registry, image = split_image(default_name())
    print(f"version={__version__}\nregistry={registry}\nimage={image}")


if __name__ == "__main__":
    main()
