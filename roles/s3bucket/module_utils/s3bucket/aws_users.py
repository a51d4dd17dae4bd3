# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tags IAM users in AWS, with the fewest requests: reads only what it needs for the change.

``amazon.aws.iam_user`` makes five requests for one tag, and creates a user that does not exist, without owner tags.
"""

from __future__ import annotations

from .errors import failing_to
from .json_types import AwsClient
from .read import boundary_of, listed, tags_in


def write_tags(iam: AwsClient, name: str, tags: dict[str, str], *, purges: bool) -> bool:
    """Put tags on a user; return whether anything was written.

    :param purges: whether its other tags are removed. They are read now, not taken from an earlier read
    :raises ReconcileError: for an error of AWS
    """
    with failing_to(f"tag IAM user {name} (iam:TagUser{', iam:UntagUser' if purges else ''})"):
        found = tags_in(iam.get_user(UserName=name)["User"].get("Tags") or []) if purges else {}
        changed = {key: text for key, text in tags.items() if found.get(key) != text}
        removed = [key for key in found if key not in tags]
        # What is added comes first: no moment has fewer records than before.
        if changed:
            iam.tag_user(UserName=name, Tags=listed(changed))
        if removed:
            iam.untag_user(UserName=name, TagKeys=removed)
    return bool(changed or removed)


def remove_tags(iam: AwsClient, name: str, tags: list[str]) -> None:
    """Remove tags from a user that has them, or not.

    :raises ReconcileError: for an error of AWS
    """
    with failing_to(f"tag IAM user {name} (iam:UntagUser)"):
        iam.untag_user(UserName=name, TagKeys=tags)


def set_boundary(iam: AwsClient, name: str, boundary: str) -> bool:
    """Set the permissions boundary of a user; return whether it was another one.

    :raises ReconcileError: for an error of AWS
    """
    with failing_to(f"set the permissions boundary of IAM user {name} (iam:PutUserPermissionsBoundary)"):
        if boundary_of(iam.get_user(UserName=name)["User"]) == boundary:
            return False
        iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=boundary)
    return True
