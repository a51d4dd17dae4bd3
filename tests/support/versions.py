"""The Ansible versions in this environment."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import ansible_collections

COLLECTIONS = ("amazon.aws", "kubernetes.core")


def ansible_core_version() -> str:
    return version("ansible-core")


def collection_version(name: str) -> str:
    folders = [Path(path) / name.replace(".", "/") for path in ansible_collections.__path__]
    manifest = next(folder / "MANIFEST.json" for folder in folders if folder.exists())
    return str(json.loads(manifest.read_text())["collection_info"]["version"])
