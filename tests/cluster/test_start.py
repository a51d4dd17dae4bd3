"""Commands that cannot start or are stopped: one clear line, the documented exit status, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.processes import get_free_port
from dev.wait import wait_until
from runner.execution import processes
from tests.support.operator import StartOperator, condition
from tests.support.world import CLUSTER, PROJECT, NewObject, World

PROGRAM = str(Path(sys.executable).parent / "s3-operator")
# The exit status of each command that cannot start. warn-uninstall must never block an uninstall.
COMMANDS = {
    "run": ("run", 1),
    "once": ("once", 2),
    "plan": ("plan", 1),
    "plan-file": ("plan -f examples/minimal.yaml", 1),
    "orphans": ("orphans", 1),
    "check": ("check --wait 0", 1),
    "warn-uninstall": ("warn-uninstall", 0),
}
_SERVERS = ("--metrics-bind-address", "0", "--health-probe-bind-address", "0")


def words_of(command: str, work_dir: Path) -> list[str]:
    words = [PROGRAM, *command.split()]
    if words[1] in ("run", "once", "plan", "orphans"):
        words += ["--work-dir", str(work_dir)]
    return words + list(_SERVERS) * (words[1] in ("run", "once"))


def start(world: World, command: str, folder: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. An environment variable with the value None is removed."""
    merged = {**world.environment(), "HOME": str(folder), **environment}
    done = subprocess.run(
        words_of(command, folder / "work"),
        env={name: value for name, value in merged.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=PROJECT,
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


def kubeconfig_of(world: World, path: Path, change: Callable[[dict[str, Any]], object]) -> str:
    config = yaml.safe_load(world.kubeconfig.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))
    return str(path)


def exec_plugin(config: dict[str, Any], command: str = "no-such-plugin", *arguments: str) -> None:
    api_version = "client.authentication.k8s.io/v1beta1"
    config["users"][0]["user"] = {"exec": {"apiVersion": api_version, "command": command, "args": list(arguments)}}


TEXTS = {
    "empty": ("", "cannot be used: Invalid kube-config"),
    "not-yaml": (
        "users:\n- user:\n    token: secret-word\n   x",
        "is not YAML: expected <block end>, but found '<scalar>' in line 4",
    ),
    "text": ("hello secret-word", "it is not a kubeconfig"),
    "list": ("[secret-word]", "it is not a kubeconfig"),
}


@pytest.mark.parametrize(("text", "message"), TEXTS.values(), ids=TEXTS)
def test_kubeconfig_that_is_none_is_named_without_its_text(
    world: World, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    done = start(world, "plan", tmp_path, KUBECONFIG=str(path))
    assert done.returncode == 1
    assert f"the kubeconfig {path}" in done.stderr
    assert message in done.stderr
    assert "set KUBECONFIG to another one" in done.stderr
    assert "secret-word" not in done.stderr


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "context": (lambda config: config.update({"current-context": "nosuch"}), "Expected object with name nosuch"),
    "plugin": (exec_plugin, "No such file or directory: 'no-such-plugin': install the program"),
    "failing-plugin": (
        lambda config: exec_plugin(config, "sh", "-c", "echo expired >&2; exit 3"),
        "returned 3. expired",
    ),
    "ca": (
        lambda config: config["clusters"][0]["cluster"].update({"certificate-authority": "/nosuch/ca.crt"}),
        "File does not exist: /nosuch/ca.crt",
    ),
    "port": (
        lambda config: config["clusters"][0]["cluster"].update({"server": f"https://127.0.0.1:{get_free_port()}"}),
        "does not answer (",
    ),
    "token": (lambda config: config["users"][0].update({"user": {"token": "x"}}), "Unauthorized (401): check the user"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_kubeconfig_that_leads_nowhere_is_reported_with_the_remedy(
    world: World, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = kubeconfig_of(world, tmp_path / "kubeconfig", change)
    done = start(world, "once", tmp_path, KUBECONFIG=path)
    assert done.returncode == 2
    assert message in done.stderr
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(("command", "code"), COMMANDS.values(), ids=COMMANDS)
def test_every_command_names_an_unusable_kubeconfig_and_ends_as_documented(
    world: World, tmp_path: Path, command: str, code: int
) -> None:
    done = start(world, command, tmp_path, KUBECONFIG="/nosuch/kubeconfig")
    assert done.returncode == code
    assert "the kubeconfig /nosuch/kubeconfig cannot be used" in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("command", "message"),
    [("once", "set KUBECONFIG, or run in a Pod"), ("plan -f examples/minimal.yaml", "--cluster-name")],
    ids=["once", "plan-file"],
)
def test_command_without_any_cluster_explains_how_to_name_one(
    world: World, tmp_path: Path, command: str, message: str
) -> None:
    assert message in start(world, command, tmp_path, KUBECONFIG=None).stderr


def test_operator_waits_for_an_api_server_and_logs_which_one_does_not_answer(
    world: World, start_operator: StartOperator, tmp_path: Path
) -> None:
    path = kubeconfig_of(world, tmp_path / "kubeconfig", CHANGES["port"][0])
    operator = start_operator(environment=world.environment(KUBECONFIG=path))
    (line, *_) = wait_until(lambda: operator.lines("lease not read or written"), "the error")
    assert "does not answer (" in line["error"]
    assert "check KUBECONFIG" in line["error"]
    assert operator.stop() == 0
    assert "Traceback" not in operator.log_file.read_text()


@pytest.mark.parametrize(
    ("command", "problem"),
    [("run", "below-a-file"), ("plan", "proc"), ("run", "full"), ("once", "full"), ("plan", "read-only")],
)
def test_unusable_work_directory_is_named_with_the_flag(
    world: World, tmp_path: Path, command: str, problem: str
) -> None:
    (tmp_path / "file").write_text("")
    places = {"below-a-file": tmp_path / "file" / "x", "proc": Path("/proc/s3-operator")}
    work_dir = places.get(problem, tmp_path / "mounted")
    words = words_of(command, work_dir)
    if problem not in places:
        work_dir.mkdir()
        options = {"full": "size=4k", "read-only": "size=1m,ro"}[problem]
        words = in_tmpfs(work_dir, options, words)
    done = subprocess.run(words, env=world.environment(), capture_output=True, text=True, timeout=180)
    assert done.returncode == (2 if command == "once" else 1)
    assert f"{work_dir} cannot be used as work directory" in done.stderr
    assert "--work-dir" in done.stderr
    assert "Traceback" not in done.stderr


def in_tmpfs(folder: Path, options: str, words: list[str]) -> list[str]:
    """The command with a separate file system mounted on a directory. No other process sees it."""
    own = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    return [*own, "sh", "-c", f'mount -t tmpfs -o {options} none "$0" && exec "$@"', str(folder), *words]


def test_work_directory_of_another_user_is_refused(world: World, tmp_path: Path) -> None:
    # root owns the root of every file system, except in user namespaces.
    unowned = Path("/") if os.getuid() else tmp_path / "unowned"
    if not os.getuid():
        unowned.mkdir()
        os.chown(unowned, 12345, 12345)
    done = subprocess.run(
        words_of("plan", unowned), env=world.environment(), capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 1
    assert "is another user's: name a folder of your own with --work-dir" in done.stderr


def test_work_directory_that_fills_up_fails_the_run_with_the_reason(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    cr = new_object()
    words = once_of(cr, tmp_path / "work", "--executor", "stock")
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        in_tmpfs(tmp_path / "work", "size=100k", words),
        env=world.environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert condition(world, cr)["reason"] == "RunFailed"
    assert "--work-dir" in condition(world, cr)["message"]
    assert "Traceback" not in done.stderr


def once_of(cr: dict[str, Any], work_dir: Path, *more: str) -> list[str]:
    namespace = cr["metadata"]["namespace"]
    words = [PROGRAM, "once", "--watch-namespace", namespace, "--work-dir", str(work_dir), "--cluster-name", CLUSTER]
    return [*words, "--leader-election-namespace", namespace, *more]


LOCALES = {
    "C": {"LC_ALL": "C"},
    "POSIX": {"LC_ALL": "POSIX"},
    "unset": {},
    "missing": {"LC_ALL": "xx_XX.ISO-8859-1", "LANG": "xx_XX.ISO-8859-1"},
}


@pytest.mark.parametrize(
    ("locale", "executor"), [("C", "stock"), ("POSIX", "warm"), ("unset", "warm"), ("missing", "stock")]
)
def test_runs_work_in_any_locale(
    world: World, new_object: NewObject, tmp_path: Path, locale: str, executor: str
) -> None:
    cr = new_object(iamUser=None, tags={"team": "Köln"}, service={"enabled": False})
    environment = {name: value for name, value in world.environment().items() if name != "LANG"} | LOCALES[locale]
    words = once_of(cr, tmp_path / "work", "--executor", executor)
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert world.differs(cr) == []


@pytest.fixture
def silent_aws() -> Iterator[str]:
    """An endpoint that accepts connections and answers nothing until the test ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def lease_of(world: World, namespace: str) -> dict[str, Any]:
    at = ("coordination.k8s.io", "v1", namespace, "leases")
    found = world.custom.list_namespaced_custom_object(*at)["items"]
    return dict(found[0]) if found else {}


def is_held(world: World, namespace: str) -> bool:
    return bool(lease_of(world, namespace).get("spec", {}).get("holderIdentity"))


@contextlib.contextmanager
def hangup_action(action: signal.Handlers) -> Iterator[None]:
    """Set the action for SIGHUP that processes started in the block inherit.

    Otherwise a nohup around the test suite would decide it.
    """
    before = signal.signal(signal.SIGHUP, action)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def started(words: list[str], **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended at the end of the block, even after an error."""
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, text=True, **settings) as process:
        try:
            yield process
        finally:
            process.kill()


def test_sighup_ends_run_plan_and_once_without_a_trace(
    world: World, new_object: NewObject, silent_aws: str, tmp_path: Path
) -> None:
    namespace = new_object()["metadata"]["namespace"]
    environment = world.environment(AWS_ENDPOINT_URL=silent_aws)
    ended: dict[str, int] = {}
    for command in ("once", "plan", "run"):
        work_dir = tmp_path / command
        words = [*words_of(command, work_dir), "--cluster-name", CLUSTER]
        words += ["--watch-namespace", namespace]
        if command != "plan":
            words += ["--leader-election-namespace", namespace, "--grace-period", "0"]
        # Access keys in the environment become a file in the work directory.
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
        with hangup_action(signal.SIG_DFL), started(words, env={**environment, **keys}) as process:
            # Send the signal at the first files of the process; for once, during a run of the role.
            made = "run-*" if command == "once" else "credentials-*"
            wait_until(lambda folder=work_dir, name=made: list(folder.glob(name)), f"{command} has begun")
            process.send_signal(signal.SIGHUP)
            ended[command] = process.wait(180)
        assert list(work_dir.iterdir()) == []
        assert not is_held(world, namespace)
    # An operator that has not started up completely ends by the signal, as any program does.
    assert ended.pop("run") in (0, 128 + signal.SIGHUP)
    assert ended == {"plan": 128 + signal.SIGHUP, "once": 1}


def test_sighup_that_nohup_ignores_stays_ignored(world: World, start_operator: StartOperator) -> None:
    with hangup_action(signal.SIG_IGN):
        operator = start_operator()
    wait_until(lambda: operator.lines("leading"), "the operator leads")
    status = Path(f"/proc/{operator.process.pid}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert ignored & 1 << signal.SIGHUP - 1
    assert operator.stop() == 0


def test_second_once_names_the_holder_of_the_lease_and_the_first_stops_when_it_loses_it(
    world: World, new_object: NewObject, silent_aws: str, tmp_path: Path
) -> None:
    cr = new_object()
    namespace = cr["metadata"]["namespace"]
    environment = world.environment(AWS_ENDPOINT_URL=silent_aws)
    # Long enough that a busy machine does not lose the Lease when the API server answers late.
    terms = ("--lease-duration", "120", "--renew-deadline", "100")
    with started(once_of(cr, tmp_path / "first", *terms), env=environment, stderr=subprocess.PIPE) as first:
        wait_until(lambda: list((tmp_path / "first").glob("run-*")), "the first one's run")
        holder = lease_of(world, namespace)["spec"]["holderIdentity"]
        assert processes.operator_id(first.pid) in holder

        second = subprocess.run(
            once_of(cr, tmp_path / "second"), env=environment, capture_output=True, text=True, timeout=180
        )
        assert second.returncode == 2
        (line,) = [json.loads(line) for line in second.stderr.splitlines() if "holds the Lease" in line]
        assert (line["holder"], line["lease"]) == (holder, f"{namespace}/s3-operator")

        # The playbook reports the same holder.
        refused = world.playbook("sync.yml", "-e", f"namespace={namespace}")
        assert refused.code != 0
        assert f"{holder} holds Lease {namespace}/s3-operator" in " ".join(refused.output.split())

        at = ("coordination.k8s.io", "v1", namespace, "leases", "s3-operator")
        world.custom.patch_namespaced_custom_object(*at, {"spec": {"holderIdentity": "another"}})
        _, log = first.communicate(timeout=180)
    assert first.returncode == 1, log
    assert "lease lost" in log
    assert list((tmp_path / "first").iterdir()) == []
    # The other process holds the Lease, and keeps it.
    assert lease_of(world, namespace)["spec"]["holderIdentity"] == "another"


def test_once_releases_the_lease(world: World, new_object: NewObject, tmp_path: Path) -> None:
    cr = new_object(iamUser=None)
    done = subprocess.run(
        once_of(cr, tmp_path / "work"), env=world.environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert lease_of(world, cr["metadata"]["namespace"])["spec"]["holderIdentity"] == ""


def test_missing_namespace_is_an_error_of_plan_check_and_once(
    world: World, new_object: NewObject, new_name: Callable[[str], str], tmp_path: Path
) -> None:
    absent, cr = new_name("absent"), new_object(iamUser=None)
    for command in (
        f"plan -n {absent}",
        f"plan --watch-namespace {absent}",
        f"check --wait 0 --watch-namespace {absent}",
    ):
        done = start(world, command, tmp_path)
        assert done.returncode == 1, command
        assert f"namespace {absent} does not exist" in done.stderr + done.stdout
    namespace = cr["metadata"]["namespace"]
    lease = ("--leader-election-namespace", namespace, "--cluster-name", CLUSTER)
    done = start(world, f"once --watch-namespace {absent} {' '.join(lease)}", tmp_path)
    assert done.returncode == 2
    assert absent in done.stderr
    # The other namespaces are served nevertheless.
    done = start(world, f"once --watch-namespace {absent},{namespace} {' '.join(lease)}", tmp_path)
    assert done.returncode == 1
    assert absent in done.stderr
    assert condition(world, cr)["status"] == "True"


def test_project_folder_without_playbooks_is_named(world: World, tmp_path: Path) -> None:
    done = start(world, f"plan --project-dir {tmp_path}", tmp_path)
    assert done.returncode == 1
    assert "--project-dir" in done.stderr
    assert "playbooks/operator.yml" in done.stderr
