"""What a run sees of the operator's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.environment import ansible_environment


def environment_of_a_run() -> dict[str, str]:
    return ansible_environment(Path("/project"), Path("/work/run"), "1-2-3", {})


@pytest.mark.parametrize("value", ["C", "POSIX", "", "xx_XX.ISO-8859-1", None])
def test_run_has_a_utf8_locale_whatever_the_operator_has(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    # LC_ALL outweighs the others, so none of them is passed on.
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    found = {name: text for name, text in environment_of_a_run().items() if name.startswith(("LC_", "LANG"))}
    assert found == {"LC_ALL": "C.UTF-8"}
