"""The operator's own drift check, in the process of a test."""

from __future__ import annotations

from typing import Any

import pytest

from runner.kube.client import Kube
from tests.support.world import World


def set_as_operator(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the operator's AWS settings and its kubeconfig in this process."""
    for name, value in world.environment().items():
        if name.startswith("AWS_") or name == "KUBECONFIG":
            monkeypatch.setenv(name, value)


def cached(kind: str, namespace: str, name: str) -> dict[str, Any] | None:
    """The objects that a watch would have delivered by now."""
    found = Kube((namespace,)).iterate_children(kind, namespace)
    return next((child.item for child in found if child.name == name), None)
