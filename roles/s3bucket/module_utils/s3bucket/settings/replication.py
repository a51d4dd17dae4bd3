# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replication to other buckets: ``replication``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..filters import filter_from_aws, filter_to_aws, parse_filter
from ..json_types import ApiObject
from ..setting import Call, Operation, Read, Setting, Value
from ..values import choice_of, fields_of, flag_of, invalid, text_of

if TYPE_CHECKING:
    from ..spec import Wanted

_PUT = Operation("put_bucket_replication", "s3:PutReplicationConfiguration")
_DELETE = Operation("delete_bucket_replication", "s3:PutReplicationConfiguration")
_ROLE = re.compile(r"arn:[^:\s]+:iam::[^:\s]*:role/\S+")
_BUCKET = re.compile(r"arn:[^:\s]+:s3:::\S+")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_STORAGE_CLASSES = (
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
    "REDUCED_REDUNDANCY",
)
_MAX_RULES = 1000
_MAX_ID = 255
_MAX_TEXT = 2048
_MAX_PRIORITY = 2147483647
# The only time that AWS allows.
_MINUTES = {"Minutes": 15}
_FIELDS = ("role", "rules")
_RULE_FLAGS = {"enabled": True, "deleteMarkers": False, "replicateKMSObjects": False, "replicaModifications": False}
_RULE_FIELDS = ("id", "priority", "filter", "destination", *_RULE_FLAGS)
_DESTINATION_FLAGS = ("ownerOverride", "replicationTime", "metrics")
_DESTINATION_FIELDS = ("bucketARN", "account", "storageClass", "kmsKeyID", *_DESTINATION_FLAGS)
# What this operator cannot write, such as a rule of the first version, without a filter. No spec is equal to it.
_OTHER = "other"


def _take(answer: ApiObject) -> ApiObject:
    found = answer.get("ReplicationConfiguration", {})
    return {"role": found.get("Role", ""), "rules": [_rule_of(rule) for rule in found.get("Rules", [])]}


def _rule_of(rule: ApiObject) -> ApiObject:
    """A rule in the form of a spec, complete. A missing status means Disabled."""
    selection, found = rule.get("SourceSelectionCriteria", {}), rule.get("Filter", {})
    is_other = "Filter" not in rule or "Not" in found or "Not" in found.get("And", {})
    return {
        "id": rule.get("ID", ""),
        "priority": rule.get("Priority", 0),
        "enabled": _is_enabled(rule),
        "filter": filter_from_aws(found),
        "deleteMarkers": _is_enabled(rule.get("DeleteMarkerReplication", {})),
        "destination": _destination_of(rule.get("Destination", {})),
        "replicateKMSObjects": _is_enabled(selection.get("SseKmsEncryptedObjects", {})),
        "replicaModifications": _is_enabled(selection.get("ReplicaModifications", {})),
        **({_OTHER: True} if is_other else {}),
    }


def _destination_of(found: ApiObject) -> ApiObject:
    texts = {
        "account": found.get("Account"),
        "storageClass": found.get("StorageClass"),
        "kmsKeyID": found.get("EncryptionConfiguration", {}).get("ReplicaKmsKeyID"),
    }
    return {
        "bucketARN": found.get("Bucket", ""),
        **{name: text for name, text in texts.items() if text},
        "ownerOverride": found.get("AccessControlTranslation", {}).get("Owner") == "Destination",
        "replicationTime": _is_enabled(found.get("ReplicationTime", {})),
        "metrics": _is_enabled(found.get("Metrics", {})),
    }


def _is_enabled(part: ApiObject) -> bool:
    return part.get("Status") == "Enabled"


class Replication(Setting):
    """One call replaces all rules. Versioning comes first; before versioning is suspended, replication is cleared."""

    name = "replication"
    field = "replication"
    order = 60
    is_optional = True
    is_allowed_by_default = False
    is_in_status = False
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ReplicationErrorCodeList
    passing = {
        "Destination bucket must exist": "create the destination bucket",
        "Destination bucket must have versioning enabled": "enable versioning of the destination bucket",
        "Versioning must be 'Enabled'": "AWS has not enabled versioning of the bucket yet",
    }
    denied = (
        "if AWS refuses the role, have the administrator add it to the operator's policy (s3-operator iam-policy "
        "--replication-role), or name another one"
    )
    lag_texts = ("Versioning must be 'Enabled'",)
    read = Read(
        Operation("get_bucket_replication", "s3:GetReplicationConfiguration"),
        _take,
        ("ReplicationConfigurationNotFoundError",),
    )
    writes = (_PUT, _DELETE)

    def parse(self, value: object) -> ApiObject:
        path = f"spec.{self.field}"
        given = _fields_of(value, path, _FIELDS, ("role", "rules"))
        rules = given["rules"]
        if not _ROLE.fullmatch(_text(given["role"], f"{path}.role")):
            raise invalid(f"{path}.role", "must be the ARN of an IAM role: arn:aws:iam::ACCOUNT:role/NAME")
        if not isinstance(rules, list) or not 1 <= len(rules) <= _MAX_RULES:
            raise invalid(f"{path}.rules", f"must be a list of 1 to {_MAX_RULES} rules")
        parsed = [_parse_rule(rule, f"{path}.rules[{at}]") for at, rule in enumerate(rules)]
        _check_unique(parsed, f"{path}.rules")
        return {"role": given["role"], "rules": parsed}

    def check(self, wanted: Wanted) -> None:
        if wanted.settings[self.name] and not wanted.settings["versioning"]:
            raise invalid(f"spec.{self.field}", "needs enableVersioning: true, of the destination buckets too")

    def write_order(self, value: Value) -> int:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html: with a replication configuration
        # the versioning state cannot be changed.
        return self.order if value else 0

    def canonical(self, value: Value) -> Value:
        if not value:
            return None
        return value["role"], {rule["id"]: rule for rule in value["rules"]}

    def calls(self, value: Value) -> list[Call]:
        if not value:
            return [Call(_DELETE, {})]
        rules = [_rule_to_aws(rule) for rule in value["rules"]]
        return [Call(_PUT, {"ReplicationConfiguration": {"Role": value["role"], "Rules": rules}})]


