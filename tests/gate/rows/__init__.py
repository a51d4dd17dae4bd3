"""What the gate answers for each configuration: one file of rows for each, the test is ``test_configurations.py``.

Accepted and returned, returned in another form, refused. They fail when the rule is taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def nothing(_: Any, __: str) -> None:
    """Leave the bucket as it is."""


@dataclass(frozen=True)
class Row:
    """One request that writes.

    :param method: of boto3's client
    :param arguments: beside Bucket; {bucket} in a text is the bucket's name
    :param result: what ``reads`` answers afterwards, or the code of the error
    :param before: what is done to the bucket first
    """

    method: str
    arguments: dict[str, Any]
    reads: str
    result: dict[str, Any] | str
    before: Callable[[Any, str], Any] = nothing
