# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters: ``{prefix, tags, ...}`` in a spec; in AWS a ``Filter`` with one predicate, or an ``And`` of several. Pure.

Lifecycle, replication, S3 Intelligent-Tiering, metrics and analytics have them. In the form of a spec, a predicate that
selects everything (an empty prefix, no tags) is left out, so that filters that mean the same are equal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

from .json_types import ApiObject
from .values import UNSAFE_KEY_PREFIX, invalid, mapping_of, text_of

# Maps a field of a spec to boto3's key. ``tags`` is not among them: one tag is a Tag, several are Tags in an And.
_KEYS = {
    "prefix": "Prefix",
    "objectSizeGreaterThan": "ObjectSizeGreaterThan",
    "objectSizeLessThan": "ObjectSizeLessThan",
    "accessPointARN": "AccessPointArn",
}
_MAX_TEXT = 1024
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
_MAX_TAGS = 10
_MAX_KEY = 128
_MAX_VALUE = 256


def parse_filter(value: object, path: str, fields: Collection[str] = ("prefix", "tags")) -> ApiObject:
    """Return a checked filter without the predicates that select everything. None and ``{}`` are the empty filter.

    :param path: the field's name for errors, for example ``spec.lifecycleRules[0].filter``
    :param fields: the predicates that the configuration knows
    :raises ReconcileError: InvalidSpec naming the field
    """
    given = {name: part for name, part in mapping_of({} if value is None else value, path).items() if part is not None}
    for name in given:
        if name not in fields:
            raise invalid(f"{path}.{name}", f"there is no such field: use {', '.join(fields)}")
    found = {name: _parse_predicate(name, part, f"{path}.{name}") for name, part in given.items()}
    return {name: part for name, part in found.items() if part not in ("", {})}


def filter_to_aws(value: ApiObject) -> ApiObject:
    """Return boto3's ``Filter``: empty, one predicate, or ``And``. Callers that need no empty one leave it out."""
    tags = [{"Key": key, "Value": text} for key, text in sorted(value.get("tags", {}).items())]
    plain = {_KEYS[name]: part for name, part in value.items() if name in _KEYS}
    if len(plain) + len(tags) > 1:
        return {"And": {**plain, **({"Tags": tags} if tags else {})}}
    return {"Tag": tags[0]} if tags else plain


def filter_from_aws(found: ApiObject | None) -> ApiObject:
    """Return boto3's ``Filter`` in the form of a spec."""
    predicates = {**(found or {}), **(found or {}).get("And", {})}
    plain = {name: predicates[key] for name, key in _KEYS.items() if predicates.get(key, "") != ""}
    tags = [*predicates.get("Tags", []), *([predicates["Tag"]] if "Tag" in predicates else [])]
    return {**plain, **({"tags": {tag["Key"]: tag["Value"] for tag in tags}} if tags else {})}


def _parse_predicate(name: str, value: object, path: str) -> object:
    if name == "tags":
        return _parse_tags(value, path)
    if name in ("objectSizeGreaterThan", "objectSizeLessThan"):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise invalid(path, "must be a number of bytes, 0 or more")
        return value
    text = text_of(value, path)
    if len(text) > _MAX_TEXT:
        raise invalid(path, f"may have at most {_MAX_TEXT} characters")
    return text


def _parse_tags(value: object, path: str) -> dict[str, str]:
    tags = mapping_of(value, path)
    if len(tags) > _MAX_TAGS:
        raise invalid(path, f"may have at most {_MAX_TAGS} tags, as an object of S3 does")
    for key, text in tags.items():
        if not isinstance(text, str):
            raise invalid(f"{path}[{ascii(key)[1:-1]}]", "must be a string: put it in quotes")
        if not (1 <= len(key) <= _MAX_KEY and len(text) <= _MAX_VALUE and _is_tag_text(key + text)):
            allowed = "a key has 1 to 128 characters, a value at most 256: letters, digits, spaces and _.:/=+-@"
            raise invalid(f"{path}[{ascii(key)[1:-1]}]", f"is not a tag that AWS allows: {allowed}")
        if key.startswith(UNSAFE_KEY_PREFIX):
            raise invalid(f"{path}[{key}]", f"the prefix {UNSAFE_KEY_PREFIX} is reserved")
    return dict(tags)


def _is_tag_text(text: str) -> bool:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_S3Tag.html: letters, numbers and separators.
    return all(char in "_.:/=+-@" or unicodedata.category(char)[0] in "LZN" for char in text)
