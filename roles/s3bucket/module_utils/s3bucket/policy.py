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
_LOCKING_ACTIONS = ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:GetBucketPolicy")


def is_same(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Whether two documents mean the same (amazon.aws compares the same way before it writes)."""
    if not one or not other:
        return not one and not other
    return not compare_policies(one, other)


def is_public(policy: dict[str, Any] | None) -> bool:
    """Whether a statement lets everyone in, as Block Public Access sees it."""
    return any(
        statement.get("Effect") == "Allow" and _names_everyone(statement) and not _is_narrowed(statement)
        for statement in statements(policy)
    )


def locks_out(policy: dict[str, Any] | None) -> str | None:
    """The action by which a Deny without Condition keeps even its author from mending the policy."""
    for statement in statements(policy):
        if statement.get("Effect") == "Deny" and _names_everyone(statement) and not statement.get("Condition"):
            for action in _LOCKING_ACTIONS:
                if _covers(statement, action):
                    return action
    return None


def statements(policy: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The statements of a document; AWS takes a single one without its list."""
    found = (policy or {}).get("Statement", [])
    return [item for item in _as_list(found) if isinstance(item, dict)]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _names_everyone(statement: dict[str, Any]) -> bool:
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        return any("*" in _as_list(value) for value in principal.values())
    return principal == "*"


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


def _covers(statement: dict[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(_matches(str(pattern), action) for pattern in _as_list(statement["NotAction"]))
    return any(_matches(str(pattern), action) for pattern in _as_list(statement.get("Action", [])))


def _matches(pattern: str, action: str) -> bool:
    # Action names match without regard to case, with * and ? only: fnmatch's [ ] would be wrong here.
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern.lower())
    return re.fullmatch(expression, action.lower()) is not None
