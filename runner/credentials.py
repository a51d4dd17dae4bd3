"""AWS keys leave the environment before anything else happens.

ansible-runner writes its whole environment to a file (artifacts/<id>/command), and every child inherits it.
Keys found in the environment at start are moved to a private file in AWS's own format; the process then
replaces itself, so that /proc/<pid>/environ does not hold them either.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from runner.processes import own_folder

_NAMES = {
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
}
_SECRETS = (*_NAMES, "AWS_SECURITY_TOKEN")
_FILE = "AWS_SHARED_CREDENTIALS_FILE"


def move_to_file(environ: MutableMapping[str, str], folder: Path) -> Path | None:
    """Move keys from ``environ`` to a 0600 file in a new 0700 folder; None when there are none.

    The environment's keys win over a credentials file, as in the AWS SDKs, so that file is left aside.
    """
    keys = {_NAMES[name]: environ[name] for name in _NAMES if environ.get(name)}
    for name in _SECRETS:
        environ.pop(name, None)
    if "aws_secret_access_key" not in keys:
        return None
    # Named after this process, so that a later start removes it should this one be killed.
    path = own_folder(folder, "credentials") / "credentials"
    path.touch(mode=0o600)
    config = configparser.RawConfigParser()
    config["default"] = keys
    with path.open("w") as stream:
        config.write(stream)
    environ[_FILE] = str(path)
    environ.pop("AWS_PROFILE", None)
    return path


def clean_environment(folder: Path) -> None:
    """Move keys to a file and start this program anew without them."""
    if any(os.environ.get(name) for name in _SECRETS):
        move_to_file(os.environ, folder)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves
