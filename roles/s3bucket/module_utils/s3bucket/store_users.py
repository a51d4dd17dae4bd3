# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Creates and tags IAM users in a store that may lack what ``amazon.aws.iam_user`` needs.

Never used on AWS. The tags of a user are where the store keeps them (``user_record``). A write that the store does not
know is an error, but for TagUser and UntagUser: then the tags are in an inline policy. So are tags that the store has
taken and does not show.
"""

from __future__ import annotations

import json

from . import user_record
from .capabilities import is_absent
from .errors import AWS_ERRORS, ReconcileError, failing_to
from .json_types import ApiObject, AwsClient
from .outcome import Reason
from .read import boundary_of, find_record, get_user, listed, tags_in
from .state import UserState
from .users import UserRules

_BOUNDARY = (
    "s3bucket_permissions_boundary: the store has no permissions boundaries of users: leave it out "
    "(--permissions-boundary of the operator, iam.permissionsBoundary of its chart)"
)


def create(iam: AwsClient, name: str, tags: dict[str, str], rules: UserRules, *, has_tags: bool) -> None:
    """Create a user with its tags, path and boundary.

    :param rules: as ``user_record.rules_for`` returns them
    :param has_tags: whether the store's users have tags
    :raises ReconcileError: InvalidSpec for a store that ignores the boundary or the path: the user is deleted again
    """
    given: ApiObject = {**rules.creation, **({"Tags": listed(tags)} if has_tags else {})}
    with failing_to(f"create IAM user {name} (iam:CreateUser, iam:TagUser)"):
        iam.create_user(UserName=name, **given)
        made = iam.get_user(UserName=name)["User"]
        problem = _BOUNDARY if rules.boundary and boundary_of(made) != rules.boundary else ""
        if not has_tags and made.get("Path") != rules.path:
            problem = "spec.iamUser: the store ignores the path of a new user, and its users have no tags"
        if problem:
            iam.delete_user(UserName=name)
            raise ReconcileError(Reason.INVALID_SPEC, problem)
    write_tags(iam, name, tags, purges=False, has_tags=has_tags)


def write_tags(iam: AwsClient, name: str, tags: dict[str, str], *, purges: bool, has_tags: bool) -> bool:
    """Put tags on a user; return whether anything was written.

    :param purges: whether its other tags are removed
    :raises ReconcileError: for an error of the store
    """
    with failing_to(f"tag IAM user {name} (iam:TagUser, iam:UntagUser, iam:PutUserPolicy)"):
        made = get_user(iam, name, may_list_tags=has_tags)
        record = find_record(iam, name)
        user = UserState(arn=made["Arn"], tags=tags_in(made.get("Tags") or []))
        own = dict(user.tags)
        user_record.unfold(user, record)
        wanted = dict(tags) if purges else {**user.tags, **tags}
        if wanted == user.tags and (record is not None or not has_tags or wanted == own):
            return False
        if not (has_tags and _tag(iam, name, own, wanted) and _shows_tags(iam, name, wanted)):
            _put_record(iam, name, wanted)
        elif record is not None:
            iam.delete_user_policy(UserName=name, PolicyName=user_record.POLICY)
    return True


def set_boundary(iam: AwsClient, name: str, boundary: str) -> bool:
    """Set the permissions boundary of a user; return whether it was another one.

    :raises ReconcileError: InvalidSpec for a store that has none
    """
    with failing_to(f"set the permissions boundary of IAM user {name} (iam:PutUserPermissionsBoundary)"):
        if boundary_of(iam.get_user(UserName=name)["User"]) == boundary:
            return False
        try:
            iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=boundary)
        except AWS_ERRORS as error:
            if is_absent(error):
                raise ReconcileError(Reason.INVALID_SPEC, _BOUNDARY) from error
            raise
        if boundary_of(iam.get_user(UserName=name)["User"]) != boundary:
            raise ReconcileError(Reason.INVALID_SPEC, _BOUNDARY)
    return True


def _tag(iam: AwsClient, name: str, found: dict[str, str], wanted: dict[str, str]) -> bool:
    """Change the tags themselves; return False for a store that does not have the actions."""
    removed = [key for key in found if key not in wanted]
    changed = {key: text for key, text in wanted.items() if found.get(key) != text}
    try:
        # What is added comes first: no moment has fewer records than before.
        if changed:
            iam.tag_user(UserName=name, Tags=listed(changed))
        if removed:
            iam.untag_user(UserName=name, TagKeys=removed)
    except AWS_ERRORS as error:
        if is_absent(error):
            return False
        raise
    return True


def _shows_tags(iam: AwsClient, name: str, wanted: dict[str, str]) -> bool:
    """Whether the reads of a user show its tags. Otherwise the operator would not know its own user again."""
    return wanted.items() <= tags_in(get_user(iam, name, may_list_tags=True)["Tags"]).items()


def _put_record(iam: AwsClient, name: str, tags: dict[str, str]) -> None:
    text = json.dumps(user_record.document(tags))
    iam.put_user_policy(UserName=name, PolicyName=user_record.POLICY, PolicyDocument=text)
