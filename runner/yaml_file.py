"""YAML files of the project, read by libyaml where it is installed: it takes a fifth of the time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import yaml

if TYPE_CHECKING:
    from s3bucket.json_types import ApiObject


def read_document(path: Path) -> object:
    """The one document of a file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(), loader)  # noqa: S506 - either is safe


def read_yaml(path: Path) -> ApiObject:
    """The one document of a file that holds a mapping."""
    return cast("ApiObject", read_document(path))
