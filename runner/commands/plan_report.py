"""``s3-operator plan``: what the operator would do about S3 objects, field by field, from reads alone.

The objects come from a file or from the cluster, the rows from the role's own code (:mod:`runner.drift.check`).
One thread.
The text of a CR is data: it is shown and never executed. Control characters in it are shown as escapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypedDict

from runner.commands.options import RoleOptions
from runner.control.status import reports_drift
from runner.drift.check import DriftCheck, Plan
from runner.kube.client import ConfigError, Kube, KubeError, load_config
from runner.objects import S3Object
from runner.yaml_file import read_yaml
from s3bucket.api import API_VERSION, KIND
from s3bucket.cr_file import CrFileError, as_stored, check_size, read_documents
from s3bucket.json_types import Json, JsonObject
from s3bucket.outcome import Outcome, Reason
from s3bucket.text import printable

IN_SYNC, DIFFERS, REFUSED = 0, 2, 1
"""Exit statuses. One refused object has priority over others that differ."""

# An object has about 20 values.
_MAX_VALUES = 1_000_000
_NOT_COMPARED = "Secret and Service were not compared: no cluster was asked"
_LEFT = "the operator reports this and does not repair it (driftPolicy: Report)"


class _Option(TypedDict, total=False):
    """An option of an argument spec, with the fields that are read."""

    options: Options


Options = dict[str, _Option]


class PlanError(Exception):
    """Nothing can be planned. The message names the problem and its place."""


@dataclass(frozen=True)
class Document:
    """One S3 object, and where it comes from."""

    source: str
    item: JsonObject

    @property
    def name(self) -> str:
        """Namespace and name, with what is given of them."""
        metadata = self.item.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


@dataclass(frozen=True)
class Planned:
    """An object, and what would be done about it."""

    document: Document
    plan: Plan


def plan_file(stream: BinaryIO, namespace: str, names: tuple[str, ...], role: RoleOptions) -> list[Planned]:
    """Plan the objects of a file, or those with these names. Uses the cluster's state where a cluster is configured.

    :param namespace: the namespace of objects that do not name one
    :raises PlanError: when there is nothing to plan, or a cluster that is needed cannot be asked
    """
    return _plan_documents(*with_cluster(named(read_file(stream, namespace), names), _find_cluster()), role)


def plan_cluster(kube: Kube, names: tuple[str, ...], role: RoleOptions) -> list[Planned]:
    """Plan the objects of the namespaces that ``kube`` serves, or those with these names; else as :func:`plan_file`."""
    return _plan_documents(named(read_cluster(kube), names), kube, role)


def read_file(stream: BinaryIO, namespace: str) -> list[Document]:
    """The S3 objects in a YAML file, including those in a List.

    :param namespace: the namespace of objects that do not name one
    :raises PlanError: naming the file and the document
    """
    found = []
    with _reported(stream.name):
        documents = [document for document in read_documents(stream) if document is not None]
    for number, document in enumerate(documents, 1):
        source = f"{stream.name}, document {number}"
        with _reported(source):
            check_size(document, _MAX_VALUES)
            items = [as_stored(item) for item in _items_of(document, source)]
        for item in items:
            metadata = item.get("metadata")
            if isinstance(metadata, dict) and not metadata.get("namespace"):
                metadata["namespace"] = namespace
            found.append(Document(source, item))
    if not found:
        raise PlanError(f"{stream.name}: holds no S3 object")
    return found


def read_cluster(kube: Kube) -> list[Document]:
    """The cluster's S3 objects, in the namespaces that ``kube`` serves.

    :raises PlanError: when Kubernetes does not answer, or has no such namespace
    """
    try:
        missing = kube.find_missing_namespaces()
        if missing:
            raise PlanError(f"namespace {missing[0]} does not exist: create it, or name another")
        found = [s3 for namespace in kube.namespaces for s3 in kube.list_objects(namespace)[0]]
    except KubeError as error:
        raise PlanError(str(error)) from error
    return [Document("cluster", s3.item) for s3 in found]


def named(documents: list[Document], names: tuple[str, ...]) -> list[Document]:
    """The objects with these names; all objects when no name is given.

    :raises PlanError: for a name that no object has
    """
    found = [document for document in documents if not names or document.name.partition("/")[2] in names]
    missing = set(names) - {document.name.partition("/")[2] for document in found}
    if missing:
        raise PlanError(f"no S3 object is named {', '.join(sorted(missing))}")
    return found


def as_live(document: Document, kube: Kube | None) -> Document:
    """An object of a file with the state that only the cluster has: its uid, and whether it is being deleted.

    :raises KubeError: when Kubernetes does not answer
    """
    given = document.item.get("metadata")
    if not isinstance(given, dict):
        return document
    kept = {name: given[name] for name in ("name", "namespace", "uid", "deletionTimestamp") if name in given}
    namespace, name = kept.get("namespace"), kept.get("name")
    if kube and isinstance(namespace, str) and isinstance(name, str) and name:
        live = kube.find_object(namespace, name)
        found = live.metadata if live else {}
        # A uid in a file may be that of another cluster's object.
        kept.pop("uid", None)
        kept |= {name: found[name] for name in ("uid", "deletionTimestamp") if name in found}
    return Document(document.source, {**document.item, "metadata": kept})


def with_cluster(documents: list[Document], kube: Kube | None) -> tuple[list[Document], Kube | None]:
    """Objects of a file with their state in the cluster, and the cluster; None when it cannot be reached.

    :raises PlanError: when the cluster is reached and does not return the state
    """
    try:
        return [as_live(document, kube) for document in documents], kube
    except KubeError as error:
        if error.status:
            raise PlanError(f"{error}: to ask no cluster, unset KUBECONFIG") from error
        return [as_live(document, None) for document in documents], None


def cluster_name(kube: Kube | None) -> str:
    """The cluster's name in owner tags when none is configured.

    :raises PlanError: when there is no cluster to ask
    """
    if kube is None:
        raise PlanError("no cluster is reached: name it with --cluster-name, as owner tags do")
    try:
        return kube.get_cluster_id()
    except KubeError as error:
        raise PlanError(f"{error}: or name the cluster with --cluster-name") from error


def _find_cluster() -> Kube | None:
    """The configured cluster; None where none is configured.

    :raises PlanError: when the configuration cannot be used
    """
    try:
        load_config()
    except ConfigError as error:
        if error.is_absent:
            return None
        raise PlanError(f"{error}; to ask no cluster, unset KUBECONFIG") from error
    return Kube()


def _plan_documents(documents: list[Document], kube: Kube | None, role: RoleOptions) -> list[Planned]:
    settings = replace(role.settings, cluster_name=role.settings.cluster_name or cluster_name(kube))
    check = DriftCheck(role.project_dir, settings, has_cluster=kube is not None)
    return plan_all(check, documents, role.project_dir, kube is not None)


def plan_all(check: DriftCheck, documents: list[Document], project_dir: Path, has_cluster: bool) -> list[Planned]:
    """What would be done about each object."""
    role = read_yaml(project_dir / "roles" / "s3bucket" / "meta" / "argument_specs.yml")
    options: Options = role["argument_specs"]["object"]["options"]["s3bucket_cr"]["options"]["spec"]["options"]
    return [Planned(document, _plan(check, document, options, has_cluster)) for document in documents]


def status_of(planned: list[Planned]) -> int:
    """The exit status."""
    if any(one.plan.refusal for one in planned):
        return REFUSED
    return DIFFERS if any(one.plan.changes for one in planned) else IN_SYNC


def text_of(planned: list[Planned]) -> str:
    """The plan for people: a block for each object, a line for each field."""
    return "\n".join(printable(line) for one in planned for line in _lines_of(one)) or "no S3 object is there"


def json_of(planned: list[Planned]) -> str:
    """The plan for programs."""
    return json.dumps({"objects": [_record_of(one) for one in planned]}, indent=2)


@contextmanager
def _reported(source: str) -> Iterator[None]:
    """A context for code that reads a file.

    :raises PlanError: for an error, naming the source
    """
    try:
        yield
    except CrFileError as error:
        raise PlanError(f"{source}: {error}") from error


def _items_of(document: object, source: str) -> Iterator[object]:
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _items_of(item, source)
        return
    if not isinstance(document, dict):
        raise PlanError(f"{source}: is not an S3 object")
    kind = document.get("apiVersion"), document.get("kind")
    if kind != (API_VERSION, KIND):
        raise PlanError(f"{source}: is no {KIND} of {API_VERSION}, but {kind[1]} of {kind[0]}")
    yield document


def _plan(check: DriftCheck, document: Document, options: Options, has_cluster: bool) -> Plan:
    unknown = list(_unknown_fields(document.item.get("spec"), options, "spec"))
    if unknown:
        return Plan(refusal=Outcome.failure(Reason.INVALID_SPEC, f"{unknown[0]}: there is no such field"))
    s3 = S3Object.from_item(document.item)
    plan = check.plan(s3)
    if plan.refusal:
        return plan
    # Only the cluster records whether this spec was applied already.
    is_left = bool(plan.changes) and reports_drift(s3)
    more = [_LEFT] * is_left + [_NOT_COMPARED] * (not has_cluster)
    return replace(plan, notes=(*plan.notes, *more))


def _unknown_fields(value: Json, options: Options, parent: str) -> Iterator[str]:
    # The role's code refuses a value that is not a mapping, and names its field.
    for name, child in value.items() if isinstance(value, dict) else ():
        if name not in options:
            yield f"{parent}.{name}"
        elif "options" in options[name]:
            yield from _unknown_fields(child, options[name]["options"], f"{parent}.{name}")


def _lines_of(one: Planned) -> Iterator[str]:
    plan, name = one.plan, one.document.name
    if plan.refusal:
        where = "" if one.document.source == "cluster" else f" ({one.document.source})"
        yield f"{name}{where}: {plan.refusal.reason}: {plan.refusal.message}"
    else:
        yield name if plan.changes else f"{name}: nothing differs"
    for line in plan.lines:
        yield f"  {line}"
    for note in plan.notes:
        yield f"  note: {note}"


def _record_of(one: Planned) -> JsonObject:
    plan, (namespace, _, name) = one.plan, one.document.name.partition("/")
    result = "refused" if plan.refusal else "differs" if plan.changes else "inSync"
    changes: list[Json] = [change.to_record() for change in plan.changes]
    record: JsonObject = {"namespace": namespace, "name": name, "source": one.document.source, "result": result}
    if plan.refusal:
        record |= {"reason": plan.refusal.reason.value, "message": plan.refusal.message}
        # Only some steps of the object are refused. The others would be done.
        if not changes:
            return record
    return {**record, "changes": changes, "notes": [*plan.notes]}
