# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Parses JSON of the API server, however deeply it is nested. Pure.

Whoever may write a Kubernetes object may give it metadata.managedFields with thousands of levels, for which
``json.loads`` fails. A Secret like this must not prevent the deletion of its S3 object, because the access key would
stay active. The operator lists all objects in one request, so one such object must not prevent it from reading the
others.
"""

from __future__ import annotations

import json
import re

from .json_types import ApiObject

# The part of an object that is used has fewer than ten levels; a list adds two.
MAX_DEPTH = 100
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)


def parse_json(text: bytes | bytearray) -> ApiObject:
    """The object in a JSON text. When it is nested too deeply, values below :data:`MAX_DEPTH` become null.

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
