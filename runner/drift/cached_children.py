"""The Secrets and Services of the informer cache, as the role's code reads a cluster (``observe.Cluster``).

The cache is filtered by label: what it lacks and should be there is requested by name before it counts as absent.
"""

from __future__ import annotations

from typing import Protocol

from runner.objects import JsonObject


class Cached(Protocol):
    """Secrets, Services and S3 objects as their watches saw them last; None for others.

    A Secret has fingerprints in place of values.
    """

    def __call__(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """One of them."""


class LiveCluster(Protocol):
    """The API server, as the role's code reads it."""

    def find_secret(self, namespace: str, name: str, *, is_wanted: bool = True) -> JsonObject | None:
        """A Secret; None when there is none."""

    def find_service(self, namespace: str, name: str, *, is_wanted: bool = True) -> JsonObject | None:
        """A Service; None when there is none."""

    def find_config_map(self, namespace: str, name: str) -> JsonObject | None:
        """A ConfigMap; None when there is none."""

    def find_service_account(self, namespace: str, name: str) -> JsonObject | None:
        """A ServiceAccount; None when there is none."""

    def list_secrets(self, namespace: str, name: str) -> list[JsonObject]:
        """The metadata of the Secrets of an S3 object."""

    def find_object(self, namespace: str, name: str) -> JsonObject | None:
        """An S3 object; None when there is none."""

    def is_terminating(self, namespace: str) -> bool:
        """Whether the namespace is being deleted."""

    def dry_run(self, manifest: JsonObject) -> None:
        """Have the API server check a manifest without storing it."""


class CachedCluster:
    """Reads the cache first, then the API server."""

    def __init__(self, cached: Cached, live: LiveCluster) -> None:
        self._cached = cached
        self._live = live
        self.is_terminating = live.is_terminating
        # ConfigMaps are not watched. Only objects of the layout OBC have one.
        self.find_config_map = live.find_config_map
        # Only while a Secret is moved.
        self.list_secrets = live.list_secrets
        # ServiceAccounts are not watched, either. Only those that a role's annotate concerns are read.
        self.find_service_account = live.find_service_account

    def find_secret(self, namespace: str, name: str, *, is_wanted: bool = True) -> JsonObject | None:
        """A Secret; None when there is none."""
        found = self._cached("Secret", namespace, name)
        return self._live.find_secret(namespace, name) if found is None and is_wanted else found

    def find_service(self, namespace: str, name: str, *, is_wanted: bool = True) -> JsonObject | None:
        """A Service; None when there is none."""
        found = self._cached("Service", namespace, name)
        return self._live.find_service(namespace, name) if found is None and is_wanted else found

    def find_object(self, namespace: str, name: str) -> JsonObject | None:
        """An S3 object; None when there is none."""
        found = self._cached("S3", namespace, name)
        return self._live.find_object(namespace, name) if found is None else found

    def dry_run(self, manifest: JsonObject) -> None:
        """Have the API server check a manifest without storing it."""
        self._live.dry_run(manifest)
