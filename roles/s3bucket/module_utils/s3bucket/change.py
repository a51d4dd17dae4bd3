# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One field of an object that a run of the role would change. Pure.

A change never holds a value from a Secret. Any value there may be secret, even one that someone else wrote.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from .json_types import Json, JsonMapping, JsonObject
from .text import printable


@dataclass(frozen=True)
class Change:
    """One field that differs. A value is plain data, None for no value, or a word where the value is not shown."""

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
        """The change as one line for a terminal. Control characters are shown as escapes."""
        return printable(f"{self.field}: {_shown(self.is_now)} -> {_shown(self.would_be)}")


def _shown(value: Json) -> str:
    if value is None:
        return "(none)"
    return value if isinstance(value, str) and value else json.dumps(value, sort_keys=True)
