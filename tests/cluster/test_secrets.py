"""A secret access key is only in the Secret and in the private credentials file, whatever happens to a run.

The gates hold every write, so that processes and files are searched while a key is being handled. A thread also
searches them all the time.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.apigate import ApiGate
from dev.awsgate.holds import Hold
from dev.wait import wait_until
from runner.commands.iam_policy import PolicySettings, policy_for
from runner.execution import processes
from runner.objects import S3Object
from s3bucket.api import GROUP, PLURAL, VERSION
from s3bucket.outcome import Reason
from tests.support.jobs import GatedJob, Work, job_environment, make_warm, processes_of
from tests.support.leaks import Search, descendants_of, find_in
from tests.support.operator import StartOperator, condition, delete, event_reasons, live, wait_gone, wait_ready
from tests.support.world import NewObject, World, make_operator_key

_HELD_S = 0.05
SECRET = "abcdefgh/ijklmnop+qrstuvwx0123456789/abcd"
_FORMS = {
    "plain": f'{{"key": "{SECRET}"}}'.encode(),
    "url": b"?k=abcdefgh%2Fijklmnop%2Bqrstuvwx0123456789%2Fabcd&",
    "json": SECRET.replace("/", "\\/").encode(),
    "base64": b"eyJrZXkiOiAiYWJjZGVmZ2gvaWprbG1ub3ArcXJzdHV2d3gwMTIzNDU2Nzg5L2FiY2QifQ==",
}


@pytest.fixture
def api(world: World, namespace: str, tmp_path: Path) -> Iterator[ApiGate]:
    """A gate in front of the API server for a ServiceAccount with its requests in the audit log."""
    account = {"metadata": {"name": "operator"}}
    world.core.create_namespaced_service_account(namespace, account)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
    }
    kind = ("rbac.authorization.k8s.io", "v1", "clusterrolebindings")
    world.custom.create_cluster_custom_object(*kind, binding)
    asked = {"spec": {"expirationSeconds": 3600}}
    token = world.core.create_namespaced_service_account_token("operator", namespace, asked).status.token
    config = yaml.safe_load(world.kubeconfig.read_text())
    config["users"] = [{"name": "admin", "user": {"token": token}}]
    file = tmp_path / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(config))
    with ApiGate(file, tmp_path) as gate:
        yield gate
    world.custom.delete_cluster_custom_object(*kind, namespace)


def secrets_of(world: World, namespace: str, *more: str) -> Callable[[], list[str]]:
    """Returns the secret of every access key that the users of this test ever had."""

    def ask() -> list[str]:
        users = {item["spec"]["iamUser"]["username"] for item in objects_in(world, namespace)} | users_seen
        users_seen.update(users)
        return [*more, *(secret for user, secret in world.aws.gate.issued() if user in users)]

    users_seen: set[str] = set()
    return ask


def objects_in(world: World, namespace: str) -> list[dict[str, Any]]:
    return list(world.custom.list_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL)["items"])


def step(world: World, api: ApiGate, cr: dict[str, Any], search: Search, is_over: Callable[[], Any]) -> list[str]:
    """Let the writes for an object through one by one, and search everything in between."""
    held = []
    spec, gate = cr["spec"], world.aws.gate
    gate.arm(spec["bucketName"], spec["iamUser"]["username"], when="after")
    api.holds.arm(Hold((cr["metadata"]["namespace"],)))
    try:
        while not is_over():
            for wait, let_go in ((gate.wait_held, gate.let_go), (api.holds.wait, api.holds.let_go)):
                action = wait(_HELD_S)
                if action:
                    search.scan()
                    held.append(action)
                    let_go()
    finally:
        gate.disarm()
        api.holds.disarm()
    return held


class Story:
    """One operator, its objects, and the search that runs in the background."""

    def __init__(self, world: World, api: ApiGate, operator: Any, search: Search, namespace: str) -> None:
        self.world, self.api, self.operator, self.search, self.namespace = world, api, operator, search, namespace

    def create(self, cr: dict[str, Any]) -> None:
        held = step(self.world, self.api, cr, self.search, lambda: is_ready(self.world, cr))
        assert {"CreateAccessKey", "TagUser", "POST secrets", "UntagUser"} <= set(held), held

    def rotate(self, cr: dict[str, Any]) -> None:
        held = self._until_fresh_key(cr, lambda: self.delete_secret(cr))
        assert {"CreateAccessKey", "DeleteAccessKey", "POST secrets"} <= set(held), held

    def edit(self, cr: dict[str, Any], value: str) -> None:
        patch = {"stringData": {"AWS_SECRET_ACCESS_KEY": value}}
        held = self._until_fresh_key(
            cr, lambda: self.world.core.patch_namespaced_secret(name_of(cr), self.namespace, patch)
        )
        assert {"CreateAccessKey", "PATCH secrets"} <= set(held), held

    def reshape(self, cr: dict[str, Any]) -> None:
        """The Secret is moved and written in another layout with the key that it holds, and back."""
        for shape in ({"name": f"{cr['metadata']['name']}-file", "layout": "File"}, None):
            args = (GROUP, VERSION, self.namespace, PLURAL, cr["metadata"]["name"])
            cr["spec"] = self.world.custom.patch_namespaced_custom_object(*args, {"spec": {"secret": shape}})["spec"]
            held = step(self.world, self.api, cr, self.search, lambda: self.world.differs(cr) == [])
            assert {"POST secrets", "DELETE secrets"} <= set(held), held
            assert "CreateAccessKey" not in held

    def fail_once(self, objects: list[dict[str, Any]]) -> None:
        """Each call that handles an access key fails once, for an object of its own."""
        for cr in objects:
            wait_until(lambda cr=cr: "FAILED" in event_reasons(self.world, cr), "the failure is published")
            self.again(cr)

    def refuse_secret(self, cr: dict[str, Any]) -> None:
        """The API server rejects the Secret because of a quota, as the object's status reports."""
        core, hard = self.world.core, {"count/secrets": "0"}
        core.create_namespaced_resource_quota(self.namespace, {"metadata": {"name": "none"}, "spec": {"hard": hard}})
        status = {"status": {"hard": hard, "used": {"count/secrets": "0"}}}
        core.patch_namespaced_resource_quota_status("none", self.namespace, status)
        self.delete_secret(cr)
        wait_until(lambda: condition(self.world, cr).get("reason") == "KubernetesError", "the Secret is refused")
        core.delete_namespaced_resource_quota("none", self.namespace)
        self.again(cr)

    def kill_task(self, cr: dict[str, Any], number: signal.Signals) -> None:
        """Send a signal to the process that holds the new access key."""
        self.world.aws.gate.arm(cr["spec"]["iamUser"]["username"], action="CreateAccessKey", number=1, when="after")
        self.delete_secret(cr)
        wait_until(lambda: self.world.aws.gate.wait_held(1), "a key is being issued")
        self.search.scan()
        os.kill(max(processes_of(processes.operator_id(self.operator.process.pid))), number)
        wait_until(lambda: condition(self.world, cr)["status"] == "False", "the run failed")
        self.world.aws.gate.disarm()
        self.again(cr)

    def again(self, cr: dict[str, Any]) -> None:
        """Wait for success without the back-off: a changed object is reconciled at once."""
        patch = {"spec": {"tags": {"again": uuid.uuid4().hex}}}
        name = cr["metadata"]["name"]
        args = (GROUP, VERSION, self.namespace, PLURAL, name)
        patched = self.world.custom.patch_namespaced_custom_object(*args, patch)
        cr["spec"] = patched["spec"]
        wait_ready(self.world, cr, patched["metadata"]["generation"])

    def delete_secret(self, cr: dict[str, Any]) -> None:
        self.world.core.delete_namespaced_secret(name_of(cr), self.namespace)

    def _until_fresh_key(self, cr: dict[str, Any], begin: Callable[[], Any]) -> list[str]:
        old = self.world.credentials(cr)[0]

        def is_over() -> bool:
            found = self.world.secret(cr)
            return found is not None and self.world.credentials(cr)[0] != old and self.world.differs(cr) == []

        begin()
        return step(self.world, self.api, cr, self.search, is_over)


