"""An Event about an S3 object, as the client writes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One Event: Normal or Warning, a reason in one word, a message."""

    type: str
    reason: str
    message: str
