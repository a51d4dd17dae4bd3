"""Several objects in one play: each result belongs to its object, and no variable contains an access key afterwards."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from dev.awsgate.holds import Hold
from s3bucket.api import API_VERSION
from tests.direct.play import run_play
from tests.direct.project import Cluster
from tests.support.world import World

HELD_S = 200
_RESULT = "result_of_"


def role(name: str, cr: Any, **variables: Any) -> dict[str, Any]:
    """Run the role on one object, and keep its result in a fact with this name, also after a failure."""
    given = {"s3bucket_cr": cr, **variables}
    keep = {"ansible.builtin.set_fact": {f"{_RESULT}{name}": "{{ s3bucket_result }}"}}
    return {"block": [{"ansible.builtin.include_role": {"name": "s3bucket"}, "vars": given}, keep], "rescue": [keep]}


def object_of(namespace: str, name: str, new_name: Any, *, has_user: bool = False) -> dict[str, Any]:
    """An S3 object as in a file."""
    spec = {"region": "us-east-1", "bucketName": new_name("b")}
    spec |= {"iamUser": {"username": new_name("u")}} if has_user else {}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "S3", "metadata": metadata, "spec": spec}


def drop_secret(cluster: Cluster, namespace: str) -> None:
    """The API server answers the first write of a Secret in this namespace with an error."""
    cluster.gate.holds.arm(Hold((namespace,), "POST secrets", number=1))

    def drop() -> None:
        cluster.gate.holds.wait(HELD_S)
        cluster.gate.holds.disarm(is_dropped=True)

    threading.Thread(target=drop, daemon=True).start()


def dump(folder: Path, name: str) -> dict[str, Any]:
    """A task that writes all variables of the host to a file, as ``debug`` would print them."""
    copy = {"content": "{{ hostvars['localhost'] }}", "dest": str(folder / name), "mode": "0600"}
    return {"ansible.builtin.copy": copy}


def test_each_result_in_a_play_is_the_objects_own_and_no_variable_holds_a_key(
    cluster: Cluster, world: World, namespace: str, new_name: Any, tmp_path: Path
) -> None:
    other = new_name("ns")
    world.make_namespace(other)
    crs = {name: object_of(namespace, name, new_name, has_user=True) for name in ("first", "last")}
    crs |= {name: object_of(namespace, name, new_name) for name in ("bare", "taken")}
    crs["dropped"] = object_of(other, "dropped", new_name, has_user=True)
    world.s3.create_bucket(Bucket=crs["taken"]["spec"]["bucketName"])
    tasks = [
        role("first", crs["first"]),
        role("bare", crs["bare"]),
        role("taken", crs["taken"]),
        role("wrong", crs["bare"], s3bucket_deletion_policy="retain"),
        role("bare_again", crs["bare"]),
        role("state", crs["bare"], s3bucket_state="Absent"),
        role("missing", None),
        role("undefined", "{{ no_such_variable }}"),
        role("misspelled", crs["bare"], s3bucket_deletionpolicy="Retain"),
        role("dropped", crs["dropped"], s3bucket_fail_on_error=False),
        dump(tmp_path, "after-failure"),
        role("last", crs["last"]),
        dump(tmp_path, "at-end"),
    ]
    drop_secret(cluster, other)
    run = run_play(world, tmp_path, tasks, KUBECONFIG=str(cluster.kubeconfig))
    assert run.code == 0, run.output
    texts = [(tmp_path / name).read_text() for name in ("after-failure", "at-end")]
    variables = json.loads(texts[1])
    results = {name.removeprefix(_RESULT): value for name, value in variables.items() if name.startswith(_RESULT)}
    reasons = {task: result["reason"] for task, result in results.items()}
    assert reasons == {
        **dict.fromkeys(("first", "last", "bare", "bare_again"), "Ready"), "taken": "Conflict",
        **dict.fromkeys(("wrong", "state", "missing", "undefined", "misspelled"), "InvalidSpec"),
        "dropped": "KubernetesError",
    }, results  # fmt: skip
    messages = {task: result["message"] for task, result in results.items()}
    assert "s3bucket_deletion_policy" in messages["wrong"]
    assert "s3bucket_state must be one of: present, absent" in messages["state"]
    assert "'no_such_variable' is undefined" in messages["undefined"]
    assert "s3bucket_deletionpolicy (did you mean s3bucket_deletion_policy?)" in messages["misspelled"]
    ids = {task: result["status"].get("accessKeyID") for task, result in results.items()}
    pairs = {task: world.credentials(crs[task]) for task in ("first", "last")}
    assert {task: found for task, found in ids.items() if found} == {task: pair[0] for task, pair in pairs.items()}
    assert results["bare_again"]["changed"] == []
    for cr in (crs["first"], crs["last"]):
        hidden = [world.credentials(cr)[1], *(world.secret(cr) or {})["data"].values()]
        assert not any(value in text for value in hidden for text in (*texts, run.output))
    # The secret that was not stored is unknown to the test, so the test searches for the names of its fields.
    assert not any(field in text for field in ("AWS_SECRET_ACCESS_KEY", "secret_access_key") for text in texts)
