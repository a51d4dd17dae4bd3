# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The default retention of new object versions: ``objectLockRetention``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..json_types import ApiObject
from ..setting import Call, Comparison, Read, Setting, Value
from ..values import choice_of, fields_of, invalid
from .object_lock import ENABLED, GET, PUT, UNSET_CODES, has_versions

if TYPE_CHECKING:
    from ..spec import Wanted

_MODES = ("GOVERNANCE", "COMPLIANCE")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
_MOST = {"days": 36500, "years": 100}
# Maps the field of the spec to boto3's key.
_KEYS = {"mode": "Mode", "days": "Days", "years": "Years"}
# In DefaultRetention beside the fields of the spec; not managed, and therefore repeated in each request.
_KEPT = "kept"


def _take(answer: ApiObject) -> ApiObject:
    found = answer.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
    # Some stores return a 0 for the unit that is not used.
    taken = {field: found[key] for field, key in _KEYS.items() if found.get(key)}
    kept = {key: part for key, part in found.items() if key not in _KEYS.values()}
    return {**taken, **({_KEPT: kept} if kept else {})}


class ObjectLockRetention(Setting):
    """A new bucket has none. The value that was read or is written also holds what AWS has beside the fields."""

    name = "object_lock_retention"
    field = "objectLockRetention"
    order = 51
    is_optional = True
    is_in_status = False
    lag_texts = ("InvalidBucketState",)
    read = Read(GET, _take, UNSET_CODES, is_needed=has_versions)
    writes = (PUT,)

    def parse(self, value: object) -> ApiObject:
        field = f"spec.{self.field}"
        given = fields_of(value, field, tuple(_KEYS))
        if "mode" not in given:
            raise invalid(f"{field}.mode", "is missing")
        choice_of(given["mode"], f"{field}.mode", _MODES)
        units = [name for name in _MOST if name in given]
        if len(units) != 1:
            raise invalid(field, "must have either days or years")
        _check_period(given[units[0]], f"{field}.{units[0]}", _MOST[units[0]])
        return given

    def check(self, wanted: Wanted) -> None:
        if wanted.settings[self.name] is not None and not wanted.object_lock:
            raise invalid(f"spec.{self.field}", "needs enableObjectLock: true")

    def canonical(self, value: Value) -> ApiObject:
        return {name: part for name, part in (value or {}).items() if name != _KEPT}

    def argument(self, case: Comparison) -> ApiObject:
        kept = (case.found[self.name] or {}).get(_KEPT)
        return {**(self.target(case) or {}), **({_KEPT: kept} if kept else {})}

    def calls(self, value: Value) -> list[Call]:
        given = value or {}
        retention = {**{_KEYS[name]: part for name, part in self.canonical(given).items()}, **given.get(_KEPT, {})}
        rule = {"Rule": {"DefaultRetention": retention}} if retention else {}
        return [Call(PUT, {"ObjectLockConfiguration": {**ENABLED, **rule}})]


def _check_period(value: object, path: str, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise invalid(path, f"must be a number of 1 to {most}")


SETTING = ObjectLockRetention()
