# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""JSON of the API server as data, however deeply it is nested. Pure.

Whoever may write an object of Kubernetes may give it metadata.managedFields with thousands of levels, for which
``json.loads`` fails. A Secret with them must not keep an object from being deleted, and its key alive. The
operator lists all objects at a time, so one such object must not keep it from reading the others.
"""

from __future__ import annotations

import json
import re

from .json_types import ApiObject

# What is used of an object has less than ten; a list adds two.
MAX_DEPTH = 100
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)


def parse_json(text: bytes | bytearray) -> ApiObject:
    """The object of a JSON text. Of one that is nested too deeply, null in place of what is below :data:`MAX_DEPTH`.

    :raises ValueError: for a text that is not JSON
    """
    found: ApiObject
    try:
        found = json.loads(text)
    except RecursionError:
        found = _parse_cut(_without_depths(bytes(text)))
    return found


def _parse_cut(text: bytes) -> ApiObject:
    try:
        found: ApiObject = json.loads(text)
    except RecursionError as error:
        # A bracket that is not closed.
        raise ValueError("not JSON") from error
    return found


def _without_depths(text: bytes) -> bytes:
    parts, depth, kept_to, cut_from = [], 0, 0, 0
    for token in _TOKEN.finditer(text):
        char = token[0]
        if char in (b"{", b"["):
            depth += 1
            if depth == MAX_DEPTH + 1:
                cut_from = token.start()
        elif char in (b"}", b"]"):
            if depth == MAX_DEPTH + 1:
                parts += [text[kept_to:cut_from], b"null"]
                kept_to = token.end()
            depth -= 1
    return b"".join([*parts, text[kept_to:]])
