# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads one S3 object from a file. Its text is data: nothing in it is evaluated. Pure, except that it reads the file.

Every error names the file and the remedy. Of the fields that the API server sets, only the uid is read, and only for a
deletion: the tags of bucket and user hold it. For a present object it is ignored, because Kubernetes deletes a Secret
if its owner does not exist.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Hashable
from pathlib import Path
from typing import IO

import yaml

from .api import API_VERSION, KIND
from .json_types import JsonObject
from .text import printable

# The API server stores no object above etcd's limit of 1.5 MiB.
MAX_BYTES = 1_500_000
# An object has about 20 values. A few lines of YAML aliases may stand for billions.
MAX_VALUES = 100_000
_VAULT = "$ANSIBLE_VAULT"


class CrFileError(Exception):
    """The file does not hold one S3 object. The message names the file."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, because YAML would use only one of the values."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"the key {key.value!a} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep)


def read_cr_file(name: object, state: object = "present") -> JsonObject:
    """The S3 object in a file.

    :param name: the path. A relative path starts at the working directory of the process; ``~`` is a home folder
    :param state: absent for an object that is to be removed
    :return: apiVersion, kind, metadata (name, namespace and, for a deletion, the uid) and spec
    :raises CrFileError: naming the file
    """
    path = find_path(name)
    shown = printable(str(path))
    try:
        return _object_in(_decode(_read(path)), state == "absent")
    except CrFileError as error:
        raise CrFileError(f"{shown}: {error}") from error


def find_path(name: object) -> Path:
    """The absolute path for a path that a person gave.

    :raises CrFileError: when the value is not a path
    """
    if not isinstance(name, str):
        raise CrFileError("s3bucket_cr_file: must be the path of a file that holds one S3 object")
    if not name.strip():
        raise CrFileError("s3bucket_cr_file: is empty: name a file that holds one S3 object, or set s3bucket_cr")
    try:
        return Path(name).expanduser().absolute()
    except RuntimeError:
        # ~NAME, where NAME has no home folder on this machine.
        return Path(name).absolute()
    except OSError as error:
        raise CrFileError(f"{printable(name)}: the working directory does not exist: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise CrFileError("is a folder: name a file that holds one S3 object")
        if not stat.S_ISREG(mode):
            raise CrFileError("is not a regular file: write the object to a file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CrFileError(f"cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise CrFileError(f"is larger than {MAX_BYTES} bytes, which no S3 object is")
    return content


def _decode(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CrFileError(f"is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    if text.startswith(_VAULT):
        raise CrFileError("is encrypted with ansible-vault: decrypt it, an S3 object holds no secret")
    return text


def _object_in(text: str, is_absent: bool) -> JsonObject:
    documents = [document for document in read_documents(text) if document is not None]
    if not documents:
        raise CrFileError("is empty: it must hold one S3 object")
    if len(documents) > 1:
        raise CrFileError(f"holds {len(documents)} documents: write each S3 object to a file of its own")
    check_size(documents[0], MAX_VALUES)
    _check_kind(documents[0])
    found = as_stored(documents[0])
    metadata = _metadata_of(found, is_absent)
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": _spec_of(found)}


def read_documents(source: str | IO[bytes]) -> list[object]:
    """The documents of a YAML text or file.

    :raises CrFileError: when the text is not YAML, or has a key twice
    """
    try:
        return list(yaml.load_all(source, _Loader))
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CrFileError(f"is not YAML: {error.problem}{where}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # PyYAML raises ValueError for an invalid date.
        raise CrFileError(f"is not YAML: {str(error).splitlines()[0]}") from error


def check_size(document: object, most: int) -> None:
    """Refuse a document that aliases make large: each of a few lines may repeat the line before it ten times.

    :raises CrFileError: when the document has more than ``most`` values
    """
    left, found = most, [document]
    while found:
        value = found.pop()
        left -= 1
        if isinstance(value, dict):
            found.extend(value.values())
        elif isinstance(value, list):
            found.extend(value)
        if left < len(found):
            raise CrFileError(f"has more than {most} values: write it without aliases")


def as_stored(document: object) -> JsonObject:
    """An object as Kubernetes would store it. Keys become text, and so does a value that YAML reads as a date.

    :raises CrFileError: when JSON cannot hold it
    """
    try:
        found: JsonObject = json.loads(json.dumps(document, default=str))
    except (TypeError, ValueError, RecursionError) as error:
        raise CrFileError(f"cannot be written as JSON: {error}") from error
    return found


def _check_kind(document: object) -> None:
    if not isinstance(document, dict):
        held = "a list" if isinstance(document, list) else "text" if isinstance(document, str) else "a plain value"
        raise CrFileError(f"holds {held}, not an S3 object: one begins with apiVersion: {API_VERSION}")
    for field, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        value = document.get(field)
        if value != expected:
            given = "is missing" if value is None else f"is {printable(str(value))[:60]}"
            raise CrFileError(f"{field}: {given}: it must be {expected}")


def _metadata_of(document: JsonObject, is_absent: bool) -> JsonObject:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        raise CrFileError("metadata: must be an object with a name")
    for name in ("name", "namespace", "uid"):
        if metadata.get(name) is not None and not isinstance(metadata[name], str):
            raise CrFileError(f"metadata.{name}: must be text: put it in quotes")
    if not metadata.get("name"):
        raise CrFileError("metadata.name: is missing")
    if metadata.get("deletionTimestamp") and not is_absent:
        # An old export of a deleted object must not cause a deletion.
        raise CrFileError(
            "metadata.deletionTimestamp: the file was saved from an object that was being deleted. Remove the field, "
            "or remove what the object has with s3bucket_state=absent"
        )
    uid: JsonObject = {"uid": metadata["uid"]} if is_absent and metadata.get("uid") else {}
    return {"name": metadata["name"], "namespace": metadata.get("namespace") or "default", **uid}


def _spec_of(document: JsonObject) -> JsonObject:
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise CrFileError("spec: is missing" if spec is None else "spec: must be an object")
    return spec
