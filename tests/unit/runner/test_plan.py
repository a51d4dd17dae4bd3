"""What a plan reads from files, and how it is printed. The tests of the role cover its rows."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from runner.commands.plan_report import (
    Document,
    PlanError,
    Planned,
    as_live,
    cluster_name,
    json_of,
    named,
    plan_all,
    read_file,
    status_of,
    text_of,
    with_cluster,
)
from runner.drift.check import Plan
from runner.objects import S3Object
from s3bucket.change import Change
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.fakes import FakeKube, kube_error, make_item
from tests.support.world import PROJECT

S3 = "apiVersion: agill.apps/v1alpha1\nkind: S3\n"
DENIED = Plan(refusal=Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT))
DIFFERS = Plan((Change("versioning", "enableVersioning", False, True),))


def file(text: str) -> io.BytesIO:
    stream = io.BytesIO(text.encode())
    stream.name = "cr.yaml"
    return stream


def items(text: str) -> list[dict[str, Any]]:
    return [document.item for document in read_file(file(text), "team")]


def test_file_of_several_documents_and_lists_gives_all_objects_with_a_namespace() -> None:
    text = (
        f"{S3}metadata: {{name: a}}\n---\n---\n{S3}metadata: {{name: b, namespace: own}}\n---\n"
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: agill.apps/v1alpha1, kind: S3, metadata: {name: c}}\n"
    )
    found = read_file(file(text), "team")
    assert [document.name for document in found] == ["team/a", "own/b", "team/c"]
    assert found[1].source == "cr.yaml, document 2"


def test_file_is_read_as_kubernetes_would_store_it() -> None:
    (item,) = items(f"{S3}metadata: {{name: a}}\nspec: {{tags: {{1: x, day: 2026-01-02}}, forceDelete: no}}\n")
    assert item["spec"] == {"tags": {"1": "x", "day": "2026-01-02"}, "forceDelete": False}


def test_templates_and_tags_of_a_file_are_text_or_refused() -> None:
    (item,) = items(f"{S3}metadata: {{name: a}}\nspec: {{bucketPolicy: \"{{{{ lookup('pipe', 'id') }}}}\"}}\n")
    assert item["spec"]["bucketPolicy"] == "{{ lookup('pipe', 'id') }}"
    with pytest.raises(PlanError, match="could not determine a constructor"):
        items(f"{S3}metadata: {{name: !!python/object/apply:os.getcwd []}}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "cr.yaml: holds no S3 object", id="empty"),
        pytest.param("a: [", "cr.yaml: is not YAML: .* in line 1", id="open"),
        pytest.param("a: 2026-99-99", "cr.yaml: is not YAML: ", id="no-date"),
        pytest.param("\x00", "cr.yaml: is not YAML: ", id="binary"),
        pytest.param("[" * 600, "cr.yaml: is not YAML: ", id="deep"),
        pytest.param(
            f"{S3}spec:\n  a0: &a0 [x]\n"
            + "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)),
            "has more than 1000000 values",
            id="aliases",
        ),
        pytest.param("hello", "cr.yaml, document 1: is not an S3 object", id="text"),
        pytest.param(f"{S3}metadata: {{name: a}}\n---\n[]", "document 2: is not an S3 object", id="list"),
        pytest.param("apiVersion: v1\nkind: Pod", "document 1: is no S3 of agill.apps/v1alpha1, but Pod", id="kind"),
        pytest.param("apiVersion: agill.apps/v1\nkind: S3", "but S3 of agill.apps/v1", id="version"),
        pytest.param(f"{S3}spec: {{? [a] : b}}", "is not YAML: found unhashable key in line 3", id="key"),
        pytest.param(f"{S3}spec: {{2026-01-02: b}}", "document 1: cannot be written as JSON: keys", id="date-key"),
        pytest.param(f"{S3}spec: &a [*a]", "document 1: has more than 1000000 values", id="circle"),
    ],
)
def test_file_that_is_no_s3_object_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        items(text)


class NoCheck:
    """A drift check that reports a difference for every object."""

    def plan(self, s3: S3Object) -> Plan:
        return DIFFERS


def plan_of(spec: Any, *, has_cluster: bool = True, applied: int = 0) -> Plan:
    item = {"metadata": {"name": "a", "generation": 2}, "spec": spec, "status": {"appliedGeneration": applied}}
    document = Document("cr.yaml, document 1", item)
    (planned,) = plan_all(NoCheck(), [document], PROJECT, has_cluster)  # type: ignore[arg-type]
    return planned.plan


@pytest.mark.parametrize(
    ("spec", "field"),
    [({"bucketNmae": "x"}, "spec.bucketNmae"), ({"iamUser": {"name": "x"}}, "spec.iamUser.name"),
     ({"publicAccessBlock": {"blockPublicAcls": True}}, "spec.publicAccessBlock.blockPublicAcls")],
)  # fmt: skip
def test_plan_refuses_a_field_that_does_not_exist(spec: dict[str, Any], field: str) -> None:
    refusal = plan_of(spec).refusal
    assert refusal is not None
    assert (refusal.reason, refusal.message) == (Reason.INVALID_SPEC, f"{field}: there is no such field")


def test_plan_names_what_is_not_compared_and_what_is_not_repaired() -> None:
    assert plan_of({"tags": {"any": "x"}}).notes == ()
    (note,) = plan_of({}, has_cluster=False).notes
    assert "not compared" in note
    (note,) = plan_of({"driftPolicy": "Report"}, applied=2).notes
    assert "does not repair" in note
    assert plan_of({"driftPolicy": "Report"}, applied=1).notes == (), "a changed spec is applied"


def planned(plan: Plan, name: str = "photos", source: str = "cluster") -> Planned:
    return Planned(Document(source, make_item(name=name)), plan)


@pytest.mark.parametrize(
    ("plans", "status"),
    [([], 0), ([Plan()], 0), ([Plan(), DIFFERS], 2), ([DIFFERS, DENIED, Plan()], 1)],
    ids=["none", "in-order", "differs", "refused"],
)
def test_exit_status(plans: list[Plan], status: int) -> None:
    assert status_of([planned(plan) for plan in plans]) == status


def test_text_has_the_lines_and_nothing_that_a_terminal_acts_on() -> None:
    plan = Plan(DIFFERS.changes, ("a note\x1b[31m",), lines=("enableVersioning: false -> true", "tags.team: x -> y"))
    assert text_of([planned(plan), planned(Plan(), "b"), planned(DENIED, "c", "cr.yaml, x")]) == (
        "team/photos\n"
        "  enableVersioning: false -> true\n"
        "  tags.team: x -> y\n"
        "  note: a note\\x1b[31m\n"
        "team/b: nothing differs\n"
        "team/c (cr.yaml, x): AccessDenied: no"
    )


def test_object_that_is_refused_in_part_shows_the_reason_and_what_would_be_done_all_the_same() -> None:
    partly = Plan(DIFFERS.changes, refusal=DENIED.refusal, lines=("enableVersioning: false -> true",))
    assert text_of([planned(partly)]) == "team/photos: AccessDenied: no\n  enableVersioning: false -> true"
    (shown,) = json.loads(json_of([planned(partly)]))["objects"]
    assert (shown["result"], shown["reason"], len(shown["changes"])) == ("refused", "AccessDenied", 1)
    assert status_of([planned(partly)]) == 1


def test_json_has_the_values_as_they_are() -> None:
    shown = json.loads(json_of([planned(DIFFERS), planned(Plan()), planned(DENIED)]))["objects"]
    change = {"aspect": "versioning", "field": "enableVersioning", "is": False, "wouldBe": True}
    assert [one["result"] for one in shown] == ["differs", "inSync", "refused"]
    assert shown[0]["changes"] == [change]
    assert (shown[2]["reason"], shown[2]["message"]) == ("AccessDenied", "no")


def test_named_keeps_those_and_refuses_a_name_that_none_has() -> None:
    documents = [Document("cluster", make_item(name=name)) for name in ("a", "b")]
    assert [document.name for document in named(documents, ("b",))] == ["team/b"]
    assert named(documents, ()) == documents
    with pytest.raises(PlanError, match="no S3 object is named c"):
        named(documents, ("a", "c"))


def test_file_without_a_cluster_needs_the_clusters_name() -> None:
    with pytest.raises(PlanError, match="--cluster-name"):
        cluster_name(None)


@pytest.mark.parametrize(("status", "is_refused"), [(0, False), (403, True)], ids=["not-reached", "forbidden"])
def test_cluster_that_is_not_reached_is_none_and_one_that_refuses_is_an_error(status: int, is_refused: bool) -> None:
    kube: Any = FakeKube(make_item())
    kube.errors["find_object"] = kube_error(status)
    documents = [Document("cr.yaml", make_item())]
    if is_refused:
        with pytest.raises(PlanError, match="failed to"):
            with_cluster(documents, kube)
    else:
        assert with_cluster(documents, kube)[1] is None


def test_object_of_a_file_takes_uid_and_deletion_from_the_live_one() -> None:
    document = Document("cr.yaml", {"metadata": {"name": "photos", "namespace": "team", "uid": "old", "generation": 7}})
    live = FakeKube(make_item(uid="u1", deletionTimestamp="2026-01-01T00:00:00Z"))
    metadata = as_live(document, live).item["metadata"]  # type: ignore[arg-type]
    assert metadata == {
        "name": "photos", "namespace": "team", "uid": "u1", "deletionTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert "uid" not in as_live(document, FakeKube(None)).item["metadata"]  # type: ignore[arg-type]
    assert as_live(document, None).item["metadata"]["uid"] == "old"
