"""The inputs of a run, and the meaning of its events. tests/cluster tests the run itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import ansible_runner
import pytest

from runner.execution import processes
from runner.execution.job import AnsibleJob, _Deadline, _EventHandler, _Record, extra_vars
from runner.execution.processes import read_stat, short_path
from runner.execution.warm.process import WarmProcess
from runner.objects import S3Object
from s3bucket.capabilities import Capabilities
from s3bucket.outcome import Outcome, Reason, Retry
from s3bucket.role_settings import RoleSettings
from tests.support.fakes import make_item, make_object

EVIL = "{{ lookup('pipe', 'touch /tmp/owned') }}"


@pytest.mark.parametrize("key", ["__ansible_unsafe", "__ansible_vault", EVIL])
def test_extra_vars_is_one_string_whatever_the_cr_holds(key: str) -> None:
    item = make_item(annotations={key: EVIL})
    item["spec"]["tags"] = {key: EVIL}
    given = extra_vars(S3Object(item), RoleSettings(cluster_name=EVIL))
    assert list(given) == ["s3bucket_cr_json", "s3bucket_operator_settings_json", "s3bucket_fail_on_error"]
    assert list(given["s3bucket_cr_json"]) == ["__ansible_unsafe"]
    assert list(given["s3bucket_operator_settings_json"]) == ["__ansible_unsafe"]
    text = given["s3bucket_cr_json"]["__ansible_unsafe"]
    assert json.loads(text)["spec"]["tags"] == {key: EVIL}
    assert "annotations" not in json.loads(text)["metadata"]


def test_extra_vars_have_the_annotations_that_request_something() -> None:
    requests = {"agill.apps/rotate-key": EVIL, "agill.apps/keep-old-key": "true"}
    item = make_item(annotations={**requests, "agill.apps/reconcile-requested-at": "now"})
    text = extra_vars(S3Object(item), RoleSettings())["s3bucket_cr_json"]["__ansible_unsafe"]
    assert json.loads(text)["metadata"]["annotations"] == requests


def test_run_after_cancel_starts_nothing(tmp_path: Path) -> None:
    job = AnsibleJob(tmp_path, tmp_path, 1, RoleSettings())
    job.cancel()
    assert job.run(make_object()).reason is Reason.RUN_CANCELLED
    assert list(tmp_path.iterdir()) == []


def test_run_that_is_revoked_starts_nothing_and_is_known_before_it_asks(tmp_path: Path) -> None:
    """Whoever kills the runs of a shard finds each run that does not know it yet."""
    known: list[list[str]] = []

    def is_revoked(uid: str) -> bool:
        known.append([uid, *job._running.values()])
        return True

    job = AnsibleJob(tmp_path, tmp_path, 1, RoleSettings(), is_revoked=is_revoked)
    s3 = make_object()
    outcome = job.run(s3)
    assert outcome.reason is Reason.RUN_CANCELLED
    assert known == [[s3.uid, s3.uid]]
    assert job._running == {}
    assert list(tmp_path.iterdir()) == []


def test_run_that_is_revoked_later_is_ended() -> None:
    record, answers = _Record(), [False, True]
    deadline = _Deadline("1-1-1", 600, lambda: answers.pop(0), record)
    assert not deadline()
    assert record.end is None
    assert not deadline(), "it has some time to end"
    assert record.end is Reason.RUN_CANCELLED


def test_run_that_was_killed_because_it_was_revoked_is_no_failed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked: list[bool] = [False, True]
    job = AnsibleJob(tmp_path, tmp_path, 1, RoleSettings(), is_revoked=lambda _: revoked.pop(0))
    # It returns when nothing is left of the run, and does not ask again whether to cancel it.
    monkeypatch.setattr("ansible_runner.run", lambda **_: None)
    assert job.run(make_object()).reason is Reason.RUN_CANCELLED
    revoked[:] = [False, False]
    assert job.run(make_object()).reason is Reason.RUN_FAILED


def test_kill_ends_the_runs_of_the_objects_that_it_is_about(tmp_path: Path) -> None:
    job = AnsibleJob(tmp_path, tmp_path, 1, RoleSettings())
    own = processes.operator_id()
    runs = {f"{own}-{name}": Child(f"{own}-{name}") for name in ("a", "b")}
    job._running = {f"{own}-a": "uid-a", f"{own}-b": "uid-b"}
    with runs[f"{own}-a"], runs[f"{own}-b"]:
        job.kill(lambda uid: uid == "uid-b")
        assert processes.find_run(f"{own}-b") == []
        assert len(processes.find_run(f"{own}-a")) == 1


class Child:
    """A process of a run."""

    def __init__(self, run_id: str) -> None:
        self._process = subprocess.Popen(["sleep", "600"], env={**os.environ, processes.RUN_ID: run_id})

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def test_cancel_ends_the_wait_for_a_warm_process_that_is_not_ready(tmp_path: Path) -> None:
    for name in ("work", "warm"):
        (tmp_path / name).mkdir()
    warm = WarmProcess(tmp_path / "warm", {})
    job = AnsibleJob(tmp_path, tmp_path / "work", 600, RoleSettings(), warm)
    outcomes: list[Outcome] = []
    run = threading.Thread(target=lambda: outcomes.append(job.run(make_object())), daemon=True)
    run.start()
    while not list((tmp_path / "work").glob("run-*")):
        run.join(0.01)
    job.cancel()
    # Half of the time that it would take without the cancellation.
    run.join(30)
    assert [outcome.reason for outcome in outcomes] == [Reason.RUN_CANCELLED]
    assert list((tmp_path / "work").iterdir()) == []


def test_run_that_is_one_of_many_of_its_namespace_has_a_lower_priority(tmp_path: Path) -> None:
    noisy, quiet = ("noisy", "a"), ("quiet", "a")
    job = AnsibleJob(tmp_path, tmp_path, 1, RoleSettings(), has_backlog=lambda key: key == noisy)
    assert processes.NICE not in job._envvars(tmp_path, "1", quiet)
    assert int(job._envvars(tmp_path, "1", noisy)[processes.NICE]) > 0


def handle(*events: dict[str, Any]) -> _Record:
    record = _Record()
    handler = _EventHandler(make_object().key, "run", record)
    assert [handler(event) for event in events] == [False] * len(events)
    return record


def test_event_handler_takes_the_outcome_from_the_stats() -> None:
    outcome = {"done": True, "reason": "Ready"}
    stats = {"event": "playbook_on_stats", "event_data": {"artifact_data": {"s3bucket_result": outcome}}}
    assert handle(stats).outcome == outcome


def test_event_handler_shows_no_censored_result() -> None:
    result = {"censored": "the output has been hidden", "msg": "SECRET"}
    failed = {"event": "runner_on_failed", "event_data": {"task": "Ensure a key", "res": result}}
    assert handle(failed).failure == "Ensure a key: "


def test_event_handler_cuts_messages() -> None:
    failed = {"event": "runner_on_failed", "event_data": {"task": "t", "res": {"msg": "x" * 10_000}}}
    assert len(handle(failed).failure) == 500


def run_play(tmp_path: Path, *tasks: dict[str, Any], **options: Any) -> tuple[Outcome, Path]:
    """Run a playbook of these tasks as a worker does. Returns its outcome and the work directory."""
    playbooks, work = tmp_path / "playbooks", tmp_path / "work"
    playbooks.mkdir()
    work.mkdir()
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": list(tasks)}
    (playbooks / "operator.yml").write_text(json.dumps([play]))
    outcomes: list[Outcome] = []
    job = AnsibleJob(tmp_path, short_path(work), 60, RoleSettings(), **options)
    worker = threading.Thread(target=lambda: outcomes.append(job.run(make_object())))
    worker.start()
    worker.join()
    return outcomes[0], work


def test_run_leaves_no_process_behind(tmp_path: Path) -> None:
    # A descendant in its own session that outlives ansible-playbook.
    pid_file = tmp_path / "pid"
    command = f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 300' > /dev/null 2>&1 < /dev/null & sleep 0.2"
    python = {"ansible_python_interpreter": sys.executable}
    run_play(tmp_path, {"ansible.builtin.shell": {"cmd": command}, "vars": python})
    # The process ended, or it is a zombie that init has not reaped yet.
    assert read_stat(int(pid_file.read_text()))[:1] in ([], ["Z"])


def test_run_of_a_playbook_that_fails_without_an_outcome_is_failed_not_absent(tmp_path: Path) -> None:
    outcome, work = run_play(tmp_path, {"name": "Refuse", "ansible.builtin.fail": {"msg": "no"}})
    assert (outcome.is_done, outcome.reason, outcome.retry) == (False, Reason.RUN_FAILED, Retry.TRANSIENT)
    assert "Refuse: no" in outcome.message
    assert list(work.iterdir()) == []


def test_run_gets_what_the_operator_has_found_out_about_the_store(tmp_path: Path) -> None:
    shown = "{{ (s3bucket_operator_settings_json | from_json).capabilities.bucket_owner }}"
    result = {**Outcome(True, Reason.READY).to_record(), "message": shown}
    stats = {"ansible.builtin.set_stats": {"data": {"s3bucket_result": result}}}
    store = Capabilities(is_aws=False, bucket_owner="id-of-the-store")
    assert run_play(tmp_path, stats, find_capabilities=lambda: store)[0].message == "id-of-the-store"


def test_end_of_a_process_is_not_followed_by_a_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ansible-runner starts and closes each run. pexpect would sleep for 0.1 s."""
    slept: list[float] = []
    child = ansible_runner.runner.pexpect.spawn(sys.executable, ["-c", ""])
    child.expect(ansible_runner.runner.pexpect.EOF)
    assert not child.isalive()
    monkeypatch.setattr("ptyprocess.ptyprocess.time.sleep", slept.append)
    child.close()
    assert slept == [0]
