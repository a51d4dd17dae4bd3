# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Policy documents: parses and compares them, and finds statements that are public or lock the operator out.

Tenants write the texts: they come from a CR, or from a bucket, where a tenant's key may write the policy. So every
function here needs time and memory that are bounded by :data:`MAX_BYTES`, and raises no exception but
:class:`PolicyError`. No regular expression is built from such a text. This file imports only the standard library. The
operator evaluates a new text first in a separate process that it can end (``runner/drift/sandbox.py``), and that
process should be small.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, NoReturn

from .json_types import Json, JsonObject

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/add-bucket-policy.html ("limited to 20 KB in size")
MAX_BYTES = 20 * 1024
# A policy has six levels: document, statements, statement, Condition, operator, values.
MAX_DEPTH = 12
# More digits than any number that AWS compares.
_MAX_DIGITS = 40
_MAX_SHOWN = 60
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
_DEFAULT_VERSION = "2008-10-17"
_PRINCIPALS = ("Principal", "NotPrincipal")
# The ids of users and roles:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
_ID_PREFIXES = ("AIDA", "AROA")
_MIN_ID = 16
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
# The actions that repair a policy. Where the first two are denied, only the account's root user can use the bucket.
POLICY_ACTIONS = ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:GetBucketPolicy")
# The trial evaluation of a text checks at least as many actions as the core needs for reading a bucket.
TRIAL_ACTIONS = ("s3:GetBucketOwnershipControls",) * 32


class Replaced(NamedTuple):
    """The ARNs that a policy names and AWS no longer returns, and the unique ids that AWS returns instead."""

    arns: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


class PolicyError(ValueError):
    """The text is not a policy document. The message continues a sentence that begins with the field's name."""


def parse(text: str) -> JsonObject:
    """Parse the JSON text of a policy document. Blank text and ``{}`` mean no policy and return an empty dict.

    It is stricter than ``json.loads`` where AWS is stricter. It is also stricter where the result would not be what the
    author wrote: of two equal keys, only the last one would be used.

    :raises PolicyError: for any error in the text
    """
    _check_text(text, "it")
    if len(text.encode()) > MAX_BYTES:
        raise PolicyError(f"has more than {MAX_BYTES} bytes, which is AWS's limit for a bucket policy")
    if not text.strip():
        return {}
    _check_depth(text)
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    except PolicyError:
        raise
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise PolicyError("must hold a JSON object")
    _check_texts(document)
    _check_statements(document)
    return document


def is_same(one: JsonObject | None, other: JsonObject | None) -> bool:
    """Whether two documents mean the same to AWS.

    Only these differences are ignored: a single value in place of a list with this value; the order of a list, and
    repeated values in it; ``"*"`` for ``{"AWS": "*"}`` as principal; an account's id for the ARN of its root; a number
    or boolean for the same text; an empty ``Condition`` or ``Id``; a missing ``Version`` for 2008-10-17.
    """
    if not one or not other:
        return not one and not other
    try:
        return _canonical(one) == _canonical(other)
    except PolicyError:
        return False


def is_same_text(text: str | None, policy: JsonObject | None) -> bool:
    """Whether a text from AWS (None for no policy) is this document. False when the text cannot be parsed."""
    if text is None:
        return not policy
    try:
        return is_same(parse(text), policy)
    except PolicyError:
        return False


def record_of(policy: JsonObject, text: str) -> str:
    """The record for a tag after a PutBucketPolicy: digests of the document sent, and of the text that AWS returns.

    AWS returns many policies in another form. While neither digest changes, nothing has changed.
    """
    return f"{_digest(policy)}:{_digest_of_text(text)}"


