"""Hooks of mkdocs (https://www.mkdocs.org/dev-guide/plugins/#events). mkdocs loads this file by its path.

The pages have links that work on the forge: relative, also to files outside of ``docs/``. The hooks make them work on
the site. A link to a page of another folder becomes one to its place on the site; a link to any other file of the
repository becomes one to the forge. A link to nothing is a warning, which strict mode takes for an error.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from dev.site.mermaid import get_script

_log = logging.getLogger("mkdocs.hooks.s3_operator")
_PROJECT = Path(__file__).parents[2]
# Pages from outside of docs/, and their places on the site.
INCLUDED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing/index.md",
    "SECURITY.md": "contributing/security.md",
    "chart/s3-operator/README.md": "reference/chart.md",
    "roles/s3bucket/README.md": "reference/role.md",
}
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
# Not the links that a person may click.
_LOADED = re.compile(
    r"""<(?:script|img|iframe)\s[^>]*?\bsrc=["']?(https?://[^"'\s>]+)"""
    r"""|<link\s(?=[^>]*stylesheet)[^>]*?\bhref=["']?(https?://[^"'\s>]+)"""
)
_FENCE = re.compile(r"^( *```.*?^ *```)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace each folder of the nav, an entry that ends with ``/``, by its pages."""
    config.nav = _expand(config.nav or [], Path(config.docs_dir))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside of ``docs/``, and the mermaid script."""
    files.append(File.generated(config, "assets/mermaid.min.js", abs_src_path=str(get_script())))
    for source, place in INCLUDED.items():
        path = _PROJECT / source
        if path.exists():
            files.append(File.generated(config, place, content=path.read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs gives it by name
    """Make the links of a page work on the site."""
    place = page.file.src_uri
    source = next((name for name, there in INCLUDED.items() if there == place), f"docs/{place}")
    resolver = _Links(source, place, config.repo_url or "")
    parts = _FENCE.split(markdown)
    return "".join(part if number % 2 else _LINK.sub(resolver.replace, part) for number, part in enumerate(parts))


def on_post_build(config: MkDocsConfig) -> None:
    """Warn of everything that a reader's browser would load from another host."""
    for path in sorted(Path(config.site_dir).rglob("*.html")):
        for loaded in {match[1] or match[2] for match in _LOADED.finditer(path.read_text())}:
            _log.warning("%s loads %s from another host", path.relative_to(config.site_dir), loaded)


class _Links:
    """The links of one page: ``source`` is its path in the repository, ``place`` that on the site."""

    def __init__(self, source: str, place: str, forge: str) -> None:
        self._source, self._place, self._forge = source, place, forge

    def replace(self, match: re.Match[str]) -> str:
        target, _, anchor = match[2].partition("#")
        if not target or ":" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self._source), target))
        if not (_PROJECT / path).exists():
            _log.warning("%s has a link to %s, which is not in the repository", self._source, target)
        return f"{match[1]}{self._on_site(path)}{'#' if anchor else ''}{anchor}{match[3]}"

    def _on_site(self, path: str) -> str:
        place = INCLUDED.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
        if not place or (_PROJECT / path).is_dir():
            return f"{self._forge}/blob/main/{path}"
        return posixpath.relpath(place, posixpath.dirname(self._place) or ".")


def _expand(nav: list[Any], docs: Path) -> list[Any]:
    """The nav with folders expanded, without pages that are not there (yet)."""
    entries: list[Any] = []
    for entry in nav:
        title, value = next(iter(entry.items())) if isinstance(entry, dict) else ("", entry)
        if isinstance(value, list):
            entries.append({title: _expand(value, docs)})
        elif value.endswith("/"):
            pages = [page for page in _pages_of(docs, value) if page not in nav]
            entries += [{title: pages}] if title and pages else pages
        elif value not in INCLUDED.values() or value in _included():
            entries.append(entry)
    return entries


def _pages_of(docs: Path, folder: str) -> list[str]:
    """The pages of a folder, its index first, those from outside of ``docs/`` too."""
    pages = {f"{folder}{path.name}" for path in (docs / folder).glob("*.md")}
    pages |= {place for place in _included() if place.startswith(folder)}
    return sorted(pages, key=lambda page: (page != f"{folder}index.md", page))


def _included() -> set[str]:
    return {place for source, place in INCLUDED.items() if (_PROJECT / source).exists()}
