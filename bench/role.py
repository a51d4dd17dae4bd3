"""The role's own code, where a module of Ansible's would have it: what is in sync is decided by the role's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from s3bucket import children, owner
from s3bucket.keys import KeyPlan, fingerprint_of
from s3bucket.observe import Observation, UserObservation, outcome_status
from s3bucket.role_settings import RoleSettings
from s3bucket.spec import Wanted, wanted_of
from s3bucket.users import NO_RULES

PROJECT = Path(__file__).parents[1]
_ROLE = PROJECT / "roles" / "s3bucket"
_VARIABLES: dict[str, Any] = yaml.safe_load((_ROLE / "defaults" / "main.yml").read_text())
DEFAULTS: dict[str, Any] = _VARIABLES["s3bucket_defaults"]
EXTERNAL_NAME = RoleSettings().service_external_name

__all__ = [
    "DEFAULTS",
    "EXTERNAL_NAME",
    "NO_RULES",
    "PROJECT",
    "KeyPlan",
    "Observation",
    "UserObservation",
    "Wanted",
    "children",
    "fingerprint_of",
    "outcome_status",
    "owner",
    "wanted_of",
]
