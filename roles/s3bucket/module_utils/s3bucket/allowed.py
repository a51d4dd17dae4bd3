# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which optional bucket settings S3 objects may use: ``s3bucket_allowed_settings``, by the fields of the spec. Pure.

The administrator decides, because a setting can send data elsewhere, and needs permissions of the operator. A field
that is not allowed is an error of the object. Nothing is changed or cleared then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .json_types import ApiObject
from .settings import ALL as ALL_SETTINGS
from .values import invalid

KEY = "allowedSettings"
"""The key in wanted_of's defaults for the fields that objects may use."""
FIELDS = tuple(sorted(setting.field for setting in ALL_SETTINGS if setting.is_optional))
DEFAULT = tuple(
    sorted(setting.field for setting in ALL_SETTINGS if setting.is_optional and setting.is_allowed_by_default)
)
_ALL, _NONE = "all", "none"


def fields_of(names: Iterable[str]) -> list[str]:
    """Return the fields that a list of them names. ``all`` and ``none`` stand alone.

    :raises ValueError: for a name that no optional setting has
    """
    given = list(dict.fromkeys(names))
    if given in ([_ALL], [_NONE]):
        return list(FIELDS) if given == [_ALL] else []
    unknown = sorted(set(given) - set(FIELDS))
    if unknown:
        known = f"{', '.join(FIELDS)}; or {_ALL} or {_NONE} alone"
        raise ValueError(f"there is no optional setting {unknown[0]}: it must be one of {known}")
    return sorted(given)


def check(values: ApiObject, allowed: Collection[str]) -> None:
    """Refuse a spec, with its defaults, that gives an optional setting that is not allowed.

    :raises ReconcileError: InvalidSpec naming the field and the remedy
    """
    for field in FIELDS:
        if values.get(field) is not None and field not in allowed:
            raise invalid(
                f"spec.{field}",
                "the operator does not allow this setting. Remove the field, or ask the administrator to add it to "
                "--allowed-settings of the operator (allowedSettings of its chart), or s3bucket_allowed_settings of "
                "the role. Nothing was changed",
            )
