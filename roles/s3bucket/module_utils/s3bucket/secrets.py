# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shape of a Secret: its entries in each layout, and how they are compared without secret values. Pure.

An entry is compared by its fingerprint, which is that of its text with the fingerprint of the secret access key in
place of the key itself. The fingerprint of the key is recorded in AWS (``keys``). So the wanted fingerprint of each
entry, also of a file that contains the key, follows from the spec and that record, and no code that compares needs the
key. Only :func:`find_secret_value` and :func:`data_of` handle values.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from . import metadata, owner
from .json_types import ApiObject
from .keys import Pair, fingerprint_of
from .metadata import Metadata, Record
from .regions import partition_of
from .values import choice_of, fields_of, invalid, mapping_of, text_of

KEY_ID = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of the value
# What an entry of spec.secret.keys may hold.
SOURCES = ("accessKeyID", "secretAccessKey", "bucketName", "region", "endpoint", "host", "arn")
_ID, _SECRET, *_ = SOURCES
_PAIR = {KEY_ID: _ID, SECRET_KEY: _SECRET}
# An entry with a whole document has its own name as its source.
_FILE, _BUCKET_INFO = "credentials", "BucketInfo"
# https://rook.io/docs/rook/latest/Storage-Configuration/Object-Storage-RGW/ceph-object-bucket-claim/
LAYOUTS: dict[str, dict[str, str]] = {
    "AWS": _PAIR,
    "Env": {**_PAIR, "AWS_REGION": "region", "BUCKET_NAME": "bucketName", "AWS_ENDPOINT_URL_S3": "endpoint"},
    "File": {_FILE: _FILE},
    "COSI": {_BUCKET_INFO: _BUCKET_INFO},
    "OBC": _PAIR,
}
DEFAULT_LAYOUT = "AWS"
MAX_KEYS = 16
# A key of a Secret: https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data
# The first character is a letter or a digit, so that no key can be a mark of Ansible's, "." or "..".
_ENTRY = re.compile(r"[A-Za-z0-9][-._A-Za-z0-9]{0,252}")
# More entries of a Secret than the operator writes. Those of others are not compared.
_MAX_ENTRIES = 32
# A longer text is not searched for a secret access key.
_MAX_DOCUMENT = 8 * 1024
# After the name of the Secret in the user's tag, while it is moved. No name has it.
_MOVING = ":"
_SURROGATE = re.compile("[\ud800-\udfff]")
_FILE_ID = re.compile(r"^aws_access_key_id *= *(\S+) *$", re.MULTILINE)
_FILE_SECRET = re.compile(r"^aws_secret_access_key *= *(\S+) *$", re.MULTILINE)


@dataclass(frozen=True)
class WantedSecret:
    """The Secret that a spec requests.

    ``keys``: entries in addition to the layout's, or in place of them. ``default_name``: the name of a Secret for which
    no name is given.
    """

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    layout: str = DEFAULT_LAYOUT
    keys: dict[str, str] = field(default_factory=dict)
    default_name: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """The tag of the IAM user that records the Secret's name."""
        return {} if self.name == (self.default_name or self.name) else {owner.SECRET: self.name}

    def former_name(self, tags: Mapping[str, str]) -> str:
        """The name of the Secret that earlier runs wrote.

        :param tags: of the IAM user
        """
        return tags.get(owner.SECRET, "").removesuffix(_MOVING) or self.default_name or self.name

    def is_moving(self, tags: Mapping[str, str]) -> bool:
        """Whether earlier runs may have written Secrets of other names than these.

        :param tags: of the IAM user
        """
        return self.former_name(tags) != self.name or tags.get(owner.SECRET, "").endswith(_MOVING)

    def moving_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        """The tag that records, before the Secret is written under another name, that a move has begun.

        The name of an unfinished move may be replaced by yet another one, also by the first one.
        """
        return {owner.SECRET: self.former_name(tags) + _MOVING}

    @property
    def metadata(self) -> Metadata:
        """Labels and annotations."""
        return Metadata(self.labels, self.annotations)

    @property
    def has_config_map(self) -> bool:
        """Whether a ConfigMap of the same name belongs to the layout."""
        return self.layout == "OBC"

    @property
    def entries(self) -> dict[str, str]:
        """The source of each entry. A source that ``keys`` names is only where ``keys`` has it."""
        named = set(self.keys.values())
        kept = {name: source for name, source in LAYOUTS[self.layout].items() if source not in named}
        return {**kept, **self.keys}

    @property
    def record(self) -> Record:
        """The record of what is written into the Secret."""
        return metadata.record_of(self.metadata, self.entries, config_map=self.has_config_map)


