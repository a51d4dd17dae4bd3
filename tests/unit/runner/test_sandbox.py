"""Policies are evaluated in a process that is ended when one takes too long. Each text is evaluated once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from runner.drift.sandbox import GivenUpError, Sandbox
from tests.unit.role.conftest import ROLE

ARN = "arn:aws:s3:::photos"
MODULE_UTILS = ROLE / "module_utils"
# Defects that the role's policy.py could have: one text takes too much memory, one call in C never returns, and one
# loop never ends.
FAULTY = """
import re
class PolicyError(ValueError):
    pass
def examine(text, bucket_arn):
    if text == "memory":
        bytearray(2**30)
    if text == "refused":
        raise PolicyError
    re.fullmatch("(a*)*b" if text == "regex" else "a", "a" * 40)
    while text == "loop":
        pass
"""


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    (tmp_path / "s3bucket").mkdir()
    (tmp_path / "s3bucket" / "__init__.py").touch()
    (tmp_path / "s3bucket" / "policy.py").write_text(FAULTY)
    return tmp_path


def open_pipes() -> int:
    return sum(os.readlink(f"/proc/self/fd/{number}").startswith("pipe:") for number in os.listdir("/proc/self/fd")
               if os.path.lexists(f"/proc/self/fd/{number}"))  # fmt: skip


def children() -> set[int]:
    return {int(pid) for pid in Path("/proc/self/task").joinpath(str(os.getpid()), "children").read_text().split()}


def test_text_that_does_not_end_is_given_up_and_others_are_evaluated(
    faulty: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("runner.drift.sandbox.CPU_LIMIT_S", 0.2)
    now = 0.0
    before = children()
    sandbox = Sandbox(faulty, clock=lambda: now)
    for text in ("regex", "loop", "memory"):
        with pytest.raises(GivenUpError, match="was given up"):
            sandbox.try_text(text, ARN)
        sandbox.try_text("fine", ARN)
        sandbox.try_text("refused", ARN)
    statuses = [record.status for record in caplog.records if record.msg == "the evaluation of a policy was given up"]
    assert statuses == [-signal.SIGPROF, -signal.SIGPROF, 1]

    # The text is evaluated again only after some time, because the machine may have caused the failure.
    with pytest.raises(GivenUpError):
        sandbox.try_text("regex", ARN)
    assert len(caplog.records) == 3
    now = 601.0
    with pytest.raises(GivenUpError):
        sandbox.try_text("regex", ARN)
    assert len(caplog.records) == 4
    sandbox.close()
    assert children() == before


def test_text_is_evaluated_once_by_a_process_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    sandbox = Sandbox(MODULE_UTILS, clock=lambda: now)
    before = children()
    sandbox.try_text('{"Statement": []}', ARN)
    [kept] = children() - before
    assert os.getpriority(os.PRIO_PROCESS, kept) > os.getpriority(os.PRIO_PROCESS, 0), "runs of the role come first"
    os.kill(kept, signal.SIGSTOP)
    # No process is needed for known texts, for texts that are too long, and for an empty text.
    for text in ('{"Statement": []}', "x" * 20_481, ""):
        sandbox.try_text(text, ARN)
    os.kill(kept, signal.SIGCONT)
    for number in range(3):
        sandbox.try_text(f'{{"Statement": [{number}, "\ud800é"]}}', ARN)
        assert children() - before == {kept}

    now = 60.0
    sandbox.try_text("", ARN)
    assert children() == before, "a process that has nothing to do is ended"
    sandbox.try_text("another", ARN)
    [kept] = children() - before
    os.kill(kept, signal.SIGKILL)
    os.waitid(os.P_PID, kept, os.WEXITED | os.WNOWAIT)
    sandbox.try_text("one more", ARN)
    assert len(children() - before) == 1

    pipes = open_pipes()
    del sandbox
    assert children() == before, "none is left behind"
    assert open_pipes() == pipes - 2
