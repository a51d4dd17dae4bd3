"""Prints the newest Python of this machine that the newest ansible-core runs on: ``python3 dev/newest.py``.

``PYTHON_NEWEST`` names one; else it is what the PATH has under a versioned name, or what pyenv keeps. Needs nothing
but Python itself. A shim of pyenv's is on the PATH for every version and starts none: only what answers counts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# ansible-core 2.21: its wheel's Requires-Python, and the newest that its documentation names.
VERSIONS = ("3.14", "3.13", "3.12")


def find_newest() -> str | None:
    """The program; None where there is none."""
    return next((path for path in _candidates() if _answers(path)), None)


def _candidates() -> Iterator[str]:
    if os.environ.get("PYTHON_NEWEST"):
        yield os.environ["PYTHON_NEWEST"]
        return
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in VERSIONS:
        yield from filter(None, [shutil.which(f"python{version}")])
        yield from map(str, pyenv.glob(f"{version}.*/bin/python{version}"))
    yield sys.executable


def _answers(path: str) -> bool:
    # venv and ssl: some packages of Python come without.
    code = f"import ensurepip, ssl, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] not in {VERSIONS})"
    try:
        return subprocess.run([path, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def main() -> None:
    """Print the path of the newest Python of this machine."""
    found = find_newest()
    if found is None:
        sys.exit(f"no Python {', '.join(VERSIONS)} with venv on this machine: install one, or set PYTHON_NEWEST")
    print(found)


if __name__ == "__main__":
    main()
