"""Make the virtual environment: ``python3 dev/setup.py FOLDER``. Needs nothing but Python itself.

The collections come out of the PyPI package ``ansible``, which holds them all: only the two that
requirements.yml names are unpacked. Its wheel is kept in the cache, outside the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

# The release of the package whose ansible-core matches the Python: 2.19 is the last for 3.11.
ANSIBLE_FOR_PYTHON_3_11 = "ansible==12.3.0"
ANSIBLE_NEWEST = "ansible==14.5.0"
_ANSIBLE = ANSIBLE_FOR_PYTHON_3_11 if sys.version_info < (3, 12) else ANSIBLE_NEWEST
_COLLECTIONS = ("amazon/aws", "kubernetes/core")
_MINIMUM = (3, 11)


def main() -> None:
    """Make the virtual environment of the folder that is given."""
    if sys.version_info < _MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"s3-operator needs Python >= 3.11, this is {found}: set PYTHON, as in make PYTHON=python3.12 setup")
    venv = Path(sys.argv[1])
    python = venv / "bin" / "python"
    if not python.exists():
        _report("making the virtual environment")
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    _report("installing the Python dependencies")
    _pip(python, "install", "--quiet", "--editable", ".[dev]")
    _report("unpacking the collections")
    unpack_collections(ansible_wheel(python, _ANSIBLE), _site_packages(python))


def ansible_wheel(python: Path, release: str) -> Path:
    """The wheel of a release, for whichever Python it is, from the cache or else from PyPI."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "s3-operator" / release.replace("==", "-")
    found = list(folder.glob("*.whl"))
    if not found:
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        options = ["--quiet", "--no-deps", "--ignore-requires-python"]
        _pip(python, "download", *options, "--dest", str(partial), release)
        try:
            partial.rename(folder)
        except OSError:
            # Another set-up was faster.
            shutil.rmtree(partial)
        found = list(folder.glob("*.whl"))
    return found[0]


def unpack_collections(wheel: Path, target: Path) -> None:
    """Put the collections of requirements.yml out of a wheel into ``ansible_collections`` of a folder."""
    prefixes = tuple(f"ansible_collections/{name}/" for name in _COLLECTIONS)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if name.startswith(prefixes)])


def _site_packages(python: Path) -> Path:
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def _pip(python: Path, *arguments: str) -> None:
    subprocess.run([str(python), "-m", "pip", *arguments], check=True)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
