# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observation: reads everything that one S3 object owns, checks its ownership, and compares it with the spec.

:func:`observe` is for a present object, :func:`observe_deletion` for one that is being deleted. Both only read. They
refuse an object whose resources must not be changed, before anything is written.

There is one file for each subject: ``bucket``, ``user``, ``claims`` (conflicts of bucket and user names), ``children``
(Secret and Service), ``removal`` (users that
the spec no longer has), ``deletion``, ``legacy`` (resources of the Go operator), ``account`` (the credentials and the
region).
"""

from __future__ import annotations

from .account import ask_account
from .deletion import Deletion, observe_deletion
from .observation import Observation, UserDeletion, UserObservation, outcome_status, user_status
from .present import observe
from .role import RoleObservation
from .sources import Cluster, Sources, Users

__all__ = [
    "Cluster",
    "Deletion",
    "Observation",
    "RoleObservation",
    "Sources",
    "UserDeletion",
    "UserObservation",
    "Users",
    "ask_account",
    "observe",
    "observe_deletion",
    "outcome_status",
    "user_status",
]
