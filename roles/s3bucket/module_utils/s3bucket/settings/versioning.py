# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Versioning: ``enableVersioning``. Suspended and never enabled are treated as equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..json_types import Json
from ..setting import Call, Comparison, Operation, Parsed, Read, Setting, Value
from ..values import flag_of, invalid

if TYPE_CHECKING:
    from ..spec import Wanted

_PUT = Operation("put_bucket_versioning", "s3:PutBucketVersioning")


class Versioning(Setting):
    """The value that was read is the status: Enabled, Suspended, or empty for a bucket that never had versions."""

    name = "versioning"
    field = "enableVersioning"
    order = 40
    default = False
    new_bucket = ""
    # Replication may have been cleared just before.
    lag_texts = ("replication configuration is present",)
    read = Read(Operation("get_bucket_versioning", "s3:GetBucketVersioning"), lambda answer: answer.get("Status", ""))
    writes = (_PUT,)

    def parse(self, value: object) -> bool:
        return flag_of(value, f"spec.{self.field}")

    def derive(self, value: Value, parsed: Parsed) -> bool:
        return value or (self.field not in parsed.given and parsed.values["object_lock"])

    def check(self, wanted: Wanted) -> None:
        if wanted.object_lock and not wanted.settings[self.name]:
            raise invalid(f"spec.{self.field}", "must not be false with enableObjectLock: object lock needs versions")

    def target(self, case: Comparison) -> bool:
        # Versioning of a bucket with object lock cannot be suspended.
        return case.wanted.settings[self.name] or case.found["object_lock"] is True

    def canonical(self, value: Value) -> bool:
        return value in ("Enabled", True)

    def calls(self, value: Value) -> list[Call]:
        return [Call(_PUT, {"VersioningConfiguration": {"Status": "Enabled" if value else "Suspended"}})]

    def plan(self, case: Comparison) -> dict[str, tuple[Json, Json]]:
        return {self.field: (self.canonical(case.found[self.name]), self.target(case))}


SETTING = Versioning()