def is_applied(text: str | None, policy: JsonObject | None, record: str, *, is_record_safe: bool) -> bool:
    """Whether a text from AWS is this document, or the form of it that AWS returned when the record was written.

    The record shows that AWS returned this text after the operator's write. But whoever has the bucket's key may have
    written other policies in between, again and again. So the record is used only for forms that AWS is known to return
    in addition to those of :func:`is_same`. All that it can hide is another CloudFront identity, or an account in place
    of a canonical user id.

    :param record: as :func:`record_of` returns it, or an empty string
    :param is_record_safe: False when others may have written the record at any time: accounts are then not accepted
    """
    if is_same_text(text, policy):
        return True
    if text is None or not policy or not record or record != record_of(policy, text):
        return False
    try:
        answer = parse(text)
        accounts = _new_accounts(answer, policy) if is_record_safe else set()
        return _canonical(_simplified(answer, accounts)) == _canonical(_simplified(policy, set()))
    except PolicyError:
        return False


def _new_accounts(answer: JsonObject, policy: JsonObject) -> set[str]:
    """The accounts that AWS may return in place of the canonical user ids that a policy names.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-bucket-user-policy-specifying-principal-intro.html
    """
    has_canonical = any(
        "CanonicalUser" in _principals_of(item, element) for item in statements(policy) for element in _PRINCIPALS
    )
    if not has_canonical:
        return set()
    known = set(map(_canonical_principal, _names_in(policy)))
    return {name for name in map(_canonical_principal, _names_in(answer)) if name.isdigit()} - known


def names_principal(policy: JsonObject | None, name: str) -> bool:
    """Whether a statement names a principal, given as an ARN."""
    return any(
        name in _as_list(value)
        for statement in statements(policy)
        for element in _PRINCIPALS
        for value in _principals_of(statement, element).values()
    )


def names_entity(policy: JsonObject | None) -> bool:
    """Whether a statement names a user or role by its ARN, for which AWS saves the unique id."""
    return any(map(_is_entity, _names_in(policy)))


def find_replaced(text: str | None, policy: JsonObject | None, record: str) -> Replaced:
    """The users and roles that were deleted since the policy was written, if nothing else differs.

    AWS stores the unique id of a user or role that a policy names, and returns the id once the user or role is deleted.
    A new one of the same name has another id, and gets access only when someone writes the policy again.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-users

    :param record: as :func:`record_of` returns it, or an empty string. The record of another policy means that this
        policy has not been written yet
    :returns: empty also when writing the policy again would give no one access, because only statements that deny name
        them
    """
    if text is None or not policy or (record and record.partition(":")[0] != _digest(policy)):
        return Replaced()
    try:
        answer = parse(text)
        found = set(_names_in(answer))
        replaced = Replaced(
            tuple(sorted(name for name in {*_names_in(policy)} - found if _is_entity(name))),
            tuple(sorted(filter(_is_unique_id, found))),
        )
        is_alone = bool(replaced.ids) and _equal_but_for(answer, policy, {*replaced.arns, *replaced.ids})
    except PolicyError:
        return Replaced()
    gives = any(_gives_access(item) and not {*replaced.ids}.isdisjoint(_names_of(item)) for item in statements(answer))
    return replaced if is_alone and gives else Replaced()


def _equal_but_for(one: JsonObject, other: JsonObject, names: set[str]) -> bool:
    return _canonical(_counted(one, names)) == _canonical(_counted(other, names))


def _counted(policy: JsonObject, names: set[str]) -> JsonObject:
    """The document with the number of these names that each element has, in place of the names."""

    def changed(principal: Json) -> Json:
        if not isinstance(principal, dict) or "AWS" not in principal:
            return principal
        listed = _as_list(principal["AWS"])
        rest = [name for name in listed if not (isinstance(name, str) and name in names)]
        number = len({name for name in listed if isinstance(name, str) and name in names})
        return {**principal, "AWS": [*rest, *([f"deleted:{number}"] if number else [])]}

    return {
        **policy,
        "Statement": [
            {key: changed(value) if key in _PRINCIPALS else value for key, value in item.items()}
            for item in statements(policy)
        ],
    }


def _gives_access(statement: JsonObject) -> bool:
    """Whether a statement gives more rights to those that it names than to others."""
    return statement.get("Effect") == ("Deny" if "NotPrincipal" in statement else "Allow")


def _names_in(policy: JsonObject | None) -> list[str]:
    return [name for item in statements(policy) for name in _names_of(item)]