def name_of(cr: dict[str, Any]) -> str:
    return f"{cr['metadata']['name']}-iam-secret"


def is_ready(world: World, cr: dict[str, Any]) -> bool:
    return condition(world, cr).get("status") == "True"


def test_no_secret_leaves_its_place_whatever_an_operator_goes_through(
    world: World, new_object: NewObject, namespace: str, api: ApiGate, start_operator: StartOperator, tmp_path: Path
) -> None:
    own = make_operator_key(world.aws, policy_for(PolicySettings(world.account)), tmp_path / "key")
    secrets = secrets_of(world, namespace, own["aws_secret_access_key"], SECRET)
    folders = [tmp_path / name for name in ("home", "tmp", "work")]
    for folder in folders:
        folder.mkdir(mode=0o700)
    environment = world.environment(
        HOME=str(folders[0]), TMPDIR=str(folders[1]), KUBECONFIG=str(api.kubeconfig),
        AWS_ACCESS_KEY_ID=own["aws_access_key_id"], AWS_SECRET_ACCESS_KEY=own["aws_secret_access_key"],
    )  # fmt: skip
    del environment["AWS_SHARED_CREDENTIALS_FILE"]
    operator = start_operator(environment=environment, work_dir=folders[2])
    # Before this line the operator still has the environment that it was started with.
    wait_until(lambda: operator.lines("leading"), "the operator")
    with Search(
        secrets, lambda: descendants_of(operator.process.pid), folders, lambda path: path.name == "credentials"
    ) as search:
        story = Story(world, api, operator, search, namespace)
        cr = new_object()
        story.create(cr)
        story.rotate(cr)
        story.edit(cr, SECRET)
        story.reshape(cr)
        story.fail_once([failing(world, new_object, action) for action in ("CreateAccessKey", "TagUser", "UntagUser")])
        story.refuse_secret(cr)
        for number in (signal.SIGKILL, signal.SIGABRT):
            story.kill_task(cr, number)
        statuses = [json.dumps(live(world, item)) for item in objects_in(world, namespace)]
        assert_no_core_dumps(operator.process.pid)
        delete(world, cr)
        step(world, api, cr, search, lambda: live(world, cr) is None)
        wait_gone(world, cr)
    assert operator.stop() == 0
    events = world.core.list_namespaced_event(namespace, _preload_content=False).data
    audit = [line for line in audit_log(world).splitlines() if f"{namespace}:operator" in line]
    assert any('"secrets"' in line for line in audit)
    texts = {"the log": operator.log_file.read_bytes(), "a status": "".join(statuses), "an Event": events}
    for where, text in {**texts, "the audit log": "".join(audit)}.items():
        search.scan_text(where, text)
    assert len(secrets()) >= 8
    assert search.found == set()
    # The search covered the places where a run keeps its files, while the files were there.
    assert {"cmdline", "environ", "an open file", "the file extravars"} <= search.seen


