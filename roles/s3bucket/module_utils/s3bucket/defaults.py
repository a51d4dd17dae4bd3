# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The values of optional spec fields that a CR does not give: the role's defaults, overridden by the user's.

A user's ``s3bucket_defaults`` may name only some of the fields. An error names the field. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from . import allowed, verification
from .errors import ReconcileError
from .json_types import ApiObject
from .settings import ALL
from .spec import OPERATOR_TAGS, invalid, operator_tags_of, wanted_of

# `make generate` writes them into defaults/main.yml, where users read them.
DEFAULTS: ApiObject = {
    **{setting.field: setting.default for setting in ALL if setting.default is not None},
    "tags": {},
    "deletionPolicy": "Delete",
    "forceDelete": True,
    "adoptionPolicy": "Never",
    "driftPolicy": "Correct",
    "verify": verification.ACCESS,
    "unmanagedFields": [],
    "service": {"enabled": True},
}
# Fields for which the role has no default, and for which a user may set one.
_OPTIONAL = {field: None for setting in ALL if setting.is_optional for field in (setting.field, *setting.more_fields)}
_VARIABLE = "s3bucket_defaults"
_POLICIES = ("", "Delete", "Retain")
# An object without values of its own. An error in it is an error in the defaults.
_BARE = {
    "metadata": {"name": "example"},
    "spec": {"region": "us-east-1", "bucketName": "example", "iamUser": {"username": "example"}},
}


def defaults_of(
    given: object,
    deletion_policy: object = "",
    tags: object = None,
    allowed_settings: Collection[str] = allowed.DEFAULT,
) -> ApiObject:
    """A value for each optional field, the operator's tags and the allowed settings, for :func:`spec.wanted_of`.

    :param given: ``s3bucket_defaults``
    :param deletion_policy: ``s3bucket_deletion_policy``, which overrides ``s3bucket_defaults``
    :param tags: ``s3bucket_tags``
    :param allowed_settings: ``s3bucket_allowed_settings``
    :raises ReconcileError: InvalidSpec that names the variable and the field
    """
    merged = _merged(map_of(given, _VARIABLE), {**DEFAULTS, **_OPTIONAL}, _VARIABLE)
    merged = {name: value for name, value in merged.items() if value is not None}
    if deletion_policy not in _POLICIES:
        raise invalid("s3bucket_deletion_policy", "must be Delete or Retain, or empty")
    if deletion_policy:
        merged["deletionPolicy"] = deletion_policy
    merged[allowed.KEY] = [*allowed_settings]
    try:
        wanted_of(_BARE, "", merged)
    except ReconcileError as refusal:
        raise ReconcileError(refusal.reason, refusal.message.replace("spec", _VARIABLE, 1)) from refusal
    common = {} if tags is None else map_of(tags, "s3bucket_tags")
    return {**merged, OPERATOR_TAGS: operator_tags_of(common)}


def map_of(value: object, variable: str) -> ApiObject:
    """The map in a variable. ``-e variable='{...}'`` reaches the role as text, and is accepted, too.

    :raises ReconcileError: InvalidSpec
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise invalid(variable, "must be a map")
    return value


def _merged(given: ApiObject, defaults: ApiObject, parent: str) -> ApiObject:
    for name, value in given.items():
        field = f"{parent}.{ascii(name)[1:-1] if isinstance(name, str) else name}"
        if name not in defaults:
            raise invalid(field, f"there is no such field: it must be one of {', '.join(defaults)}")
        if value is None:
            raise invalid(field, "must not be null: leave it out for the role's default")
        if name == "service" and not isinstance(value, dict):
            raise invalid(field, "must be a map")
    merged = {**defaults, **given}
    if "service" in defaults:
        merged["service"] = _merged(merged["service"], defaults["service"], f"{parent}.service")
    return merged
