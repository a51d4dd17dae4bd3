"""Python imports this in the stock Ansible processes of tests, which have its folder on PYTHONPATH.

Stock Ansible packs each module again in each run, and each task compiles the packed sources again: together a third of
the CPU of a run. Both depend on nothing but the files, so the processes of a test session share the results in the
folder that S3_OPERATOR_TEST_CACHE names. What runs is the same.
"""

from __future__ import annotations

import _imp
import gc
import hashlib
import marshal
import os
import sys
import zipimport
from pathlib import Path
from types import CodeType


def _write(path: Path, content: bytes) -> None:
    # Others may read it at any time.
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


def _compile_once(folder: Path) -> None:
    """Let modules that are imported from an archive be compiled once."""
    compile_ = zipimport._compile_source  # type: ignore[attr-defined]

    def compile_source(pathname: str, source: bytes) -> CodeType:
        path = folder / hashlib.sha256(source).hexdigest()
        try:
            code: CodeType = marshal.loads(path.read_bytes())
        except FileNotFoundError:
            code = compile_(pathname, source)
            _write(path, marshal.dumps(code))
            return code
        # The archive has another path in each task; tracebacks name it.
        _imp._fix_co_filename(code, pathname)  # type: ignore[attr-defined]
        return code

    zipimport._compile_source = compile_source  # type: ignore[attr-defined]


def _pack_once(folder: Path) -> None:
    """Let the runs of ansible-playbook share packed modules, by the collections and roles that they are taken from."""
    from ansible import constants  # type: ignore[attr-defined]

    roles = constants.DEFAULT_ROLES_PATH
    # Not those of before an edit that is made while tests run.
    files = sorted(
        (str(file), file.stat().st_mtime_ns) for role in roles for file in Path(role).glob("s3bucket/**/*.py")
    )
    key = repr([constants.COLLECTIONS_PATHS, roles, sys.prefix, files])
    shared = folder / f"packed-{hashlib.sha256(key.encode()).hexdigest()}"
    shared.mkdir(exist_ok=True)
    (Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache").symlink_to(shared)


if "S3_OPERATOR_TEST_CACHE" in os.environ:
    # A task is short: a tenth of its CPU is the search for garbage.
    gc.disable()
    _folder = Path(os.environ["S3_OPERATOR_TEST_CACHE"], f"python-{sys.version_info[0]}.{sys.version_info[1]}")
    _folder.mkdir(parents=True, exist_ok=True)
    _compile_once(_folder)
    if [Path(word).name for word in sys.orig_argv[1:2]] == ["ansible-playbook"]:
        _pack_once(_folder)
