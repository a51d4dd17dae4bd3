"""The end of a run ends all its descendants, and no other processes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

from runner.execution import processes

# Starts a child in its own session that ignores SIGTERM. Reports that, and waits.
_PARENT = """
import os, signal, subprocess, sys
code = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
signal.pause()
"""


def start(run_id: str) -> subprocess.Popen[str]:
    environment = {**os.environ, processes.RUN_ID: run_id}
    process = subprocess.Popen([sys.executable, "-c", _PARENT], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.stdout.close()
    process.wait(10)


def test_kill_run_ends_descendants_in_other_sessions_and_no_other_run() -> None:
    mine, other = f"{processes.operator_id()}-1", f"{processes.operator_id()}-2"
    first, second = start(mine), start(other)
    assert len(processes.find_run(mine)) == 2
    processes.kill_run(mine)
    assert processes.find_run(mine) == []
    assert len(processes.find_run(other)) == 2
    processes.kill_run(other)
    end(first)
    end(second)


def test_sweep_removes_only_folders_that_an_operator_made(tmp_path: Path) -> None:
    # --work-dir may be any directory of a user.
    names = ["my-project", "run-x", "notes-2026-11", "credentials-1-0", "run-1-0-7", "warm-1-0"]
    for name in names:
        (tmp_path / name).mkdir()
    processes.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my-project", "notes-2026-11", "run-x"]


def test_sweep_ends_runs_of_dead_operators_only(tmp_path: Path) -> None:
    # Alive until its run has started. Otherwise the operator of another test would end the run of a dead operator at
    # once.
    operator = subprocess.Popen(["sleep", "600"])
    dead, alive = f"{processes.operator_id(operator.pid)}-7", f"{processes.operator_id()}-3"
    for run_id in (dead, alive):
        (tmp_path / f"run-{run_id}").mkdir()
    first, second = start(dead), start(alive)
    operator.kill()
    operator.wait()
    processes.sweep(tmp_path)
    assert processes.find_run(dead) == []
    assert len(processes.find_run(alive)) == 2
    assert [path.name for path in tmp_path.iterdir()] == [f"run-{alive}"]
    processes.kill_run(alive)
    end(first)
    end(second)


def test_operator_id_names_a_process_that_has_ended_differently() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert processes.operator_id(process.pid).endswith("-")


def test_short_path_of_a_deep_folder_has_room_for_a_socket_in_the_tmpdir_of_a_run(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    tmpdir = processes.own_folder(processes.short_path(deep), "run", "1234567") / "tmp" / "pymp-12345678"
    tmpdir.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmpdir / "listener-12345678"))
    assert [path.name for path in deep.rglob("listener-*")] == ["listener-12345678"]


def test_short_path_of_a_folder_that_is_short_is_its_own() -> None:
    assert processes.short_path(Path("/run/s3-operator/runs")) == Path("/run/s3-operator/runs")


# A subreaper: orphaned descendants become its children.
_HEIR = """
import logging, os, subprocess, sys, threading
from runner.execution import processes
processes._ORPHAN_S = 0.05
processes.become_subreaper()
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
stopping = threading.Event()
code = "import os; print(os.fork() or os._exit(0))"
orphans = [int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split()[0])
           for _ in range(3)]
reaper = threading.Thread(target=processes.reap_orphans, args=[stopping])
reaper.start()
while any(os.path.exists(f"/proc/{pid}") for pid in orphans): stopping.wait(0.01)
stopping.set()
reaper.join()
"""


def test_orphans_are_waited_for() -> None:
    done = subprocess.run([sys.executable, "-c", _HEIR], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.count("waited for an orphan") == 3


# Five searches for orphans by a process with one child, which lives.
_IDLE = """
import subprocess, sys
from runner.execution import processes
listed = []
sys.addaudithook(lambda event, arguments: event == "os.listdir" and listed.append(arguments[0]))
class FiveTimes:
    left = 5
    def wait(self, timeout_s):
        self.left -= 1
        return self.left < 0
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
processes.reap_orphans(FiveTimes())
child.communicate()
print(*listed)
"""


def test_processes_are_not_listed_while_no_child_is_dead() -> None:
    done = subprocess.run([sys.executable, "-c", _IDLE], capture_output=True, text=True, timeout=30, check=True)
    assert "/proc" not in done.stdout


def test_sweep_leaves_runs_of_containers_alone(tmp_path: Path) -> None:
    # An operator in a container is process 1 there, and the names of its runs contain that number. On the node, process
    # 1 is another process.
    run_id = "1-0-8"
    command = ["unshare", "--pid", "--fork", "--kill-child", "env", f"{processes.RUN_ID}={run_id}"]
    if os.geteuid() != 0:
        command[1:1] = ["--user", "--map-root-user"]
    with subprocess.Popen([*command, sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as container:
        assert container.stdout is not None
        assert container.stdout.readline() == "up\n"
        before = having(run_id)
        assert len(before) == 2
        processes.sweep(tmp_path)
        assert having(run_id) == before
        container.kill()


def having(run_id: str) -> set[str]:
    """All processes of this machine, in any namespace, that have a run's ID in their environment."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"{processes.RUN_ID}={run_id}".encode() in file.read_bytes().split(b"\0"):
                found.add(file.parent.name)
    return found


def test_what_the_start_has_made_is_not_searched_for_garbage_any_more() -> None:
    code = (
        "import gc; from runner.execution import processes; processes.collect_less(); "
        "print(gc.get_freeze_count() > 1000, gc.get_threshold()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "5000"]


_FREE = """
from runner.execution import processes
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
processes.share_heaps()
kept = [bytes([number % 256]) * 50_000 for number in range(2_000)]
# The last one stays, so that what is free is not at the end of the heap.
del kept[:-1]
before = resident()
processes.return_free_memory()
print(before - resident())
"""


def test_free_memory_of_the_heaps_is_returned() -> None:
    done = subprocess.run([sys.executable, "-c", _FREE], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 50_000_000
