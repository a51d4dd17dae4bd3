# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks names of the role's variables: Ansible ignores a misspelled one silently. Pure; imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_PREFIX = "s3bucket"
_LIKE = 0.8
# Variables of the playbooks and of the operator, which are not options of the role.
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
    """The variables that have the role's prefix and that the role does not have.

    :param names: the names of all variables
    :returns: the names that are similar to a variable of the role, with that variable; and the others, which may be a
        person's own
    """
    by_letters = {_letters(name): name for name in known}
    misspelled, others = [], []
    for name in sorted(set(names) - set(by_letters.values())):
        # Names of the role's internal variables begin with _.
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
