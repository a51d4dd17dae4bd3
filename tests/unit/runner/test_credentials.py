"""Access keys are moved from the environment to a private file."""

from __future__ import annotations

import configparser
import stat
from pathlib import Path

from runner.execution.credentials import move_to_file


def test_move_to_file_takes_keys_out_and_points_to_the_file(tmp_path: Path) -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "p%w", "AWS_SESSION_TOKEN": "t", "AWS_PROFILE": "x",
        "AWS_DEFAULT_PROFILE": "y",
        "A": "b",
    }  # fmt: skip
    path = move_to_file(environ, tmp_path)
    assert path is not None
    assert environ == {"A": "b", "AWS_SHARED_CREDENTIALS_FILE": str(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    config = configparser.RawConfigParser()
    config.read(path)
    assert dict(config["default"]) == {
        "aws_access_key_id": "AKIA", "aws_secret_access_key": "p%w", "aws_session_token": "t",
    }  # fmt: skip


def test_move_to_file_without_keys_leaves_a_mounted_file_alone(tmp_path: Path) -> None:
    environ = {"AWS_SHARED_CREDENTIALS_FILE": "/mounted", "AWS_ACCESS_KEY_ID": ""}
    assert move_to_file(environ, tmp_path) is None
    assert environ == {"AWS_SHARED_CREDENTIALS_FILE": "/mounted"}


def test_token_of_a_container_becomes_a_file(tmp_path: Path) -> None:
    environ = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/"}
    assert move_to_file(environ, tmp_path) is None
    path = Path(environ.pop("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
    assert path.read_text() == "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert environ == {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/"}
