# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One field of an object that a run of the role would change. Pure.

No secret's value is in it, nor anything else that a Secret holds: what somebody wrote in its place may be one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from .json_types import Json, JsonMapping, JsonObject
from .text import printable


@dataclass(frozen=True)
class Change:
    """One field that differs. Values are plain data (None: no value), or a word for what has no value."""

    aspect: str
    field: str
    is_now: Json
    would_be: Json

    def to_record(self) -> JsonObject:
        """The change as plain data, as ``s3-operator plan -o json`` prints it."""
        return {"aspect": self.aspect, "field": self.field, "is": self.is_now, "wouldBe": self.would_be}

    @classmethod
    def from_record(cls, record: JsonMapping) -> Change:
        """The change of a record."""
        return cls(str(record["aspect"]), str(record["field"]), record["is"], record["wouldBe"])

    @property
    def line(self) -> str:
        """The change for a person's terminal: text that a terminal would act on is shown as an escape."""
        return printable(f"{self.field}: {_shown(self.is_now)} -> {_shown(self.would_be)}")


def _shown(value: Json) -> str:
    if value is None:
        return "(none)"
    return value if isinstance(value, str) and value else json.dumps(value, sort_keys=True)
