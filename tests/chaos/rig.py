"""Runs one case: prepares an object, starts the work on it, kills, runs again, and checks the result.

Kills of a run, a task or the warm process happen in this process, with the operator's own job. When the operator
itself is killed, it is a separate process, and a second one is started with the same work directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dev.apigate import ApiGate
from dev.awsgate.holds import Hold
from dev.examples import make_targets, optional_settings
from dev.wait import wait_until
from runner.execution import processes
from runner.kube.client import FINALIZER
from runner.objects import S3Object
from s3bucket.api import GROUP, PLURAL, VERSION
from s3bucket.observe import observe
from s3bucket.roles import RoleRules
from s3bucket.rotation import ROTATE_KEY, Phase
from tests.chaos.cases import AWS, Case, Write
from tests.chaos.unmanaged import Unmanaged
from tests.support.jobs import GatedJob, Work, job_environment, make_warm, processes_of
from tests.support.operator import Operator, condition, live, wait_gone, wait_ready
from tests.support.world import PROVIDER, SETTINGS, World, deleting, make_old_key_older

_HELD_S = 0.2
_ANYONE = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


class Rig:
    """The gates, the job with its warm process, and the work directory. A context manager."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder
        self._api = ApiGate(world.kubeconfig, folder)
        self._work_dir = folder / "work"
        self._work_dir.mkdir(mode=0o700)
        settings = job_environment(world, self._api.kubeconfig)
        self._warm = make_warm(self._work_dir, settings)
        self._jobs = {
            executor: GatedJob(self._work_dir, settings, warm, replace(SETTINGS, oidc_provider_arn=PROVIDER))
            for executor, warm in (("warm", self._warm), ("stock", None))
        }

    def __enter__(self) -> Rig:
        self._api.__enter__()
        self._warm.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._warm.stop()
        processes.remove_own_folders(self._work_dir)
        self._api.__exit__(*error)

    def do(self, case: Case) -> bool:
        """Run a case. Returns whether a process was killed.

        :raises AssertionError: with a message that names what is wrong
        """
        trial = _Trial(self._world, case)
        if case.flow != "create":
            self._prepare(trial)
        try:
            kill = self._kill_operator if case.target == "operator" else self._kill_in_job
            was_killed = kill(case, trial)
        finally:
            self._disarm()
        trial.check()
        return was_killed

    def writes(self, flow: str) -> list[str]:
        """The writes of a flow that is not interrupted, in order and numbered: ``aws:TagUser#1``."""
        case = Case(flow, "run", "warm", 0.0)
        trial = _Trial(self._world, case)
        if flow != "create":
            self._prepare(trial)
        seen: list[str] = []
        self._world.aws.gate.arm(*trial.names)
        self._api.holds.arm(Hold((trial.namespace,)))
        work = Work(lambda: self._jobs["warm"].run(S3Object(trial.item)))
        try:
            while not work.is_over:
                seen += self._step()
        finally:
            self._disarm()
        assert work.outcome().is_done, work.outcome()
        return [f"{action}#{seen[: place + 1].count(action)}" for place, action in enumerate(seen)]

    def _step(self) -> list[str]:
        found = []
        gate, holds = self._world.aws.gate, self._api.holds
        if action := gate.wait_held(_HELD_S / 4):
            found.append(f"aws:{action}")
            gate.let_go()
        if action := holds.wait(_HELD_S / 4):
            found.append(f"kubernetes:{action}")
            holds.let_go()
        return found

    def _prepare(self, trial: _Trial) -> None:
        outcome = self._jobs["warm"].run(S3Object(trial.item))
        assert outcome.is_done, outcome
        if trial.needs_old_key:
            trial.request_rotation()
            outcome = self._jobs["warm"].run(S3Object(trial.item))
            assert outcome.is_done, outcome
        trial.disturb()

    def _kill_in_job(self, case: Case, trial: _Trial) -> bool:
        job = self._jobs[case.executor]
        self._arm(case, trial)
        work = Work(lambda: job.run(S3Object(trial.item)))
        was_reached = self._await(case.moment, lambda: work.is_over)
        killed = self._kill(case.target, os.getpid()) if was_reached else 0
        outcome = work.outcome()
        assert processes_of(processes.operator_id()) == [], "processes of the run are left"
        left = [path.name for path in self._work_dir.iterdir() if path.name.startswith("run-")]
        assert left == [], "the run's folder is left"
        self._disarm()
        if outcome.is_done:
            trial.check()
        # The next run is always warm. It does the same as a stock run (test_warm.py) in a tenth of the time.
        again = self._jobs["warm"].run(S3Object(trial.item))
        assert again.is_done, again
        return bool(killed)

    def _kill_operator(self, case: Case, trial: _Trial) -> bool:
        trial.hand_over()
        self._arm(case, trial)
        first = self._start_operator(case, trial, "first")
        try:
            was_reached = self._await(
                case.moment,
                lambda: first.process.poll() is not None or trial.is_reconciled(),
                lambda: bool(processes_of(processes.operator_id(first.process.pid))),
            )
            name = processes.operator_id(first.process.pid)
        finally:
            first.kill()
        self._disarm()
        second = self._start_operator(case, trial, "second", first.work_dir)
        try:
            self._check_successor(second, trial, name)
        finally:
            second.kill()
        return was_reached

    def _start_operator(self, case: Case, trial: _Trial, name: str, work_dir: Path | None = None) -> Operator:
        folder = self._folder / f"{trial.namespace}-{name}"
        folder.mkdir()
        arguments = ("--watch-namespace", trial.namespace, "--no-leader-elect", "--executor", case.executor)
        arguments = (*arguments, "--oidc-provider-arn", PROVIDER)
        environment = self._world.environment(KUBECONFIG=str(self._api.kubeconfig))
        return Operator(
            self._world, folder, *arguments, "--log-level", "debug", environment=environment, work_dir=work_dir
        )

    def _check_successor(self, operator: Operator, trial: _Trial, dead: str) -> None:
        if trial.is_deletion:
            wait_gone(self._world, trial.item)
        else:
            wait_ready(self._world, trial.item)
        wait_until(lambda: operator.lines("serving"), "the second operator serves")
        wait_until(lambda: not processes_of(dead, with_warm=True), "the first one's processes are gone")
        assert [path.name for path in operator.work_dir.iterdir() if dead in path.name] == [], "a folder is left"
        assert operator.stop() == 0
        assert list(operator.work_dir.iterdir()) == [], "a folder is left"

    def _arm(self, case: Case, trial: _Trial) -> None:
        moment = case.moment
        if isinstance(moment, float):
            return
        if moment.gate == AWS:
            self._world.aws.gate.arm(*trial.names, action=moment.action, number=moment.number, when=moment.when)
        else:
            self._api.holds.arm(Hold((trial.namespace,), moment.action, moment.number, moment.when))

    def _disarm(self) -> None:
        self._world.aws.gate.disarm(is_dropped=True)
        self._api.holds.disarm(is_dropped=True)

    def _await(
        self, moment: Write | float, is_over: Callable[[], Any], is_begun: Callable[[], Any] = lambda: True
    ) -> bool:
        """Wait for the moment of the kill. Returns whether it came before the work was finished."""
        if isinstance(moment, float):
            wait_until(lambda: is_begun() or is_over(), "the run begins")
            # This delay is the parameter of the experiment. It does not wait for a condition.
            time.sleep(moment)
            return not is_over()
        wait = self._world.aws.gate.wait_held if moment.gate == AWS else self._api.holds.wait
        while not wait(_HELD_S):
            # A write is held after it took effect, so its effect can be visible before the hold is.
            assert not is_over() or wait(_HELD_S), f"{moment} did not come"
        return True

    def _kill(self, target: str, owner: int) -> int:
        """Send SIGKILL. Returns the process ID, or 0 when the process no longer existed."""
        pid = self._warm.pid if target == "warm" else _find(target, owner)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid


class _Trial:
    """One object, in a namespace that also has resources that the operator does not own."""

    def __init__(self, world: World, case: Case) -> None:
        self._world, self._case = world, case
        name = f"chaos-{uuid.uuid4().hex[:8]}"
        self.namespace = name
        # That of an additional user, or of the role.
        self._more = f"{name}-more"
        self.names = (name, self._more)
        world.make_namespace(name)
        self._unmanaged = Unmanaged(world, name, f"{name}-unmanaged")
        self._unmanaged_keys: list[tuple[str, str]] = []
        self._old: tuple[Any, str] | None = None
        spec = {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}, "enableVersioning": True}
        self.item = world.make_object(name, name, {**spec, **self._spec_before()})

    def _spec_before(self) -> dict[str, Any]:
        """What the object has beside bucket and user before the flow."""
        role = {"iamRole": {"name": self._more, "serviceAccounts": ["app"]}}
        users = {"additionalUsers": [{"username": self._more}]}
        return {"user-removed": users, "role-repaired": role, "delete": role}.get(self._case.flow, {})

    @property
    def is_deletion(self) -> bool:
        return self._case.flow in ("delete", "delete-plain")

    @property
    def needs_old_key(self) -> bool:
        """Whether the flow is a later run of a rotation."""
        return self._case.flow in ("drain", "drained")

    def request_rotation(self) -> None:
        """Request a rotation of the key, and remember the key as an application does."""
        self._old = self._world.tenant(self.item), self._world.credentials(self.item)[0]
        annotations = {"metadata": {"annotations": {ROTATE_KEY: "1"}}}
        arguments = (GROUP, VERSION, self.namespace, PLURAL, self.namespace)
        self.item = dict(self._world.custom.patch_namespaced_custom_object(*arguments, annotations))

    def _age_old_key(self, phase: Phase, days: int) -> None:
        if phase is Phase.DRAINING:
            assert self._old is not None
            self._world.iam.update_access_key(UserName=self.namespace, AccessKeyId=self._old[1], Status="Inactive")
        make_old_key_older(self._world, self.namespace, days, phase)

    def disturb(self) -> None:
        """Change the Ready object so that the flow has something to do."""
        name, world, flow = self.namespace, self._world, self._case.flow
        changed = self._changed_spec()
        steps: dict[str, Callable[[], Any]] = {
            "rotate": lambda: world.core.delete_namespaced_secret(f"{name}-iam-secret", name),
            "overlap": self.request_rotation,
            "drain": lambda: self._age_old_key(Phase.OVERLAP, 8),
            "drained": lambda: self._age_old_key(Phase.DRAINING, 2),
            "repair": self._break,
            "role-repaired": self._break_role,
        }
        if flow == "settings":
            make_targets(world.s3, world.account)
        if flow in changed:
            self.item = self._with_spec(changed[flow])
        elif self.is_deletion:
            if flow == "delete":
                world.s3.put_object(Bucket=name, Key="a", Body=b"data")
            self.item = deleting(self.item)
        else:
            steps[flow]()
        world.iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": "others"}])
        if self._case.has_unmanaged_key:
            made = world.iam.create_access_key(UserName=name)["AccessKey"]
            self._unmanaged_keys = [(made["AccessKeyId"], "Active")]

    def _changed_spec(self) -> dict[str, dict[str, Any]]:
        """The fields that a flow changes."""
        return {
            "settings": optional_settings(with_needy=True),
            "user-added": {"additionalUsers": [{"username": self._more}]},
            "user-removed": {"additionalUsers": []},
            "move": {"secret": {"name": f"{self.namespace}-moved", "layout": "OBC"}},
            "role-added": {"iamRole": {"name": self._more, "serviceAccounts": ["app"]}},
        }

    def _break(self) -> None:
        name, world = self.namespace, self._world
        world.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
        world.iam.delete_user_policy(UserName=name, PolicyName=f"{name}-{name}-s3-restricted")
        world.core.patch_namespaced_secret(f"{name}-iam-secret", name, {"metadata": {"labels": None}})
        world.core.delete_namespaced_service(name, name)

    def _break_role(self) -> None:
        iam, name = self._world.iam, self._more
        document = json.dumps({"Version": "2012-10-17", "Statement": [_ANYONE]})
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)
        iam.delete_role_policy(RoleName=name, PolicyName=f"{name}-{self.namespace}-s3-restricted")

    def _with_spec(self, fields: dict[str, Any]) -> dict[str, Any]:
        arguments = (GROUP, VERSION, self.namespace, PLURAL, self.namespace)
        return dict(self._world.custom.patch_namespaced_custom_object(*arguments, {"spec": fields}))

    def hand_over(self) -> None:
        """Prepare the object for an operator, which then does the work of the flow."""
        if self.is_deletion:
            arguments = (GROUP, VERSION, self.namespace, PLURAL, self.namespace)
            self._world.custom.patch_namespaced_custom_object(*arguments, {"metadata": {"finalizers": [FINALIZER]}})
            self._world.custom.delete_namespaced_custom_object(*arguments)

    def is_reconciled(self) -> bool:
        """Whether an operator published Ready, or removed its finalizer."""
        found = live(self._world, self.item)
        return found is None or condition(self._world, self.item).get("status") == "True"

    def check(self) -> None:
        """Check the object and everything around it."""
        if self.is_deletion:
            assert not any(self._world.snapshot(self.item).values()), "something that the operator created is left"
            roles = [role["RoleName"] for role in self._world.iam.list_roles()["Roles"]]
            assert self._more not in roles, "the role is left"
        else:
            self._check_in_order()
        assert self._unmanaged.read() == self._unmanaged.before, "an unmanaged resource was changed"

    def _check_in_order(self) -> None:
        world, name = self._world, self.namespace
        sources = world.sources(role_rules=RoleRules(PROVIDER))
        assert observe(world.wanted(self.item), sources).differs == []
        listed = world.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        keys = sorted((key["AccessKeyId"], key["Status"]) for key in listed)
        current = world.credentials(self.item)[0]
        assert keys == sorted([(current, "Active"), *self._unmanaged_keys, *self._old_keys(current)]), keys
        world.tenant(self.item).head_bucket(Bucket=name)
        tags = {tag["Key"]: tag["Value"] for tag in world.iam.list_user_tags(UserName=name)["Tags"]}
        assert "agill.apps/foreign-keys" not in tags
        assert self._case.flow == "create" or tags["team"] == "others"
        users = [user["UserName"] for user in world.iam.list_users()["Users"]]
        assert (self._more in users) == (self._case.flow == "user-added")
        self._check_children()

    def _check_children(self) -> None:
        """Check that there is no Secret and no ConfigMap beside those of the spec."""
        wanted, names = self._world.wanted(self.item), (self.namespace, {"label_selector": "agill.apps/s3"})
        core = self._world.core
        secrets = core.list_namespaced_secret(names[0], **names[1]).items
        maps = core.list_namespaced_config_map(names[0], **names[1]).items
        assert {item.metadata.name for item in secrets} == {user.secret.name for user in wanted.users}
        with_map = {user.secret.name for user in wanted.users if user.secret.has_config_map}
        assert {item.metadata.name for item in maps} == with_map

    def _old_keys(self, current: str) -> list[tuple[str, str]]:
        """The old key and its status, as the flow leaves it."""
        if self._old is None or self._case.flow == "drained":
            return []
        client, key = self._old
        assert key != current, "the key was not rotated"
        if self._case.flow == "drain":
            return [(key, "Inactive")]
        client.head_bucket(Bucket=self.namespace)
        return [(key, "Active")]


def _find(target: str, owner: int) -> int:
    """Find the process of the run, of a worker or of the task; 0 if there is none.

    The run is the first process and the worker its youngest child. The task is the youngest process without a child.
    """
    parents = {pid: _parent_of(pid) for pid in processes_of(processes.operator_id(owner))}
    first = next((pid for pid, parent in parents.items() if parent == owner), 0)
    workers = [pid for pid, parent in parents.items() if parent == first]
    leaves = [pid for pid in parents if pid != first and pid not in parents.values()]
    return {"run": first, "worker": max(workers, default=0), "task": max(leaves, default=0)}[target]


def _parent_of(pid: int) -> int:
    fields = processes.read_stat(pid)
    return int(fields[1]) if fields else 0
