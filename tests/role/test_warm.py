"""Warm runs: same results as stock runs, isolated from each other, and ended with their caller."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dev.wait import wait_until
from runner.execution import processes
from runner.execution.job import extra_vars
from runner.execution.warm.process import WarmProcess
from runner.objects import S3Object
from tests.support.world import PROJECT, SETTINGS, NewObject, World, deleting, requests_of

_WAIT_S = 30.0
PLAY = {
    "hosts": "localhost",
    "gather_facts": False,
    "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
}
_IDENTITY = (
    b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    b"<Arn>arn:aws:iam::123456789012:user/one</Arn><UserId>AIDAONE</UserId><Account>123456789012</Account>"
    b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
_ALIASES = (
    b'<ListAccountAliasesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListAccountAliasesResult>'
    b"<AccountAliases/><IsTruncated>false</IsTruncated></ListAccountAliasesResult></ListAccountAliasesResponse>"
)
# Values from AWS, Kubernetes and the clock that are different in every run.
_ONE_OFF = re.compile(
    r"AKIA\w+|LKIA\w+|[0-9a-f]{32,}|[0-9a-f-]{36}|\d{4}-\d\d-\d\dT[\d:.+Z]*|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT"
)


@pytest.fixture
def warm(world: World, tmp_path: Path) -> Iterator[WarmProcess]:
    made = start(world, tmp_path)
    yield made
    made.stop()


def start(world: World, folder: Path, **environment: str) -> WarmProcess:
    home = folder / "warm"
    home.mkdir(mode=0o700)
    run_id = f"{processes.operator_id()}-warm".ljust(64, "-")
    given = {"ANSIBLE_ROLES_PATH": str(PROJECT / "roles"), processes.RUN_ID: run_id, **environment}
    made = WarmProcess(home, world.environment(**given))
    made.start()
    return made


@pytest.fixture(autouse=True)
def _temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that is killed leaves its folder behind. The path is short, because ansible-core has sockets in it."""
    with tempfile.TemporaryDirectory(prefix="warm-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield


class Play:
    """A playbook of these tasks, run by the shim of a warm process."""

    numbers = iter(range(1_000_000))

    def __init__(
        self, warm: WarmProcess, world: World, folder: Path, *tasks: dict[str, Any], **environment: str
    ) -> None:
        number = next(self.numbers)
        self.run_id = f"{processes.operator_id()}-9{number}"
        file = folder / f"play-{number}.yml"
        file.write_text(json.dumps([{**PLAY, "tasks": list(tasks)}]))
        path = warm.find_path()
        assert path is not None
        self.process = subprocess.Popen(
            [str(path / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(file)],
            env=world.environment(**{processes.RUN_ID: self.run_id, **environment}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def output(self) -> str:
        return self.process.communicate(timeout=_WAIT_S)[0]

    def others(self) -> list[int]:
        """The processes of the run other than the shim."""
        return [pid for pid in processes.find_run(self.run_id) if pid != self.process.pid]


class Sts:
    """Answers two calls as AWS documents them, and counts connections. It keeps connections open, as AWS does."""

    def __init__(self) -> None:
        self.connections = [0]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections[-1] += 1

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                is_sts = "/sts/" in self.headers["Authorization"]
                body = _IDENTITY if is_sts else _ALIASES
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Sts:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.connections.pop()

    def end_of_run(self) -> None:
        self.connections.append(0)


def hang(flag: Path) -> dict[str, Any]:
    """A task that starts its own session and never ends."""
    return {"ansible.builtin.command": f"{sys.executable} -c \"open('{flag}','w'); import time; time.sleep(3600)\""}


def print_text(text: str) -> dict[str, Any]:
    return {"ansible.builtin.debug": {"msg": text}}


def report_of(world: World, cr: dict[str, Any], executor: str) -> list[str]:
    """What a run reports about each task, without the values that differ in every run."""
    output = world.reconcile(cr, "-v", executor=executor).output
    names = {cr["metadata"]["name"]: "NAME", cr["spec"]["bucketName"]: "BUCKET"}
    names |= {cr["spec"]["iamUser"]["username"]: "USER", cr["metadata"]["namespace"]: "NAMESPACE"}
    for name, word in names.items():
        output = output.replace(name, word)
    lines = _ONE_OFF.sub("ONE-OFF", output).splitlines()
    return [_sorted(line) for line in lines if not line.startswith("Using ")]


def _sorted(line: str) -> str:
    head, arrow, body = line.rpartition(" => ")
    try:
        result = json.loads(body)
    except ValueError:
        return line
    if isinstance(result.get("cr"), str):
        result["cr"] = json.loads(result["cr"])
    for volatile in (
        "request_id",
        "x-amzn-requestid",
        "resource_version",
        "resourceVersion",
        "uid",
        "create_date",
        "user_id",
        "duration",
    ):
        _drop(result, volatile)
    return f"{head}{arrow}{json.dumps(result, sort_keys=True)}"


def _drop(value: Any, name: str) -> None:
    if isinstance(value, dict):
        value.pop(name, None)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _drop(inner, name)


def test_warm_and_stock_report_the_same_task_by_task_and_leave_the_same(world: World, new_object: NewObject) -> None:
    spec = {"enableVersioning": True, "tags": {"team": "photos"}}
    objects = {executor: new_object(**spec) for executor in ("warm", "stock")}
    first = {executor: report_of(world, cr, executor) for executor, cr in objects.items()}
    assert first["warm"] == first["stock"]
    assert any('"versioning"' in line and line.startswith("changed") for line in first["warm"])
    for cr in objects.values():
        world.s3.put_bucket_versioning(Bucket=cr["spec"]["bucketName"], VersioningConfiguration={"Status": "Suspended"})
    repaired = {executor: report_of(world, cr, executor) for executor, cr in objects.items()}
    assert repaired["warm"] == repaired["stock"]
    settings = {executor: world.snapshot(cr)["bucket"]["settings"] for executor, cr in objects.items()}
    assert settings["warm"] == settings["stock"]
    assert [world.differs(cr) for cr in objects.values()] == [[], []]
    gone = {executor: report_of(world, deleting(cr), executor) for executor, cr in objects.items()}
    assert gone["warm"] == gone["stock"]
    assert [any(world.snapshot(cr).values()) for cr in objects.values()] == [False, False]


def test_warm_and_stock_refuse_in_the_same_words(world: World, new_object: NewObject) -> None:
    taken = new_object()["spec"]["bucketName"]
    world.s3.create_bucket(Bucket=taken)
    cr = new_object(bucketName=taken)
    runs = [world.reconcile(cr, executor=executor).outcome for executor in ("warm", "stock")]
    assert runs[0] == runs[1]
    assert runs[0]["reason"] == "Conflict"


def test_modules_of_the_role_and_of_collections_run_in_the_run_process(
    warm: WarmProcess, world: World, tmp_path: Path
) -> None:
    # The process that evaluates the template is the parent of the shell.
    where = "{{ lookup('pipe', 'echo $PPID') }}"
    tasks = [
        {"ansible.builtin.set_fact": {"before": where}},
        {"amazon.aws.iam_user": {"name": f"nobody-{where}", "state": "present"}, "register": "made"},
        {"ansible.builtin.command": f"echo {where}", "register": "command"},
        {"kubernetes.core.k8s": {"api_version": "v1", "kind": "Secret", "name": "none", "state": "absent"}},
        {"ansible.builtin.set_fact": {"after": where}},
        {"ansible.builtin.set_fact": {"made": "{{ made.iam_user | default(made) }}"}},
        print_text("PIDS {{ before }} {{ made.user.user_name[7:] }} {{ command.stdout }} {{ after }} "),
    ]
    play = Play(warm, world, tmp_path, *tasks, ANSIBLE_DEBUG="1")
    output = play.output()
    assert play.process.returncode == 0, output
    # Stock execution of a module uses a shell. In-process execution does not.
    assert output.count("_low_level_execute_command(): starting") == 1
    found = re.search(r"PIDS (\d+) (\d+) (\d+) (\d+) ", output)
    assert found is not None
    before, user, command, after = found.groups()
    assert before == user == after
    assert command != before, "what is not supported has a worker process"


def test_loop_runs_in_the_run_process_and_shows_each_item(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    absent = {"api_version": "v1", "kind": "Secret", "name": "{{ item }}", "state": "absent"}
    tasks = [
        {"ansible.builtin.set_fact": {"before": "{{ lookup('pipe', 'echo $PPID') }}"}},
        {**print_text("{{ item }}-{{ before == lookup('pipe', 'echo $PPID') }}"), "loop": ["one", "two"]},
        {"kubernetes.core.k8s": absent, "loop": ["three", "four"]},
    ]
    play = Play(warm, world, tmp_path, *tasks)
    output = play.output()
    assert play.process.returncode == 0, output
    assert re.findall(r"\(item=(\w+)\)", output) == ["one", "two", "three", "four"]
    assert re.findall(r"\w+-True", output) == ["one-True", "two-True"]


def test_run_of_the_operator_reports_only_changes_and_failures(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    tasks = [
        {**print_text("unchanged"), "loop": ["one"]},
        {"ansible.builtin.command": "echo changed"},
        {**print_text("skipped"), "when": "false"},
        {"ansible.builtin.fail": {"msg": "the reason"}},
    ]
    plays = [Play(warm, world, tmp_path, *tasks, **more) for more in ({}, {processes.ONLY_CHANGES: "1"})]
    found = [re.findall(r"^(ok|changed|skipping|fatal|TASK)\b", play.output(), re.MULTILINE) for play in plays]
    every = ["TASK", "ok", "TASK", "changed", "TASK", "skipping", "TASK", "fatal"]
    # The callback shows the name of a task with its first result.
    assert found == [every, ["TASK", "changed", "TASK", "fatal"]]


def test_modules_of_a_run_share_their_connections(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    with Sts() as sts:
        arguments: dict[str, Any] = {"endpoint_url": sts.url, "region": "us-east-1"}
        task: dict[str, Any] = {"amazon.aws.aws_caller_info": arguments}
        other = {**task, "environment": {"AWS_ACCESS_KEY_ID": "another", "AWS_SECRET_ACCESS_KEY": "none"}}
        configured = {"amazon.aws.aws_caller_info": {**arguments, "aws_config": {"retries": {}}}}
        for tasks in ([task, task], [task], [task, other], [configured, configured]):
            play = Play(warm, world, tmp_path, *tasks)
            output = play.output()
            assert play.process.returncode == 0, output
            sts.end_of_run()
    assert sts.connections == [2, 2, 4, 4], "one for STS, one for IAM; not for other credentials or settings"


def test_shim_that_dies_takes_its_run_along(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    flag = tmp_path / "hangs"
    play = Play(warm, world, tmp_path, hang(flag))
    wait_until(flag.exists, "the task runs")
    assert len(play.others()) > 1
    play.process.kill()
    play.process.communicate()
    wait_until(lambda: not play.others(), "the run's processes are gone")
    assert Play(warm, world, tmp_path, print_text("still here")).output().count("still here") == 1


def test_run_is_found_and_killed_by_its_id_and_others_go_on(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    flags = [tmp_path / "one", tmp_path / "two"]
    doomed, other = (Play(warm, world, tmp_path, hang(flag)) for flag in flags)
    wait_until(lambda: all(flag.exists() for flag in flags), "both tasks run")
    processes.kill_run(doomed.run_id)
    assert processes.find_run(doomed.run_id) == []
    assert len(other.others()) > 1
    processes.kill_run(other.run_id)
    for play in (doomed, other):
        play.output()
    assert warm.pid in processes.find_run(f"{processes.operator_id()}-warm".ljust(64, "-"))


def test_warm_process_that_is_killed_is_started_again_and_its_runs_end(
    warm: WarmProcess, world: World, tmp_path: Path
) -> None:
    flag = tmp_path / "hangs"
    play = Play(warm, world, tmp_path, hang(flag))
    wait_until(flag.exists, "the task runs")
    old = warm.pid
    os.kill(old, signal.SIGKILL)
    assert play.process.wait(_WAIT_S) == 70
    # The job does this at the end of every run.
    processes.kill_run(play.run_id)
    play.output()
    wait_until(lambda: warm.pid not in (0, old), "another warm process")
    assert "again" in Play(warm, world, tmp_path, print_text("again")).output()


_GREEDY = """
from ansible.module_utils.basic import AnsibleModule

module, hoard = AnsibleModule({}), []
for _ in range(1024):
    hoard.append(bytearray(1024 * 1024))
module.exit_json(msg="had all it wanted")
"""


def test_run_that_leaks_memory_fails_and_harms_nobody_else(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "greedy.py").write_text(_GREEDY)
    flag = tmp_path / "hangs"
    other = Play(warm, world, tmp_path, hang(flag))
    wait_until(flag.exists, "another run is under way")
    pid = warm.pid
    greedy = Play(warm, world, tmp_path, {"greedy": {}})
    output = greedy.output()
    assert greedy.process.returncode != 0
    assert "MemoryError" in output, output
    assert len(other.others()) > 1
    assert "still here" in Play(warm, world, tmp_path, print_text("still here")).output()
    assert warm.pid == pid
    processes.kill_run(other.run_id)
    other.output()


def test_socket_that_is_gone_means_a_stock_run(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    path = warm.find_path()
    assert path is not None
    (path.parent / "socket").unlink()
    play = Play(warm, world, tmp_path, print_text("by stock"))
    assert "by stock" in play.output()
    assert play.process.returncode == 0


def test_socket_is_private_and_its_peer_is_checked(warm: WarmProcess) -> None:
    path = warm.find_path()
    assert path is not None
    folder, file = path.parent, path.parent / "socket"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    if os.getuid() != 0:
        pytest.skip("only root can be somebody else")
    # Open the permissions of the socket and its directories, so that only the check of the peer is left.
    file.chmod(0o666)
    parents = [folder, *(parent for parent in folder.parents if parent.stat().st_uid == 0)]
    modes = {parent: stat.S_IMODE(parent.stat().st_mode) for parent in parents}
    for parent, mode in modes.items():
        parent.chmod(mode | 0o011)
    try:
        # Not user=: the Python of this environment may be in a directory that another user cannot read.
        command = [sys.executable, "-IS", "-c", _OTHER_USER, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT_S)
    finally:
        for parent, mode in modes.items():
            parent.chmod(mode)
    assert done.stdout.strip() == "closed", done.stderr


_OTHER_USER = """
import os, socket, sys
os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
print("answered" if connection.recv(1) else "closed")
"""


def test_run_sees_nothing_of_the_one_before(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    task = {"ansible.builtin.debug": {"msg": "{{ lookup('env', 'PLANTED') }}/{{ lookup('pipe', 'ls /proc/self/fd') }}"}}
    with (tmp_path / "planted").open("w") as planted:
        os.set_inheritable(planted.fileno(), True)
        first = Play(warm, world, tmp_path, task, PLANTED="planted-value").output()
        second = Play(warm, world, tmp_path, task).output()
    assert "planted-value" in first
    assert "planted-value" not in second
    descriptors = [
        sorted(set(re.findall(r"\b\d+\b", text.partition('"msg": ')[2].partition("\n")[0]))) for text in (first, second)
    ]
    assert descriptors[0] == descriptors[1]


def test_run_with_low_priority_leaves_later_runs_unchanged(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    # A task that runs in the run's own process, as nearly all of the role do.
    message = "nice={{ lookup('pipe', 'nice') }} {{ lookup('file', autogroup) }}"
    task: dict[str, Any] = {"ansible.builtin.assert": {"that": ["true"], "success_msg": message}}
    own = int(subprocess.run(["nice"], capture_output=True, check=True).stdout)
    autogroup = {"vars": {"autogroup": "/proc/self/autogroup"}} if Path("/proc/self/autogroup").exists() else {}
    task |= autogroup or {"vars": {"autogroup": "/dev/null"}}
    low = Play(warm, world, tmp_path, task, **{processes.NICE: "7"}).output()
    normal = Play(warm, world, tmp_path, task).output()
    assert f"nice={own + 7} " in low
    assert f"nice={own} " in normal
    if autogroup:
        assert re.search(r"nice=\d+ /autogroup-\d+ nice 7", low)
        assert not re.search(r"nice=\d+ /autogroup-\d+ nice 7", normal)


def test_what_is_no_request_harms_nobody(warm: WarmProcess, world: World, tmp_path: Path) -> None:
    path = warm.find_path()
    assert path is not None
    for rubbish in (b"", b"\xff\xff\xff\xff", b"\0\0\0\2{}"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path.parent / "socket"))
            connection.sendall(rubbish)
    assert "fine" in Play(warm, world, tmp_path, print_text("fine")).output()


@pytest.mark.parametrize(
    ("module", "internal"),
    [
        ("ansible.plugins.action", "ActionBase._configure_module"),
        ("ansible.executor.process.worker", "WorkerProcess._run"),
    ],
)
def test_ansible_that_is_not_as_expected_means_stock_runs_and_is_logged_once(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, module: str, internal: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import {module} as module\ndel module.{internal}\n")
    with caplog.at_level(logging.WARNING, logger="runner.execution.warm.process"):
        made = start(world, tmp_path, PYTHONPATH=str(tmp_path))
        assert made.find_path() is None
        assert made.find_path() is None
    made.stop()
    records = [record for record in caplog.records if record.message == "runs are not warm"]
    assert len(records) == 1
    assert internal in vars(records[0])["error"]


def test_warm_process_that_cannot_start_means_stock_runs_meanwhile(world: World, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nif 'warm' in os.environ['S3_OPERATOR_RUN_ID']: os._exit(9)\n"
    )
    made = start(world, tmp_path, PYTHONPATH=str(tmp_path))
    play = Play(made, world, tmp_path, print_text("by stock"))
    made.stop()
    assert "by stock" in play.output()


def test_end_of_the_operator_ends_the_warm_process_and_its_runs(world: World, tmp_path: Path) -> None:
    made = start(world, tmp_path)
    flag = tmp_path / "hangs"
    play = Play(made, world, tmp_path, hang(flag))
    wait_until(flag.exists, "the task runs")
    pid = made.pid
    made.stop()
    play.output()
    wait_until(lambda: not play.others(), "the run's processes are gone")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# Prints how many templates are compiled for each text, in a process that has imported everything.
_COMPILED = """
import jinja2, os, sys
from runner.execution.warm import preload
preload.import_all()
from ansible._internal._templating._engine import TemplateEngine, TemplateOptions
from ansible.parsing.dataloader import DataLoader
from ansible.template import trust_as_template
compiled, stock = [], jinja2.Environment._generate
def generate(self, *arguments, **more):
    compiled.append(1)
    return stock(self, *arguments, **more)
jinja2.Environment._generate = generate
loader = DataLoader()
loader.set_basedir(os.path.abspath("playbooks"))
engine = TemplateEngine(loader, variables={"b": "c", "s3bucket_cr": {}})
for text, options in eval(sys.stdin.read()):
    compiled.clear()
    result = engine.template(trust_as_template(text), options=TemplateOptions(**options))
    print(len(compiled), result)
"""


def test_templates_of_the_role_are_compiled_before_any_run(world: World) -> None:
    known = "{{ s3bucket_cr | to_json }}"
    assert known in (PROJECT / "roles" / "s3bucket" / "tasks" / "reconcile.yml").read_text()
    slash = "{{ 'a\\\\b' }}"
    texts = [
        (known, {}),
        ("{{ b }} and [[ b ]]", {}),
        ("{{ b }} and [[ b ]]", {}),
        ("#jinja2:variable_start_string:'[[',variable_end_string:']]'\n{{ b }} and [[ b ]]", {}),
        (slash, {}),
        (slash, {"escape_backslashes": False}),
    ]
    done = subprocess.run(
        [sys.executable, "-c", _COMPILED],
        input=repr(texts),
        env=world.environment(ANSIBLE_ROLES_PATH=str(PROJECT / "roles")),
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
    )
    assert done.stdout.splitlines() == [
        "0 {}",
        "1 c and [[ b ]]",
        "0 c and [[ b ]]",
        "1 {{ b }} and c",
        "1 a\\\\b",
        "1 a\\b",
    ]


# Runs ansible-playbook with these arguments as a child of the warm process does, and prints what it has done.
_COUNTED = """
import collections, json, os, sys
from runner.execution.warm import preload, server
preload.import_all()
import jinja2
from ansible.parsing import dataloader
from ansible.playbook.block import Block
from ansible.playbook.task import Task
done = {"compiled": [], "parsed": [], "made": [], "forked": [], "searched": []}
def count(owner, name, kind, what):
    stock = getattr(owner, name)
    def counted(*arguments, **more):
        done[kind].append(what(*arguments, **more))
        return stock(*arguments, **more)
    setattr(owner, name, counted)
count(jinja2.Environment, "compile", "compiled", lambda _, source, *more: str(source))
count(dataloader, "from_yaml", "parsed", lambda data, file_name, **more: os.path.basename(str(file_name)))
count(Block, "load", "made", lambda data, **more: "block")
count(Task, "load", "made", lambda data, **more: data["name"])
count(os, "fork", "forked", lambda: 1)
from botocore.loaders import Loader
count(Loader, "list_available_services", "searched", lambda _, type_name: type_name)
before = set(sys.modules)
code = server._playbook(["ansible-playbook", *sys.argv[1:]])
# Ansible's own versions differ in what else they import by name.
known = ("ansible_collections.", "boto", "kubernetes")
done["imported"] = sorted(name for name in set(sys.modules) - before if name.startswith(known))
print("\\n" + json.dumps({**done, "code": code}))
"""


def test_warm_run_of_a_new_object_does_once_what_it_must_and_nothing_that_can_be_done_before(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    cr, extra = new_object(), tmp_path / "extra.json"
    extra.write_text(json.dumps(extra_vars(S3Object(cr), SETTINGS)))
    arguments = ["-i", "localhost,", str(PROJECT / "playbooks" / "operator.yml"), "-e", f"@{extra}"]
    with requests_of(world) as requests:
        done = subprocess.run(
            [sys.executable, "-c", _COUNTED, *arguments],
            env=world.environment(ANSIBLE_ROLES_PATH=str(PROJECT / "roles")),
            capture_output=True,
            text=True,
            check=True,
            cwd=PROJECT,
        )
    counted = json.loads(done.stdout.splitlines()[-1])
    assert world.differs(cr) == []
    # ansible-core 2.21 makes a task for each play that checks its arguments, also where there are none to check.
    counted["made"] = [name for name in counted["made"] if not name.startswith("Validating arguments")]
    assert counted == {
        "compiled": [],
        "parsed": ["extra.json"],
        "made": [],
        "forked": [],
        "searched": [],
        "imported": [],
        "code": 0,
    }
    (key,) = {item["access_key"] for item in requests if item["action"] == "CreateUser"}
    by_operator = [item["action"] for item in requests if item["access_key"] == key]
    assert len(by_operator) <= 16, by_operator
    assert len(requests) - len(by_operator) == 1, "the new key is verified once"
