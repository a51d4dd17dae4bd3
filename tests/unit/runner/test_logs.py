"""Log lines are JSON objects: the message is constant, and the values are in other fields."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from runner.logs import JsonFormatter, set_up


def test_json_formatter_gives_fields_beside_the_message() -> None:
    record = logging.makeLogRecord({"msg": "reconciled", "levelname": "INFO", "name_": "photos", "duration_s": 1.5})
    line = json.loads(JsonFormatter().format(record))
    assert {key: line[key] for key in ("level", "msg", "name", "duration_s")} == {
        "level": "info", "msg": "reconciled", "name": "photos", "duration_s": 1.5,
    }  # fmt: skip


@pytest.fixture
def _restored() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("runner")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize(
    "name", ["botocore.parsers", "boto3", "urllib3", "kubernetes.client.rest", "a.library.to.come"]
)
def test_debug_level_is_only_for_the_operator_as_libraries_log_whole_answers(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up("json", "debug")
    logging.getLogger("runner.execution.job").debug("our own")
    # botocore logs the response of AssumeRoleWithWebIdentity, including the keys.
    logging.getLogger(name).debug("Response body: <SecretAccessKey>planted</SecretAccessKey>")
    logging.getLogger(name).warning("worth knowing")
    logged = capsys.readouterr().err
    assert "our own" in logged
    assert "worth knowing" in logged
    assert "planted" not in logged


@pytest.mark.usefixtures("_restored")
def test_error_level_is_everyones(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json", "error")
    for name in ("runner.execution.job", "botocore"):
        logging.getLogger(name).warning("no error")
    assert capsys.readouterr().err == ""
