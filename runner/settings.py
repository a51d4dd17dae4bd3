"""The operator's settings, as its flags give them, and the project folder that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import s3bucket
from runner.queue_url import QueueURL
from s3bucket.role_settings import RoleSettings


def default_project_dir() -> Path:
    """The folder with the role and the playbooks: of the wheel, or of the checkout that this program is in."""
    packaged = Path(__file__).with_name("project")
    return packaged if packaged.is_dir() else Path(__file__).parents[1]


def find_other_core(project_dir: Path) -> str:
    """The first file of the role's core in this folder that is not what this program has imported; empty for none.

    The drift check compares with the imported core, and runs repair with the one in the folder. Were they different, a
    difference that only one of them sees would be repaired for ever, or never.
    """
    imported, core = Path(s3bucket.__file__).parent, project_dir / "roles" / "s3bucket" / "module_utils" / "s3bucket"
    if imported == core:
        return ""
    names = sorted({path.relative_to(folder) for folder in (imported, core) for path in folder.rglob("*.py")})
    return next((str(core / name) for name in names if _content(imported / name) != _content(core / name)), "")


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


@dataclass(frozen=True)
class Settings:
    """Flags of ``s3-operator run`` and ``once``. Times in seconds; an empty address turns a server off."""

    sync_period_s: float
    event_queue: QueueURL | None
    sync_period_with_events_s: float
    event_delay_s: float
    max_concurrent_reconciles: int
    resync_workers: int
    reserved_workers: int
    run_timeout_s: float
    executor: str
    drift_check: bool
    full_sync_period_s: float
    verify_credentials: bool
    verify_period_s: float
    grace_period_s: float
    watch_namespaces: tuple[str, ...]
    orphan_policy: str
    orphan_grace_period_s: float
    role: RoleSettings
    leader_elect: bool
    sharding: bool
    leader_election_namespace: str
    lease_name: str
    lease_duration_s: float
    renew_deadline_s: float
    retry_period_s: float
    metrics_address: str
    health_address: str
    project_dir: Path
    work_dir: Path

    @classmethod
    def of(cls, flags: Mapping[str, object]) -> Settings:
        """The settings among checked flags of these names."""
        given: dict[str, Any] = {one.name: flags[one.name] for one in fields(cls)}
        return cls(**given)
