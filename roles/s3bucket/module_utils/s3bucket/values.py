# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Typed values from a spec. The error of each function names the field. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

from .errors import ReconcileError
from .json_types import ApiObject
from .outcome import Reason
from .policy import text_problem

# Ansible, which hands an object on as JSON, takes a map with such a key for something else than a map.
UNSAFE_KEY_PREFIX = "__ansible"
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]")


def invalid(field: str, message: str) -> ReconcileError:
    """Make the error for a field's value: reason InvalidSpec."""
    return ReconcileError(Reason.INVALID_SPEC, f"{field}: {message}")


def mapping_of(value: object, field: str) -> ApiObject:
    """Return an object.

    :raises ReconcileError: InvalidSpec
    """
    if not isinstance(value, dict):
        raise invalid(field, "is missing" if value is None else "must be an object")
    return value


def given_of(value: object, field: str) -> ApiObject:
    """Return the fields of an object that have a value.

    :raises ReconcileError: InvalidSpec
    """
    return {name: part for name, part in mapping_of(value, field).items() if part is not None}


def fields_of(value: object, field: str, names: tuple[str, ...]) -> ApiObject:
    """Return the fields of an object that have a value, and refuse others than these.

    :raises ReconcileError: InvalidSpec
    """
    given = given_of(value, field)
    for name in given:
        if name not in names:
            raise invalid(f"{field}.{name}", f"there is no such field: it must be one of {', '.join(names)}")
    return given


def text_of(value: object, field: str) -> str:
    """Return a string that AWS and Kubernetes accept.

    S3 has its settings as XML, which cannot hold control characters, or returns others than it got (a line feed for a
    carriage return). The setting would then always differ. https://www.w3.org/TR/xml/#charsets

    :raises ReconcileError: InvalidSpec
    """
    if not isinstance(value, str):
        raise invalid(field, "must be a string: put it in quotes")
    problem = text_problem(value) or _xml_problem(value)
    if problem:
        raise invalid(field, f"holds {problem}")
    return value


def _xml_problem(value: str) -> str:
    found = _NOT_IN_XML.search(value)
    return f"the character {ascii(found[0])[1:-1]}, which S3 does not keep" if found else ""


def choice_of(value: object, field: str, choices: Collection[str]) -> str:
    """Return a string that is one of the choices.

    :raises ReconcileError: InvalidSpec
    """
    text = text_of(value, field)
    if text not in choices:
        raise invalid(field, f"must be one of {', '.join(choices)}")
    return text


def flag_of(value: object, field: str) -> bool:
    """Return a boolean.

    :raises ReconcileError: InvalidSpec
    """
    if not isinstance(value, bool):
        raise invalid(field, "must be true or false")
    return value
