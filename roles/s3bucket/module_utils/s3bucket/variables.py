# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names of the role's variables: a misspelled one would be ignored in silence. Pure, and imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_PREFIX = "s3bucket"
_LIKE = 0.8
# Inputs of the playbooks, and what the operator passes: no options of the role.
OF_PLAYBOOKS = (
    "s3bucket_cr_json",
    "s3bucket_name",
    "s3bucket_namespace",
    "s3bucket_operator",
    "s3bucket_operator_settings_json",
    "s3bucket_orphan",
    "s3bucket_orphan_json",
    "s3bucket_result",
)


def find_unknown(names: Iterable[str], known: Iterable[str]) -> tuple[list[str], list[str]]:
    """The variables with the role's prefix that it does not have.

    :param names: those of all variables
    :returns: those that look like one of the role's, with it; and the others, which may be a person's own
    """
    by_letters = {_letters(name): name for name in known}
    misspelled, others = [], []
    for name in sorted(set(names) - set(by_letters.values())):
        # Names of the role's own internal variables begin with _.
        if name.startswith("_") or not _plain(name).startswith(_PREFIX):
            continue
        letters = _letters(name)
        close = get_close_matches(letters, list(by_letters), 1, _LIKE)
        # A plural is likely a person's own list of them.
        if close and letters != f"{close[0]}s":
            misspelled.append(f"{name} (did you mean {by_letters[close[0]]}?)")
        else:
            others.append(name)
    return misspelled, others


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _letters(name: str) -> str:
    return _plain(name).removeprefix(_PREFIX)
