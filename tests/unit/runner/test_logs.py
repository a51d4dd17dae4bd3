"""Log lines are JSON objects with their fields beside the constant message."""

from __future__ import annotations

import json
import logging

from runner.logs import JsonFormatter


def test_json_formatter_gives_fields_beside_the_message() -> None:
    record = logging.makeLogRecord({"msg": "reconciled", "levelname": "INFO", "name_": "photos", "duration_s": 1.5})
    line = json.loads(JsonFormatter().format(record))
    assert {key: line[key] for key in ("level", "msg", "name", "duration_s")} == {
        "level": "info", "msg": "reconciled", "name": "photos", "duration_s": 1.5,
    }  # fmt: skip