def _parse_rule(value: object, path: str) -> ApiObject:
    rule = _fields_of(value, path, _RULE_FIELDS, ("id", "destination"))
    if len(text_of(rule["id"], f"{path}.id")) > _MAX_ID:
        raise invalid(f"{path}.id", f"may have at most {_MAX_ID} characters")
    flags = {name: flag_of(rule.get(name, default), f"{path}.{name}") for name, default in _RULE_FLAGS.items()}
    priority = rule.get("priority", 0)
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= _MAX_PRIORITY:
        raise invalid(f"{path}.priority", f"must be a number from 0 to {_MAX_PRIORITY}")
    found = parse_filter(rule.get("filter"), f"{path}.filter")
    if flags["deleteMarkers"] and "tags" in found:
        raise invalid(
            f"{path}.deleteMarkers", "must not be true with tags in the filter: AWS cannot replicate them then"
        )
    destination = _parse_destination(rule["destination"], f"{path}.destination")
    if flags["replicateKMSObjects"] != ("kmsKeyID" in destination):
        raise invalid(f"{path}.replicateKMSObjects", "and destination.kmsKeyID need each other")
    return {"id": rule["id"], "priority": priority, "filter": found, "destination": destination, **flags}


def _parse_destination(value: object, path: str) -> ApiObject:
    given = _fields_of(value, path, _DESTINATION_FIELDS, ("bucketARN",))
    flags = {name: flag_of(given.get(name, False), f"{path}.{name}") for name in _DESTINATION_FLAGS}
    texts = {
        name: _text(part, f"{path}.{name}") for name, part in given.items() if name not in _DESTINATION_FLAGS and part
    }
    if not _BUCKET.fullmatch(texts["bucketARN"]):
        raise invalid(f"{path}.bucketARN", "must be the ARN of a bucket: arn:aws:s3:::NAME")
    if not _ACCOUNT.fullmatch(texts.get("account", "0" * 12)):
        raise invalid(f"{path}.account", "must be the 12 digits of an AWS account, in quotes")
    if "storageClass" in texts:
        choice_of(texts["storageClass"], f"{path}.storageClass", _STORAGE_CLASSES)
    if flags["ownerOverride"] and "account" not in texts:
        raise invalid(f"{path}.account", "is missing: with ownerOverride it is the account that gets the replicas")
    if flags["replicationTime"] and not given.get("metrics", True):
        raise invalid(f"{path}.metrics", "must not be false with replicationTime, which AWS offers with metrics only")
    return {**texts, **flags, "metrics": flags["metrics"] or flags["replicationTime"]}


def _check_unique(rules: list[ApiObject], path: str) -> None:
    for name in ("id", "priority"):
        first: ApiObject = {}
        for at, rule in enumerate(rules):
            if first.setdefault(str(rule[name]), at) != at:
                default = " (the default is 0)" if name == "priority" else ""
                other = f"rules[{first[str(rule[name])]}]"
                raise invalid(f"{path}[{at}].{name}", f"is that of {other} too: each rule needs its own{default}")


def _rule_to_aws(rule: ApiObject) -> ApiObject:
    selection = {
        **({"SseKmsEncryptedObjects": _status(True)} if rule["replicateKMSObjects"] else {}),
        **({"ReplicaModifications": _status(True)} if rule["replicaModifications"] else {}),
    }
    return {
        "ID": rule["id"],
        "Priority": rule["priority"],
        **_status(rule["enabled"]),
        # Without a filter it is a rule of the first version, which replicates delete markers.
        "Filter": filter_to_aws(rule["filter"]) or {"Prefix": ""},
        "DeleteMarkerReplication": _status(rule["deleteMarkers"]),
        "Destination": _destination_to_aws(rule["destination"]),
        **({"SourceSelectionCriteria": selection} if selection else {}),
    }


def _destination_to_aws(value: ApiObject) -> ApiObject:
    is_timed = value["replicationTime"]
    metrics = {**_status(True), **({"EventThreshold": _MINUTES} if is_timed else {})}
    parts = {
        "Account": value.get("account"),
        "StorageClass": value.get("storageClass"),
        "AccessControlTranslation": {"Owner": "Destination"} if value["ownerOverride"] else None,
        "EncryptionConfiguration": {"ReplicaKmsKeyID": value["kmsKeyID"]} if "kmsKeyID" in value else None,
        "ReplicationTime": {**_status(True), "Time": _MINUTES} if is_timed else None,
        "Metrics": metrics if value["metrics"] else None,
    }
    return {"Bucket": value["bucketARN"], **{name: part for name, part in parts.items() if part is not None}}


def _status(is_enabled: bool) -> dict[str, str]:
    return {"Status": "Enabled" if is_enabled else "Disabled"}


def _fields_of(value: object, path: str, fields: tuple[str, ...], required: tuple[str, ...]) -> ApiObject:
    given = fields_of(value, path, fields)
    for name in required:
        if given.get(name) in (None, ""):
            raise invalid(f"{path}.{name}", "is missing")
    return given


def _text(value: object, path: str) -> str:
    text = text_of(value, path)
    if len(text) > _MAX_TEXT:
        raise invalid(path, f"may have at most {_MAX_TEXT} characters")
    return text


SETTING = Replication()
