"""What the cache keeps of an object takes no more memory than Kubernetes stores of it."""

from __future__ import annotations

import tracemalloc

from runner.kube.cache import Cache
from runner.objects import S3Object


def make(text: str) -> S3Object:
    metadata = {"namespace": "team", "name": "photos"}
    return S3Object({"metadata": metadata, "spec": {"bucketName": "photos", "tags": {"a": text}}})


def test_object_comes_back_as_it_was_put_and_is_found_by_its_bucket() -> None:
    cache, key = Cache(S3Object.from_item), ("team", "photos")
    for text in ("plain", 'qu"o\\te', "ünïcödé 🪣", "\ud800", ""):
        cache.put(make(text))
        assert cache.find(key) == make(text)
        assert cache.find_all("bucketName", "photos") == [make(text)]
        assert cache.find_all("bucketName", "photo") == []
    assert cache.put(make("")) is False
    assert cache.put(make("another")) is True


def test_text_with_characters_of_four_bytes_takes_four_bytes_each() -> None:
    """Escaped, each took twelve bytes.

    2,000 objects with policies full of them then exceeded the operator's memory limit.
    """
    cache, one = Cache(S3Object.from_item), make("🪣" * 20_000)
    tracemalloc.start()
    try:
        cache.put(one)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 100_000