def failing(world: World, new_object: NewObject, action: str) -> dict[str, Any]:
    """An object for which a call to AWS fails once."""
    user = f"user-{uuid.uuid4().hex[:8]}"
    world.aws.gate.add_fault(action, "AccessDenied", status=403, times=1, user=user)
    return new_object(iamUser={"username": user})


def assert_no_core_dumps(pid: int) -> None:
    """A crash of any process of the operator writes no memory to disk."""
    for found in descendants_of(pid):
        with suppress(OSError):
            limits = Path(f"/proc/{found}/limits").read_text()
            line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
            assert line.split()[4:6] == ["0", "0"], line


def audit_log(world: World) -> str:
    return (world.kubeconfig.parent / "audit.log").read_text()


@pytest.mark.parametrize("executor", ["warm", "stock"])
def test_no_secret_leaves_its_place_in_a_run_at_its_most_verbose_that_is_cancelled(
    world: World, new_object: NewObject, namespace: str, api: ApiGate, tmp_path: Path, executor: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    cr, work_dir = new_object(), tmp_path / "work"
    work_dir.mkdir(mode=0o700)
    settings = {**job_environment(world, api.kubeconfig), "ANSIBLE_VERBOSITY": "4"}
    warm = make_warm(work_dir, settings) if executor == "warm" else None
    owner = processes.operator_id()
    with (
        Search(secrets_of(world, namespace), lambda: processes_of(owner, with_warm=True), [work_dir]) as search,
        started(warm),
    ):
        job = GatedJob(work_dir, settings, warm)
        world.aws.gate.arm(cr["spec"]["iamUser"]["username"], action="CreateAccessKey", number=1, when="after")
        work = Work(lambda: job.run(S3Object(cr)))
        wait_until(lambda: world.aws.gate.wait_held(1), "a key is being issued")
        search.scan()
        # A time-out does the same: SIGTERM, and then SIGKILL if the process does not end.
        job.cancel()
        assert work.outcome().reason is Reason.RUN_CANCELLED
        world.aws.gate.disarm()
        again = Work(lambda: GatedJob(work_dir, settings, warm).run(S3Object(cr)))
        held = step(world, api, cr, search, lambda: again.is_over)
        assert again.outcome().is_done, again.outcome()
    assert {"CreateAccessKey", "POST secrets"} <= set(held)
    search.scan_text("the log", caplog.text)
    assert len(secrets_of(world, namespace)()) == 2
    assert search.found == set()
    assert {"cmdline", "environ", "the file extravars"} <= search.seen


@contextmanager
def started(warm: Any) -> Iterator[None]:
    if warm is not None:
        warm.start()
    yield
    if warm is not None:
        warm.stop()


def test_no_secret_is_in_the_output_of_failing_tasks_however_verbose(
    world: World, new_object: NewObject, namespace: str
) -> None:
    cr, output = new_object(), ""
    for action in ("CreateAccessKey", "TagUser", "UntagUser"):
        world.aws.gate.add_fault(action, "AccessDenied", status=403, times=1, user=cr["spec"]["iamUser"]["username"])
        run = world.reconcile(cr, "-vvvv")
        assert run.outcome["reason"] == "AccessDenied", action
        output += run.output
    run = world.reconcile(cr, "-vvvv")
    assert run.outcome["done"]
    issued = secrets_of(world, namespace)()
    assert len(issued) == 2
    assert find_in((output + run.output).encode(), issued) == set()


@pytest.mark.parametrize("form", _FORMS)
def test_search_finds_a_secret_in_every_form(form: str) -> None:
    assert {found.partition("-")[0] for found in find_in(_FORMS[form], [SECRET])} == {form}
    assert find_in(_FORMS[form], [SECRET[::-1]]) == set()


@pytest.mark.parametrize("where", ["cmdline", "environ", "an open file", "the file planted", "the log"])
def test_search_finds_a_secret_in_every_place(where: str, tmp_path: Path) -> None:
    script = "import os, sys; f = open(sys.argv[1]); os.unlink(sys.argv[1]); print(flush=True); sys.stdin.read()"
    (tmp_path / "open").write_text(SECRET if where == "an open file" else "")
    environment = {"PLANTED": SECRET} if where == "environ" else {}
    command = [sys.executable, "-IS", "-c", script, str(tmp_path / "open"), SECRET if where == "cmdline" else ""]
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "folder" / "planted").write_text(SECRET if where == "the file planted" else "")
    child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child:
        child.stdout.readline()
        search = Search(lambda: [SECRET], lambda: descendants_of(child.pid), [tmp_path / "folder"])
        search.scan()
        search.scan_text("the log", f"task failed: {SECRET}" if where == "the log" else "task failed")
        child.communicate()
    assert search.found == {f"plain in {where}"}


@pytest.mark.parametrize(("mode", "is_found"), [(0o600, False), (0o640, True)])
def test_search_lets_a_secret_be_in_a_private_file_only(mode: int, is_found: bool, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    file = folder / "credentials"
    file.write_text(SECRET)
    file.chmod(mode)
    search = Search(lambda: [SECRET], list, [tmp_path], lambda path: path.name == "credentials")
    search.scan()
    assert bool(search.found) is is_found
