"""Removes AWS keys from the environment before anything else happens.

ansible-runner writes its whole environment to a file (artifacts/<id>/command), and every child inherits it. Keys in
the environment at start are moved to a private file in AWS's own format. The process then re-executes itself, so that
/proc/<pid>/environ does not hold them either.
"""

from __future__ import annotations

import configparser
import io
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from runner.execution.processes import own_folder

_NAMES = {
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
}
_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - its name
_SECRETS = (*_NAMES, "AWS_SECURITY_TOKEN", _TOKEN)
_FILE = "AWS_SHARED_CREDENTIALS_FILE"


def move_to_file(environ: MutableMapping[str, str], folder: Path) -> Path | None:
    """Move keys from ``environ`` to a 0600 file in a new 0700 folder; None when there are none.

    The token for a container's credentials goes to a separate file in that folder, which botocore also reads. As in the
    AWS SDKs, keys in the environment override a credentials file, so an existing file is not used.
    """
    keys = {_NAMES[name]: environ[name] for name in _NAMES if environ.get(name)}
    token = environ.get(_TOKEN)
    for name in _SECRETS:
        environ.pop(name, None)
    has_keys = "aws_secret_access_key" in keys
    if not has_keys and not token:
        return None
    # Named after this process, so that a later start removes it if this process is killed.
    private = own_folder(folder, "credentials")
    if token:
        environ[f"{_TOKEN}_FILE"] = str(_write(private / "token", token))
    if not has_keys:
        return None
    text = io.StringIO()
    config = configparser.RawConfigParser()
    config["default"] = keys
    config.write(text)
    path = _write(private / "credentials", text.getvalue())
    environ[_FILE] = str(path)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        environ.pop(name, None)
    return path


def _write(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def clean_environment(folder: Path) -> None:
    """Move keys to a file, and re-execute this program without them."""
    if any(os.environ.get(name) for name in _SECRETS):
        move_to_file(os.environ, folder)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves
