"""What several tests of the role need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.world import World

NewObject = Callable[..., dict[str, Any]]


@pytest.fixture
def new_object(world: World, namespace: str, new_name: Callable[[str], str]) -> NewObject:
    """Makes S3 objects in the API server, with names of their own where none are given."""

    def make(**spec: Any) -> dict[str, Any]:
        defaults = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
        given = {name: value for name, value in {**defaults, **spec}.items() if value is not None}
        return world.make_object(namespace, new_name("cr"), given)

    return make
