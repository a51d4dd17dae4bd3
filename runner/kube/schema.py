"""The fields of S3 objects that the stored CRD has, compared with those that the operator knows.

With ``crds.install=false`` the CRD may be older than the operator: the API server then drops the fields that it does
not have, without an error. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning
"""

from __future__ import annotations

from pathlib import Path

from runner.objects import JsonObject
from runner.yaml_file import read_yaml
from s3bucket.api import VERSION

_MAX_DEPTH = 12


def unstored_fields(crd: JsonObject, project_dir: Path) -> tuple[str, ...]:
    """The fields that the operator knows and the stored CRD does not have; none without the operator's own CRD."""
    path = project_dir / "crds" / "s3s.agill.apps.yaml"
    if not path.exists():
        return ()
    return missing_fields(fields_of(read_yaml(path)), fields_of(crd))


def fields_of(crd: JsonObject, version: str = VERSION) -> frozenset[str]:
    """The paths of all fields of a version, as ``spec.iamUser.username``; those of list items as ``conditions[].type``.

    A field that keeps whatever it gets is one with ``.*``. Empty when there is no such version.
    """
    for item in (crd.get("spec") or {}).get("versions") or []:
        if item.get("name") == version:
            schema = (item.get("schema") or {}).get("openAPIV3Schema") or {}
            keeps_all = bool((crd.get("spec") or {}).get("preserveUnknownFields"))
            return frozenset(
                _paths({**schema, **({"x-kubernetes-preserve-unknown-fields": True} if keeps_all else {})})
            )
    return frozenset()


def missing_fields(known: frozenset[str], stored: frozenset[str]) -> tuple[str, ...]:
    """Fields of spec and status that are known and not stored. Of a missing object only its own path."""
    open_ends = tuple(path.removesuffix("*") for path in stored if path.endswith("*"))
    missing = {
        path
        for path in known
        if path.startswith(("spec.", "status.")) and path not in stored and not path.startswith(open_ends)
    }
    return tuple(sorted(path for path in missing if not any(_is_parent(other, path) for other in missing)))


def lost_fields(sent: object, kept: object, path: str) -> tuple[str, ...]:
    """Fields that were sent and did not come back."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        found = [
            (f"{path}.{name}",) if name not in kept else lost_fields(value, kept[name], f"{path}.{name}")
            for name, value in sent.items()
            if value is not None
        ]
        return tuple(name for names in found for name in names)
    if isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        found = [lost_fields(one, other, f"{path}[]") for one, other in zip(sent, kept, strict=True)]
        return tuple(sorted({name for names in found for name in names}))
    return ()


def without(value: JsonObject, missing: frozenset[str], path: str) -> JsonObject:
    """An object as the API server keeps it: without the fields that are missing."""
    return {
        name: _without(item, missing, f"{path}.{name}")
        for name, item in value.items()
        if f"{path}.{name}" not in missing
    }


def _without(value: object, missing: frozenset[str], path: str) -> object:
    if isinstance(value, dict):
        return without(value, missing, path)
    if isinstance(value, list):
        return [_without(item, missing, f"{path}[]") for item in value]
    return value


def _paths(schema: JsonObject, path: str = "", depth: int = 0) -> list[str]:
    if depth > _MAX_DEPTH:
        return []
    found = [path] if path else []
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("additionalProperties"):
        found.append(f"{path}.*" if path else "*")
    for name, item in (schema.get("properties") or {}).items():
        found += _paths(item, f"{path}.{name}" if path else name, depth + 1)
    if isinstance(schema.get("items"), dict):
        found += _paths(schema["items"], f"{path}[]", depth + 1)
    return found


def _is_parent(path: str, other: str) -> bool:
    return other.startswith((f"{path}.", f"{path}["))
