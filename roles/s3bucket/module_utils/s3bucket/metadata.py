# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Labels and annotations that a spec gives to a Secret, Service or ConfigMap, and the record of them. Pure.

The annotation ``agill.apps/managed`` records what the operator has written into an object: the labels, the annotations,
and the entries of a Secret. What the record names and the spec no longer gives is removed. Everything else is left
alone, because others have set it. An object without this annotation has only what every version of the operator writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .json_types import ApiObject
from .values import invalid, mapping_of, text_of

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
PREFIX = "agill.apps/"
RECORD = PREFIX + "managed"
# A record names at most this much: 24 labels, 24 annotations and 21 entries, each of up to 317 characters.
MAX_RECORD = 24 * 1024
MAX_ITEMS = 16
MAX_ANNOTATION = 1024
# Of the operator's settings, in addition to those of a spec.
MAX_DEFAULTS = 8
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
_DOMAIN_PART = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
MAX_DOMAIN = 253
# The names in a record: keys of labels, annotations and Secrets. No half of a surrogate pair, which JSON can escape but
# UTF-8 cannot hold, and no mark of Ansible's.
_RECORDED = re.compile(r"[A-Za-z0-9][-._/A-Za-z0-9]{0,316}")
_DEFAULT_ENTRIES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass(frozen=True)
class Metadata:
    """Labels and annotations."""

    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


NONE = Metadata()


def metadata_of(spec: ApiObject, path: str, common: Metadata = NONE) -> Metadata:
    """Read ``labels`` and ``annotations`` of a spec.

    :param path: the field that has both, for messages
    :param common: those of every object; the spec's have precedence
    :raises ReconcileError: InvalidSpec
    """
    labels = labels_of(spec.get("labels"), f"{path}.labels", MAX_ITEMS)
    annotations = annotations_of(spec.get("annotations"), f"{path}.annotations", MAX_ITEMS)
    return Metadata({**common.labels, **labels}, {**common.annotations, **annotations})


def labels_of(value: object, path: str, most: int) -> dict[str, str]:
    """Read labels.

    :raises ReconcileError: InvalidSpec for one that Kubernetes would refuse, and for one that is reserved
    """
    found = _texts_of(value, path, most)
    for key, text in found.items():
        if text and not _NAME.fullmatch(text):
            raise invalid(
                f"{path}[{key}]", "is not a value of a label: at most 63 of letters, digits, '-', '_' and '.'"
            )
    return found


def annotations_of(value: object, path: str, most: int) -> dict[str, str]:
    """Read annotations.

    :raises ReconcileError: InvalidSpec for one that Kubernetes would refuse, and for one that is reserved
    """
    found = _texts_of(value, path, most)
    for key, text in found.items():
        if len(text) > MAX_ANNOTATION:
            raise invalid(f"{path}[{key}]", f"has more than {MAX_ANNOTATION} characters")
    return found


def is_reserved(key: str) -> bool:
    """Whether only the operator writes this label or annotation."""
    return key.startswith(PREFIX) or key == LABEL_MANAGED_BY


def is_domain(text: str) -> bool:
    """Whether a text is a DNS subdomain, as the names of most objects of Kubernetes are."""
    return len(text) <= MAX_DOMAIN and all(_DOMAIN_PART.fullmatch(part) for part in text.split("."))


def _is_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return bool(_NAME.fullmatch(name)) and (is_domain(prefix) if slash else True)


def _texts_of(value: object, path: str, most: int) -> dict[str, str]:
    given = {} if value is None else mapping_of(value, path)
    if len(given) > most:
        raise invalid(path, f"has {len(given)} entries: at most {most} are allowed")
    for key in given:
        if not isinstance(key, str) or not _is_key(key):
            raise invalid(f"{path}[{ascii(key)[1:-1]}]", "is not a key that Kubernetes allows for it")
        if is_reserved(key):
            raise invalid(f"{path}[{key}]", f"the prefix {PREFIX} and the label {LABEL_MANAGED_BY} are reserved")
    return {key: text_of(text, f"{path}[{key}]") for key, text in given.items()}


@dataclass(frozen=True)
class Record:
    """What the operator has written into an object, by name. ``config_map``: there is a ConfigMap of the same name."""

    labels: frozenset[str] = frozenset()
    annotations: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset(_DEFAULT_ENTRIES)
    config_map: bool = False

    @property
    def text(self) -> str:
        """The annotation's value; empty where no annotation is needed."""
        found: dict[str, object] = {name: sorted(names) for name, names in self._names().items() if names}
        if self.config_map:
            found["configMap"] = True
        if found.get("entries") == sorted(_DEFAULT_ENTRIES):
            del found["entries"]
        return json.dumps(found, separators=(",", ":"), sort_keys=True) if found else ""

    def _names(self) -> dict[str, frozenset[str]]:
        return {"labels": self.labels, "annotations": self.annotations, "entries": self.entries}


def record_of(metadata: Metadata, entries: Iterable[str] = _DEFAULT_ENTRIES, *, config_map: bool = False) -> Record:
    """The record of what is to be written."""
    return Record(frozenset(metadata.labels), frozenset(metadata.annotations), frozenset(entries), config_map)


def read_record(item: ApiObject | None) -> Record:
    """The record of an object. Anyone who may write the object may have written it, so it names nothing reserved."""
    annotations = (item or {}).get("metadata", {}).get("annotations") or {}
    found = _parsed(annotations.get(RECORD))
    return Record(
        frozenset(key for key in _names_in(found, "labels") if not is_reserved(key)),
        frozenset(key for key in _names_in(found, "annotations") if not is_reserved(key)),
        frozenset(_names_in(found, "entries") if "entries" in found else _DEFAULT_ENTRIES),
        found.get("configMap") is True,
    )


def is_same(item: ApiObject, wanted: Metadata, record: Record) -> bool:
    """Whether an object has these labels, annotations and record."""
    metadata = item.get("metadata", {})
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return (
        all(labels.get(key) == text for key, text in wanted.labels.items())
        and all(annotations.get(key) == text for key, text in wanted.annotations.items())
        and annotations.get(RECORD, "") == record.text
    )


def patch_of(item: ApiObject | None, wanted: Metadata, record: Record) -> ApiObject:
    """The ``labels`` and ``annotations`` of a manifest. None removes one that an earlier run wrote into the object."""
    former = read_record(item)
    labels: ApiObject = {**dict.fromkeys(sorted(former.labels - record.labels)), **wanted.labels}
    annotations: ApiObject = {
        **dict.fromkeys(sorted(former.annotations - record.annotations)),
        **wanted.annotations,
    }
    found = ((item or {}).get("metadata", {}).get("annotations") or {}).get(RECORD)
    if record.text or found is not None:
        annotations[RECORD] = record.text or None
    return {"labels": labels, "annotations": annotations}


def _parsed(text: object) -> ApiObject:
    if not isinstance(text, str) or len(text) > MAX_RECORD:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _names_in(found: ApiObject, name: str) -> list[str]:
    names = found.get(name)
    listed = names if isinstance(names, list) else []
    return [item for item in listed if isinstance(item, str) and _RECORDED.fullmatch(item)]
