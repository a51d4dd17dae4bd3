"""The mermaid script of the site, from the npm package that ``package.json`` names.

mkdocs-material would load mermaid from a CDN in the reader's browser. With a script of the site's own it does not:
https://squidfunk.github.io/mkdocs-material/reference/diagrams/
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

_MEMBER = "package/dist/mermaid.min.js"


class NpmError(Exception):
    """The package cannot be had."""


def get_script() -> Path:
    """The script's file in the cache, fetched with npm the first time.

    :raises NpmError: when npm is missing or fails
    """
    version = json.loads(Path(__file__).with_name("package.json").read_text())["dependencies"]["mermaid"]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s3-operator"
    script = cache / f"mermaid-{version}.min.js"
    if not script.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = cache / f"{script.name}.{os.getpid()}"
        partial.write_bytes(_fetch(f"mermaid@{version}"))
        partial.rename(script)
    return script


def _fetch(package: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, package]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise NpmError(f"npm is not installed: it fetches {package} for the diagrams of the site") from error
        if done.returncode:
            raise NpmError(f"npm pack {package} failed: {done.stderr.strip()}")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            return archive.extractfile(_MEMBER).read()  # type: ignore[union-attr]