def _names_of(statement: JsonObject) -> list[str]:
    found = [_principals_of(statement, element) for element in _PRINCIPALS]
    return [name for item in found for name in _as_list(item.get("AWS", [])) if isinstance(name, str)]


def _principals_of(statement: JsonObject, element: str) -> JsonObject:
    """The principals by kind; empty when the element is missing, or is not an object."""
    found = statement.get(element)
    return found if isinstance(found, dict) else {}


def _is_entity(name: str) -> bool:
    parts = name.split(":")
    is_iam = len(parts) == 6 and parts[0] == "arn" and parts[2:4] == ["iam", ""]
    # CloudFront's identities are not users of an account.
    return is_iam and parts[4].isdigit() and parts[5].startswith(("user/", "role/"))


def _is_unique_id(name: str) -> bool:
    return name.startswith(_ID_PREFIXES) and len(name) >= _MIN_ID and name.isalnum() and name.isascii()


def shown(text: str | None) -> Json:
    """A text from AWS for a person: the document, or the beginning of a text that is not a document."""
    try:
        return parse(text) if text is not None else None
    except PolicyError:
        return _cut(str(text))


def examine(text: str, bucket_arn: str) -> None:
    """Run every evaluation that is ever made of a text, whatever its statements. The operator's trial of a new text.

    :raises PolicyError: as :func:`parse`
    """
    policy = parse(text)
    is_applied(text, {**policy, "Id": "another"}, record_of({**policy, "Id": "another"}, text), is_record_safe=True)
    is_public(policy)
    names_principal(policy, "")
    names_entity(policy)
    find_replaced(text, {**policy, "Id": "another"}, "")
    for statement in statements(policy):
        _names_any(statement, {""})
        _denied_action(statement, bucket_arn, TRIAL_ACTIONS)


def is_public(policy: JsonObject | None) -> bool:
    """Whether a statement gives everyone access, as Block Public Access defines it."""
    return any(
        statement.get("Effect") == "Allow" and _names_any(statement, {"*"}) and not _is_narrowed(statement)
        for statement in statements(policy)
    )


def locks_out(policy: JsonObject | None, bucket_arn: str, account: str = "", actions: Sequence[str] = ()) -> str | None:
    """The action that a Deny without Condition denies the operator, on the bucket or its policy.

    :param account: the account's id, if known: a statement that names the account names all principals in it
    :param actions: actions that must not be denied, in addition to :data:`POLICY_ACTIONS`
    """
    names = {"*", account} - {""}
    for statement in statements(policy):
        if statement.get("Effect") != "Deny" or statement.get("Condition") or not _names_any(statement, names):
            continue
        action = _denied_action(statement, bucket_arn, (*POLICY_ACTIONS, *actions))
        if action:
            return action
    return None


def statements(policy: JsonObject | None) -> list[JsonObject]:
    """The statements of a document. AWS accepts a single statement without a list."""
    found = (policy or {}).get("Statement", [])
    return [item for item in _as_list(found) if isinstance(item, dict)]


