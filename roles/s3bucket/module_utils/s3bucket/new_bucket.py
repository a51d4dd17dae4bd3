# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compares a bucket that this run has just created. Reads its settings only."""

from __future__ import annotations

from . import aspects, owner
from .json_types import ApiObject, AwsClient
from .read import read_settings
from .setting import Comparison
from .spec import Wanted


def differing_settings(wanted: Wanted, s3: AwsClient, bucket_owner: str) -> ApiObject:
    """The arguments of s3bucket_settings for a bucket that this run has just created."""
    due = aspects.due_settings(wanted, wanted.creation_tags)
    case = Comparison(wanted, read_settings(s3, wanted.bucket, bucket_owner, due))
    found = aspects.arguments(case, aspects.differing(case))
    missing = [setting.name for setting in aspects.unsupported(case)]
    if missing:
        found["unsupported"] = missing
    unread = [problem.message for problem in aspects.unread(case).values()]
    if unread:
        found["unread"] = unread
    if owner.INITIAL in wanted.creation_tags:
        found |= {"tags": wanted.bucket_tags, "purge_tags": True}
    return found
