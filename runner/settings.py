"""What the operator is told by its flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


def default_project_dir() -> Path:
    """The folder with the role and the playbooks: of the wheel, or of the checkout that this program is in."""
    packaged = Path(__file__).with_name("project")
    return packaged if packaged.is_dir() else Path(__file__).parents[1]


@dataclass(frozen=True)
class Settings:
    """Flags of ``s3-operator run`` and ``once``. Times in seconds; an empty address turns a server off."""

    sync_period_s: float
    max_concurrent_reconciles: int
    resync_workers: int
    run_timeout_s: float
    executor: str
    drift_check: bool
    full_sync_period_s: float
    grace_period_s: float
    watch_namespaces: tuple[str, ...]
    cluster_name: str
    deletion_policy: str
    orphan_policy: str
    orphan_grace_period_s: float
    service_external_name: str
    iam_path: str
    permissions_boundary: str
    tags: dict[str, str]
    allowed_policies: tuple[str, ...]
    allowed_groups: tuple[str, ...]
    iam_settle_s: int
    empty_time_s: int
    leader_elect: bool
    leader_election_namespace: str
    lease_name: str
    lease_duration_s: float
    renew_deadline_s: float
    retry_period_s: float
    metrics_address: str
    health_address: str
    project_dir: Path
    work_dir: Path
