# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Policy documents: are two the same, is one public, would one lock us out."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.policy import compare_policies

# A condition on one of these with fixed values makes a statement non-public:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
_NARROWING_KEYS = {
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:sourceowner",
    "aws:sourceaccount",
    "aws:sourceip",
    "aws:userid",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalaccount",
    "aws:principalarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
}
# What mends a policy, and what every look at a bucket asks for before anything can be mended.
POLICY_ACTIONS = ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:GetBucketPolicy")
_LOOK_ACTIONS = (
    "s3:ListBucket",
    "s3:GetBucketTagging",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketAcl",
    "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetAccelerateConfiguration",
)


def is_same(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Whether two documents mean the same (amazon.aws compares the same way before it writes)."""
    if not one or not other:
        return not one and not other
    return not compare_policies(one, other)


def is_public(policy: dict[str, Any] | None) -> bool:
    """Whether a statement lets everyone in, as Block Public Access sees it."""
    return any(
        statement.get("Effect") == "Allow" and _names_any(statement, {"*"}) and not _is_narrowed(statement)
        for statement in statements(policy)
    )


def locks_out(policy: dict[str, Any] | None, bucket_arn: str, account: str = "") -> str | None:
    """The action by which a Deny without Condition keeps the operator from the bucket, or from its policy.

    :param account: an id, if it is known by now: who names it, names all in it
    """
    names = {"*", account, *(f"arn:{partition}:iam::{account}:root" for partition in ("aws", "aws-cn", "aws-us-gov"))}
    for statement in statements(policy):
        if statement.get("Effect") != "Deny" or not _names_any(statement, names) or statement.get("Condition"):
            continue
        for action in (*POLICY_ACTIONS, *_LOOK_ACTIONS):
            if _covers(statement, "Action", action.lower()) and _covers(statement, "Resource", bucket_arn):
                return action
    return None


def statements(policy: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The statements of a document; AWS takes a single one without its list."""
    found = (policy or {}).get("Statement", [])
    return [item for item in _as_list(found) if isinstance(item, dict)]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _names_any(statement: dict[str, Any], names: set[str]) -> bool:
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    listed = principal.values() if isinstance(principal, dict) else [principal]
    return any(str(name) in names for value in listed for name in _as_list(value))


def _is_narrowed(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition")
    if not isinstance(condition, dict):
        return False
    return any(
        key.lower() in _NARROWING_KEYS and all("*" not in str(value) for value in _as_list(values))
        for operator, tests in condition.items()
        if isinstance(tests, dict) and not operator.lower().startswith(("stringnot", "arnnot", "notip"))
        for key, values in tests.items()
    )


def _covers(statement: dict[str, Any], element: str, value: str) -> bool:
    # What AWS asks for and is not there, AWS refuses: here it counts as everything.
    is_inverted = f"Not{element}" in statement
    patterns = [str(pattern) for pattern in _as_list(statement.get(f"Not{element}" if is_inverted else element, "*"))]
    if element == "Action":
        patterns = [pattern.lower() for pattern in patterns]
    return any(_matches(pattern, value) for pattern in patterns) != is_inverted


def _matches(pattern: str, value: str) -> bool:
    # With * and ? only: fnmatch's [ ] would be wrong here.
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None
