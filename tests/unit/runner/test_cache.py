"""What is kept of an object takes no more than Kubernetes stores of it."""

from __future__ import annotations

import tracemalloc
from typing import Any

from runner.kube.cache import Cache


def item(text: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": "photos"}, "spec": {"bucketName": "photos", "tags": {"a": text}}}


def test_object_comes_back_as_it_was_put_and_is_found_by_its_bucket() -> None:
    cache, key = Cache(), ("team", "photos")
    for text in ("plain", 'qu"o\\te', "ünïcödé 🪣", "\ud800", ""):
        cache.put(key, item(text))
        assert cache.find(key) == item(text)
        assert cache.find_all("bucketName", "photos") == [item(text)]
        assert cache.find_all("bucketName", "photo") == []
    assert cache.put(key, item("")) is False
    assert cache.put(key, item("another")) is True


def test_text_with_characters_of_four_bytes_takes_four_bytes_each() -> None:
    """Escaped it took twelve: 2,000 objects with policies full of them were more than the operator's memory limit."""
    cache, one = Cache(), item("🪣" * 20_000)
    tracemalloc.start()
    try:
        cache.put(("team", "photos"), one)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 100_000
