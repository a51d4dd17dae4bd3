# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observation: read everything that one S3 object owns, check its ownership, and compare it with the spec.

:func:`observe` is for an object that should be there, :func:`observe_deletion` for one that is being deleted. Both only
read. What must not be changed is refused here, before anything is written.

One file a subject: ``bucket``, ``user``, ``claims`` (of the bucket's and the user's name), ``children`` (Secret and
Service), ``deletion``, ``legacy`` (what the Go operator left), ``account`` (the credentials and the region).
"""

from __future__ import annotations

from .account import ask_account
from .bucket import differing_settings
from .deletion import Deletion, observe_deletion
from .observation import Observation, outcome_status, writes_secret
from .present import observe
from .sources import Cluster, Sources, Users

__all__ = [
    "Cluster",
    "Deletion",
    "Observation",
    "Sources",
    "Users",
    "ask_account",
    "differing_settings",
    "observe",
    "observe_deletion",
    "outcome_status",
    "writes_secret",
]