def matches(pattern: str, value: str) -> bool:
    """Whether a value matches a pattern with ``*`` and ``?``, as in IAM.

    It keeps two positions and one place to resume from, so it takes at most ``len(pattern) + len(value) ** 2`` steps
    for any pattern. Only the last ``*`` is tried again: an earlier one could only leave less of the value for the rest.
    """
    at, place = 0, 0
    star, resume = -1, 0
    while place < len(value):
        char = pattern[at] if at < len(pattern) else ""
        if char == "*":
            star, resume = at, place
            at += 1
        elif char and char in ("?", value[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")


def _check_depth(text: str) -> None:
    # Checked before json.loads: its own limit depends on the Python version and on the depth of the call stack.
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth, is_string, is_escaped = 0, False, False
    for char in text:
        if is_escaped:
            is_escaped = False
        elif is_string:
            is_string, is_escaped = char != '"', char == "\\"
        elif char == '"':
            is_string = True
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
        if depth > MAX_DEPTH:
            raise PolicyError(f"has more than {MAX_DEPTH} levels of objects and lists")


def _object(pairs: list[tuple[str, Json]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys:
                raise PolicyError(f"has the key {_cut(key)} twice in one object: only the last one would count")
            keys.add(key)
    return found


def _constant(name: str) -> NoReturn:
    raise PolicyError(f"is not JSON: {name} is not a number")


def _integer(literal: str) -> int:
    if len(literal) > _MAX_DIGITS:
        raise PolicyError(f"has a number with more than {_MAX_DIGITS} digits: write it as text, in quotes")
    return int(literal)


def _float(literal: str) -> float:
    if len(literal) > _MAX_DIGITS:
        raise PolicyError(f"has a number with more than {_MAX_DIGITS} digits: write it as text, in quotes")
    number = float(literal)
    if not math.isfinite(number):
        raise PolicyError(f"has the number {literal}, which is too large: write it as text, in quotes")
    return number


def _check_texts(value: Json) -> None:
    # The recursion is at most MAX_DEPTH calls deep.
    if isinstance(value, str):
        _check_text(value, "a text in it")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, "a key in it")
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def _check_text(text: str, what: str) -> None:
    problem = text_problem(text)
    if problem:
        raise PolicyError(f"cannot be sent to AWS: {what} holds {problem}")


def text_problem(text: str) -> str:
    """Describe what in a text cannot be sent to AWS or Kubernetes; an empty string for nothing."""
    if "\0" in text:
        return "a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair (\\ud800 to \\udfff), which is not a character"
    return ""


def _check_statements(document: JsonObject) -> None:
    if not document:
        return
    found = document.get("Statement")
    if not found:
        raise PolicyError("has no Statement")
    if not all(isinstance(item, dict) and item for item in _as_list(found)):
        raise PolicyError("has a Statement that is neither an object nor a list of objects")


def _canonical(policy: JsonObject) -> Hashable:
    """A hashable form that is equal for documents that :func:`is_same` treats as equal."""
    top = {"Version": _DEFAULT_VERSION, **policy}
    if top.get("Id") == "":
        del top["Id"]
    if "Statement" in top:
        top["Statement"] = [_without_empty_condition(item) for item in _as_list(top["Statement"])]
    return _canonical_item(top, False, MAX_DEPTH)


def _without_empty_condition(statement: Json) -> Json:
    if isinstance(statement, dict) and statement.get("Condition") in ({}, []):
        return {key: value for key, value in statement.items() if key != "Condition"}
    return statement


def _canonical_item(item: Json, is_principal: bool, room: int) -> Hashable:
    if not room:
        raise PolicyError(f"has more than {MAX_DEPTH} levels of objects and lists")
    if isinstance(item, dict):
        return frozenset(_canonical_pair(key, value, is_principal, room) for key, value in item.items())
    if isinstance(item, list):
        return "list", _canonical_set(item, is_principal, room - 1)
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, int | float):
        return str(item)
    return _canonical_principal(item) if is_principal and isinstance(item, str) else item


def _canonical_pair(key: str, value: Json, is_principal: bool, room: int) -> tuple[str, Hashable]:
    is_named = key in _PRINCIPALS
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-anonymous
    if is_named and value == "*":
        value = {"AWS": "*"}
    return key, _canonical_set(value, is_principal or is_named, room - 1)


def _canonical_set(value: Json, is_principal: bool, room: int) -> frozenset[Hashable]:
    return frozenset(_canonical_item(item, is_principal, room) for item in _as_list(value))


def _canonical_principal(name: str) -> str:
    """The account's id if the name is the ARN of the account's root, in any partition; else the name.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-accounts
    """
    parts = name.split(":")
    is_root = len(parts) == 6 and parts[0] == "arn" and parts[2:4] == ["iam", ""] and parts[5] == "root"
    return parts[4] if is_root else name


def _digest(policy: JsonObject) -> str:
    return hashlib.sha256(_stable(_canonical(policy)).encode()).hexdigest()[:32]


def _digest_of_text(text: str) -> str:
    try:
        return _digest(parse(text))
    except PolicyError:
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def _stable(item: Hashable) -> str:
    """A canonical form as text. The text of a set does not depend on the set's order in memory."""
    if isinstance(item, frozenset):
        return f"{{{','.join(sorted(map(_stable, item)))}}}"
    if isinstance(item, tuple):
        return f"({','.join(map(_stable, item))})"
    return json.dumps(item)


def _simplified(policy: JsonObject, accounts: set[str]) -> JsonObject:
    """A document without the parts that AWS is known to rewrite: canonical users, and the form of numbers.

    :param accounts: ids that stand for canonical users
    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3-oai.html
    """
    simple: dict[str, Callable[[JsonObject], Json]] = {
        **dict.fromkeys(_PRINCIPALS, lambda principal: _without_identities(principal, accounts)),
        "Condition": _with_equal_numbers,
    }
    changed: list[Json] = [
        {
            name: simple[name](value) if name in simple and isinstance(value, dict) else value
            for name, value in item.items()
        }
        for item in statements(policy)
    ]
    return {**policy, "Statement": changed}


def _without_identities(principal: JsonObject, accounts: set[str]) -> JsonObject:
    listed = _as_list(principal.get("AWS", []))
    names = [name for name in listed if not (_is_cloudfront_identity(name) or _is_account_of(name, accounts))]
    has_identity = "CanonicalUser" in principal or len(names) < len(listed)
    rest = {kind: value for kind, value in principal.items() if kind not in ("AWS", "CanonicalUser")}
    return {**rest, "AWS": names + ["CanonicalUser"] * has_identity}


def _is_cloudfront_identity(name: Json) -> bool:
    parts = name.split(":") if isinstance(name, str) else []
    wanted = len(parts) == 6 and parts[0] == "arn" and parts[2:5] == ["iam", "", "cloudfront"]
    return wanted and parts[5].startswith("user/CloudFront Origin Access Identity ")


def _is_account_of(name: Json, accounts: set[str]) -> bool:
    return isinstance(name, str) and _canonical_principal(name) in accounts


def _with_equal_numbers(condition: Json) -> Json:
    if isinstance(condition, dict):
        return {key: _with_equal_numbers(value) for key, value in condition.items()}
    if isinstance(condition, list):
        return [_with_equal_numbers(value) for value in condition]
    if isinstance(condition, bool) or not isinstance(condition, str | int | float) or len(str(condition)) > _MAX_DIGITS:
        return condition
    try:
        return str(float(condition))
    except ValueError:
        return condition


def _as_list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _names_any(statement: JsonObject, names: set[str]) -> bool:
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    listed = principal.values() if isinstance(principal, dict) else [principal]
    return any(_canonical_principal(str(name)) in names for value in listed for name in _as_list(value))


def _is_narrowed(statement: JsonObject) -> bool:
    condition = statement.get("Condition")
    if not isinstance(condition, dict):
        return False
    return any(
        key.lower() in _NARROWING_KEYS and all("*" not in str(value) for value in _as_list(values))
        for operator, tests in condition.items()
        if isinstance(tests, dict) and not operator.lower().startswith(("stringnot", "arnnot", "notip"))
        for key, values in tests.items()
    )


def _denied_action(statement: JsonObject, bucket_arn: str, wanted: Sequence[str]) -> str | None:
    """The first of these actions on the bucket that the statement covers."""
    if not _covers(_patterns(statement, "Resource"), bucket_arn):
        return None
    is_inverted, patterns = _patterns(statement, "Action")
    actions = is_inverted, {pattern.lower() for pattern in patterns}
    return next((action for action in wanted if _covers(actions, action.lower())), None)


def _patterns(statement: JsonObject, element: str) -> tuple[bool, set[str]]:
    """Whether a statement covers all but these patterns, and the patterns."""
    # AWS refuses a statement without a required element. Here a missing element counts as everything.
    is_inverted = f"Not{element}" in statement
    listed = _as_list(statement.get(f"Not{element}" if is_inverted else element, "*"))
    return is_inverted, {str(pattern) for pattern in listed}


def _covers(patterns: tuple[bool, set[str]], value: str) -> bool:
    is_inverted, listed = patterns
    return (value in listed or any(matches(pattern, value) for pattern in listed)) != is_inverted


def _cut(text: str) -> str:
    short = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
    return ascii(short)
