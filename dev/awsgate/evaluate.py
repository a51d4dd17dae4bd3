"""Does a policy allow a right: an explicit Deny, else an Allow, else no.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html, for one identity-based
policy in one account, and for what a bucket's policy denies in it. A condition operator or an element that is not
known here is an error, never a guess.
"""

from __future__ import annotations

from typing import Any

from .rights import Right

_ELEMENTS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}


def is_allowed(policy: dict[str, Any], right: Right) -> bool:
    """Whether the policy gives this right."""
    fitting = [statement for statement in _as_list(policy["Statement"]) if _fits(statement, right)]
    effects = {statement["Effect"] for statement in fitting}
    return "Deny" not in effects and "Allow" in effects


def is_denied(policy: dict[str, Any], right: Right, principal: str) -> bool:
    """Whether a bucket's policy denies this right to a user, by its ARN."""
    return _has_statement(policy, "Deny", right, principal)


def is_let_in(policy: dict[str, Any], right: Right, principal: str) -> bool:
    """Whether a bucket's policy allows this right to a user of another account, by its ARN."""
    return _has_statement(policy, "Allow", right, principal)


def is_service_let_in(policy: dict[str, Any], right: Right, service: str) -> bool:
    """Whether a bucket's policy allows this right to a service of AWS, by its name."""
    return any(
        statement["Effect"] == "Allow"
        and _is_for_service(statement, service)
        and _fits(_without_principal(statement), right)
        for statement in _as_list(policy["Statement"])
    )


def _is_for_service(statement: dict[str, Any], service: str) -> bool:
    named = statement.get("Principal", {})
    return service in _as_list(named.get("Service", [])) if isinstance(named, dict) else named == "*"


def _has_statement(policy: dict[str, Any], effect: str, right: Right, principal: str) -> bool:
    return any(
        statement["Effect"] == effect
        and _is_meant(statement, principal)
        and _fits(_without_principal(statement), right)
        for statement in _as_list(policy["Statement"])
    )


def _is_meant(statement: dict[str, Any], principal: str) -> bool:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html: an account, by its
    # id or as root, is all that is in it.
    account = principal.split(":")[4]
    names = {"*", principal, account, f"arn:aws:iam::{account}:root"}
    is_inverted = "NotPrincipal" in statement
    named = statement["NotPrincipal" if is_inverted else "Principal"]
    listed = _as_list(named.get("AWS", [])) if isinstance(named, dict) else [named]
    return any(name in names for name in listed) != is_inverted


def _without_principal(statement: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in statement.items() if name not in ("Principal", "NotPrincipal")}


def _fits(statement: dict[str, Any], right: Right) -> bool:
    unknown = set(statement) - _ELEMENTS
    if unknown:
        raise ValueError(f"unknown elements in a statement: {unknown}")
    return (
        _names(statement, "Action", right.action, ignores_case=True)
        and _names(statement, "Resource", right.resource)
        and all(
            _holds(operator, _values(right.context, key), [_text(value) for value in _as_list(wanted)])
            for operator, tests in statement.get("Condition", {}).items()
            for key, wanted in tests.items()
        )
    )


def _names(statement: dict[str, Any], element: str, value: str, *, ignores_case: bool = False) -> bool:
    is_inverted = f"Not{element}" in statement
    patterns = _as_list(statement[f"Not{element}" if is_inverted else element])
    return any(_matches(pattern, value, ignores_case=ignores_case) for pattern in patterns) != is_inverted


def _values(context: dict[str, list[str]], key: str) -> list[str] | None:
    # The names of condition keys match without regard to case, a tag's key in them too.
    return next((values for name, values in context.items() if name.lower() == key.lower()), None)


def _holds(operator: str, found: list[str] | None, wanted: list[str]) -> bool:
    """One line of a Condition.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html: a key that
    the request does not have fails a positive operator, and passes a negated one and ``...IfExists``.
    """
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    if operator.startswith("ForAllValues:"):
        name = operator.removeprefix("ForAllValues:")
        return all(_holds(name, [value], wanted) for value in found or [])
    name = operator.removesuffix("IfExists")
    is_negated = "Not" in name
    if found is None:
        return is_negated or name != operator
    return _COMPARE[name.replace("Not", "")](found, wanted) != is_negated


def _is_equal(found: list[str], wanted: list[str]) -> bool:
    return any(value in wanted for value in found)


def _is_like(found: list[str], wanted: list[str]) -> bool:
    return any(_matches(pattern, value) for value in found for pattern in wanted)


# ArnEquals is as ArnLike: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
_COMPARE = {
    "StringEquals": _is_equal,
    "Bool": _is_equal,
    "StringLike": _is_like,
    "ArnEquals": _is_like,
    "ArnLike": _is_like,
}


def _matches(pattern: str, value: str, *, ignores_case: bool = False) -> bool:
    # No regular expression: tests give the gate policies that would keep one busy for years.
    if ignores_case:
        pattern, value = pattern.lower(), value.lower()
    at, place, star, resume = 0, 0, -1, 0
    while place < len(value):
        if pattern[at : at + 1] == "*":
            star, resume, at = at, place, at + 1
        elif pattern[at : at + 1] in ("?", value[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