@dataclass(frozen=True)
class Facts:
    """What an application needs to know of a bucket."""

    bucket: str = ""
    region: str = ""
    endpoint: str = ""
    arn: str = ""

    @property
    def host(self) -> str:
        """The host of the endpoint."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        """The port of the endpoint."""
        url = urlsplit(self.endpoint)
        return url.port or (80 if url.scheme == "http" else 443)


def secret_of(spec: object, path: str, default_name: str, common: Metadata = metadata.NONE) -> WantedSecret:
    """Read the field ``secret`` of a spec.

    :param path: the field, for messages
    :param common: labels and annotations of every Secret
    :raises ReconcileError: InvalidSpec
    """
    if spec is None:
        return WantedSecret(default_name, common.labels, common.annotations, default_name=default_name)
    given = fields_of(spec, path, ("name", "labels", "annotations", "layout", "keys"))
    name = text_of(given.get("name", default_name), f"{path}.name")
    if not metadata.is_domain(name):
        raise invalid(f"{path}.name", "is not a name of a Secret: at most 253 of a-z, 0-9, '-' and '.'")
    layout = choice_of(given.get("layout", DEFAULT_LAYOUT), f"{path}.layout", LAYOUTS)
    found = metadata.metadata_of(given, path, common)
    keys = _keys_of(given.get("keys"), f"{path}.keys")
    wanted = WantedSecret(name, found.labels, found.annotations, layout, keys, default_name)
    _check_entries(wanted, f"{path}.keys")
    return wanted


def former_secret_of(spec: object, default_name: str) -> WantedSecret:
    """The Secret of an object that is being deleted. No error in its spec matters."""
    name = spec.get("name") if isinstance(spec, dict) else None
    is_valid = isinstance(name, str) and metadata.is_domain(name)
    return WantedSecret(str(name) if is_valid else default_name, default_name=default_name)


def _keys_of(value: object, path: str) -> dict[str, str]:
    given = {} if value is None else mapping_of(value, path)
    if len(given) > MAX_KEYS:
        raise invalid(path, f"has {len(given)} entries: at most {MAX_KEYS} are allowed")
    for name in given:
        if not isinstance(name, str) or not _ENTRY.fullmatch(name):
            raise invalid(
                f"{path}[{ascii(name)[1:-1]}]",
                "is not a key of a Secret: at most 253 of letters, digits, '-', '_' and '.', first a letter or a digit",
            )
    return {name: choice_of(source, f"{path}[{name}]", SOURCES) for name, source in given.items()}


def _check_entries(wanted: WantedSecret, path: str) -> None:
    sources = set(wanted.entries.values())
    for source in LAYOUTS[wanted.layout].values():
        if source not in sources:
            name = next(name for name, item in LAYOUTS[wanted.layout].items() if item == source)
            raise invalid(f"{path}[{name}]", f"replaces {source}, which the Secret must hold: choose another key")


def endpoint_of(url: str, region: str) -> str:
    """The URL of S3 for applications.

    :param url: the operator's own endpoint. At AWS, this may be a global one, or one only for the operator's region
    """
    partition = partition_of(region)
    host = urlsplit(url).hostname or ""
    if not host or host.endswith((partition.dns_suffix, partition.dual_stack_suffix)):
        return f"https://s3.{region}.{partition.dns_suffix}"
    return url.rstrip("/")


def config_map_data(facts: Facts) -> dict[str, str]:
    """The data of the ConfigMap of the layout OBC.

    https://github.com/kube-object-storage/lib-bucket-provisioner/blob/master/pkg/provisioner/resourcehandlers.go
    """
    return {
        "BUCKET_HOST": facts.host,
        "BUCKET_NAME": facts.bucket,
        "BUCKET_PORT": str(facts.port),
        "BUCKET_REGION": facts.region,
        "BUCKET_SUBREGION": "",
    }


def texts_of(entries: Mapping[str, str], facts: Facts, key_id: str, secret: str) -> dict[str, str]:
    """The text of each entry.

    :param entries: as :attr:`WantedSecret.entries`
    :param secret: the secret access key; or its fingerprint, for texts to compare
    """
    values = {
        "accessKeyID": key_id,
        "secretAccessKey": secret,
        "bucketName": facts.bucket,
        "region": facts.region,
        "endpoint": facts.endpoint,
        "host": facts.host,
        "arn": facts.arn,
        _FILE: _credentials_file(facts, key_id, secret),
        _BUCKET_INFO: _bucket_info(facts, key_id, secret),
    }
    return {name: values[source] for name, source in entries.items()}


def data_of(entries: Mapping[str, str], facts: Facts, key_id: str, secret: str) -> dict[str, str]:
    """The ``data`` of a Secret. The caller must never show it."""
    texts = texts_of(entries, facts, key_id, secret)
    return {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}


def wanted_fingerprints(entries: Mapping[str, str], facts: Facts, pair: Pair) -> dict[str, str]:
    """The fingerprint that each entry has when it holds what it should."""
    texts = texts_of(entries, facts, pair.id, pair.fingerprint)
    return {
        name: pair.fingerprint if entries[name] == _SECRET else fingerprint_of(text) for name, text in texts.items()
    }


def reduced(data: object, record: Record) -> ApiObject:
    """What is kept of the ``data`` of a Secret: no value but the id of an access key.

    ``fingerprints``: by the name of the entry. ``pairs``: the key pairs in entries of the operator's own names.
    """
    texts = _decoded(data, record)
    pairs = [pair for pair in (_pair_in(texts), *map(_pair_in_text, texts.items())) if pair is not None]
    return {
        "fingerprints": {name: _fingerprint(name, text) for name, text in texts.items()},
        "pairs": [str(pair) for pair in pairs],
    }


def pair_in(secret: ApiObject | None, hint: Pair | None = None) -> Pair | None:
    """The key pair in a Secret, as :func:`reduced` leaves it; None when it does not hold a complete pair.

    :param hint: the pair that the Secret should hold. It may be in entries of any names
    """
    pairs = [pair for pair in map(Pair.parse, (secret or {}).get("pairs", [])) if pair is not None]
    if hint is not None:
        found = set((secret or {}).get("fingerprints", {}).values())
        if hint in pairs or {hint.fingerprint, fingerprint_of(hint.id)} <= found:
            return hint
    return pairs[0] if pairs else None


def is_data_same(secret: ApiObject, wanted: dict[str, str]) -> bool:
    """Whether a Secret, as :func:`reduced` leaves it, has entries with these fingerprints."""
    found = secret.get("fingerprints", {})
    return all(found.get(name) == fingerprint for name, fingerprint in wanted.items())


def find_secret_value(data: object, pair: Pair, record: Record) -> str:
    """The secret access key of this pair in the ``data`` of a Secret; empty where it is in none of the entries."""
    for name, text in _decoded(data, record).items():
        for value in (text, _secret_in_text(name, text)):
            if value and fingerprint_of(value) == pair.fingerprint:
                return value
    return ""


def key_data(data: object, hint: Pair | None, record: Record) -> dict[str, str]:
    """The key pair in the ``data`` of a Secret of any layout, as entries of the layout AWS. It holds the values.

    :param hint: the pair that the Secret should hold. Without it, the entries of AWS are returned as they are
    """
    value = find_secret_value(data, hint, record) if hint else ""
    if hint and value:
        return {
            name: base64.b64encode(text.encode()).decode() for name, text in ((KEY_ID, hint.id), (SECRET_KEY, value))
        }
    given = data if isinstance(data, dict) else {}
    return {name: given[name] for name in (KEY_ID, SECRET_KEY) if name in given}


def _credentials_file(facts: Facts, key_id: str, secret: str) -> str:
    # https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
    lines = ["[default]", f"aws_access_key_id = {key_id}", f"aws_secret_access_key = {secret}"]
    return "\n".join([*lines, f"region = {facts.region}", ""])


def _bucket_info(facts: Facts, key_id: str, secret: str) -> str:
    # https://github.com/kubernetes-sigs/container-object-storage-interface-api, apis/objectstorage/consts and
    # types.BucketInfo of the provisioner sidecar, for v1alpha1
    return json.dumps(
        {
            "metadata": {"name": facts.bucket, "creationTimestamp": None},
            "spec": {
                "bucketName": facts.bucket,
                "authenticationType": "KEY",
                "secretS3": {
                    "endpoint": facts.endpoint,
                    "region": facts.region,
                    "accessKeyID": key_id,
                    "accessSecretKey": secret,
                },
                "secretAzure": None,
                "protocols": ["s3"],
            },
        }
    )


def _decoded(data: object, record: Record) -> dict[str, str]:
    """The texts of the entries, first those that the operator has written."""
    given = data if isinstance(data, dict) else {}
    own = [name for name in (KEY_ID, SECRET_KEY, _FILE, _BUCKET_INFO, *sorted(record.entries)) if name in given]
    names = dict.fromkeys([*own, *sorted(given)])
    return {name: _text_of(given[name]) for name in list(names)[:_MAX_ENTRIES]}


def _text_of(value: object) -> str:
    try:
        return base64.b64decode(value, validate=True).decode() if isinstance(value, str) else ""
    except (binascii.Error, ValueError):
        return ""


def _fingerprint(name: str, text: str) -> str:
    secret = _secret_in_text(name, text)
    return fingerprint_of(text.replace(secret, fingerprint_of(secret)) if secret else text)


def _pair_in(texts: Mapping[str, str]) -> Pair | None:
    return _pair_of(texts.get(KEY_ID, ""), texts.get(SECRET_KEY, ""))


def _pair_in_text(item: tuple[str, str]) -> Pair | None:
    name, text = item
    if len(text) > _MAX_DOCUMENT:
        return None
    found = _FILE_ID.search(text) if name == _FILE else None
    key_id = found[1] if found else _s3_text(text, "accessKeyID") if name == _BUCKET_INFO else ""
    return _pair_of(key_id, _secret_in_text(name, text))


def _pair_of(key_id: str, secret: str) -> Pair | None:
    # An access key's id has at most 128 characters: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
    return Pair(key_id, fingerprint_of(secret)) if key_id and secret and len(key_id) <= 128 else None


def _secret_in_text(name: str, text: str) -> str:
    """The secret access key in a document; empty for another entry."""
    if len(text) > _MAX_DOCUMENT:
        return ""
    if name == _BUCKET_INFO:
        return _s3_text(text, "accessSecretKey")
    found = _FILE_SECRET.search(text) if name == _FILE else None
    return found[1] if found else ""


def _s3_text(text: str, field: str) -> str:
    """A text in a BucketInfo; empty for anything else.

    JSON can escape half of a surrogate pair, which has no UTF-8. An error here would end the watch of all Secrets, and
    whoever may write a Secret could bring it about.
    """
    found = _s3_part(text).get(field)
    return found if isinstance(found, str) and not _SURROGATE.search(found) else ""


def _s3_part(text: str) -> ApiObject:
    try:
        found = json.loads(text)["spec"]["secretS3"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
