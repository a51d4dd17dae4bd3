# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lifecycle: ``lifecycleRules`` and ``lifecycleMinimumObjectSize``, which are one configuration in AWS.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from ..filters import filter_from_aws, filter_to_aws
from ..json_types import ApiObject
from ..lifecycle_rules import parse_rule
from ..setting import Call, Comparison, Operation, Parsed, Read, Setting, Value
from ..values import choice_of, invalid

if TYPE_CHECKING:
    from ..spec import Wanted

_PUT = Operation("put_bucket_lifecycle_configuration", "s3:PutLifecycleConfiguration")
_DELETE = Operation("delete_bucket_lifecycle", "s3:PutLifecycleConfiguration")
_MAX_RULES = 1000
_SIZE_FIELD = "lifecycleMinimumObjectSize"
_SIZES = ("all_storage_classes_128K", "varies_by_storage_class")
_SIZE_KEY = "TransitionDefaultMinimumObjectSize"
# Maps the fields of actions to boto3's keys.
_KEYS = {
    "days": "Days",
    "date": "Date",
    "expiredObjectDeleteMarker": "ExpiredObjectDeleteMarker",
    "storageClass": "StorageClass",
    "noncurrentDays": "NoncurrentDays",
    "newerNoncurrentVersions": "NewerNoncurrentVersions",
}
_ACTIONS = {"expiration": "Expiration", "noncurrentVersionExpiration": "NoncurrentVersionExpiration"}
_LISTS = {"transitions": "Transitions", "noncurrentVersionTransitions": "NoncurrentVersionTransitions"}


def _take(answer: ApiObject) -> ApiObject:
    return {"rules": [_from_aws(rule) for rule in answer.get("Rules", [])], "size": answer.get(_SIZE_KEY, _SIZES[0])}


class Lifecycle(Setting):
    """All rules are written together, with the minimum size. Neither the rules nor their transitions have an order.

    The value is {"rules": [...], "size": ...}. AWS uses its default for a PUT without a size, and always returns one.
    """

    name = "lifecycle"
    field = "lifecycleRules"
    is_optional = True
    is_in_status = False
    new_bucket: Value = {"rules": [], "size": _SIZES[0]}
    read = Read(
        Operation("get_bucket_lifecycle_configuration", "s3:GetLifecycleConfiguration"),
        _take,
        ("NoSuchLifecycleConfiguration",),
        unset=new_bucket,
    )
    writes = (_PUT, _DELETE)

    def parse(self, value: object) -> ApiObject:
        field = f"spec.{self.field}"
        if not isinstance(value, list) or len(value) > _MAX_RULES:
            raise invalid(field, f"must be a list of at most {_MAX_RULES} rules")
        rules = [parse_rule(rule, f"{field}[{at}]") for at, rule in enumerate(value)]
        ids = [rule["id"] for rule in rules]
        for at, name in enumerate(ids):
            if name in ids[:at]:
                raise invalid(f"{field}[{at}].id", f"must be unique: {name}")
        return {"rules": rules, "size": _SIZES[0]}

    def derive(self, value: Value, parsed: Parsed) -> Value:
        size = parsed.spec.get(_SIZE_FIELD)
        if size is None:
            return value
        choice_of(size, f"spec.{_SIZE_FIELD}", _SIZES)
        if not value or not value["rules"]:
            raise invalid(f"spec.{_SIZE_FIELD}", f"needs {self.field}")
        return {**value, "size": size}

    def is_asked(self, wanted: Wanted) -> bool:
        value = wanted.settings[self.name]
        return bool(value and value["rules"])

    def canonical(self, value: Value) -> Value:
        return {"rules": sorted(map(_sorted, value["rules"]), key=lambda rule: str(rule["id"])), "size": value["size"]}

    def calls(self, value: Value) -> list[Call]:
        if not value["rules"]:
            return [Call(_DELETE, {})]
        rules = [_to_aws(rule) for rule in value["rules"]]
        return [Call(_PUT, {"LifecycleConfiguration": {"Rules": rules}, _SIZE_KEY: value["size"]})]

    def plan(self, case: Comparison) -> dict[str, tuple[Value, Value]]:
        found, target = self.canonical(case.found[self.name]), self.canonical(self.target(case))
        return {
            self.field: (found["rules"] or None, target["rules"] or None),
            _SIZE_FIELD: (found["size"], target["size"]),
        }


def _sorted(rule: ApiObject) -> ApiObject:
    lists = {name: sorted(rule[name], key=lambda item: str(item["storageClass"])) for name in _LISTS if name in rule}
    return {**rule, **lists}


def _to_aws(rule: ApiObject) -> ApiObject:
    found: ApiObject = {
        "ID": rule["id"],
        "Status": "Enabled" if rule["enabled"] else "Disabled",
        "Filter": filter_to_aws(rule["filter"]),
    }
    found |= {key: _action_to_aws(rule[name]) for name, key in _ACTIONS.items() if name in rule}
    found |= {key: [_action_to_aws(item) for item in rule[name]] for name, key in _LISTS.items() if name in rule}
    if "abortIncompleteMultipartUploadDays" in rule:
        days = rule["abortIncompleteMultipartUploadDays"]
        found["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return found


def _action_to_aws(action: ApiObject) -> ApiObject:
    return {_KEYS[name]: f"{part}T00:00:00Z" if name == "date" else part for name, part in action.items()}


def _from_aws(rule: ApiObject) -> ApiObject:
    # The older form of a rule has its prefix beside the filter.
    scope = rule.get("Filter", {"Prefix": rule.get("Prefix", "")})
    found = {
        "id": rule.get("ID", ""),
        "enabled": rule["Status"] == "Enabled",
        "filter": filter_from_aws(scope),
        **{name: _action_from_aws(rule.get(key, {})) for name, key in _ACTIONS.items()},
        **{name: [_action_from_aws(item) for item in rule.get(key, [])] for name, key in _LISTS.items()},
        "abortIncompleteMultipartUploadDays": rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
    }
    return {name: part for name, part in found.items() if name == "filter" or part not in ({}, [], None)}


def _action_from_aws(action: ApiObject) -> ApiObject:
    found = {name: action[key] for name, key in _KEYS.items() if key in action}
    if not found.get("expiredObjectDeleteMarker", True):
        # AWS does nothing for false, and may leave it out.
        del found["expiredObjectDeleteMarker"]
    if isinstance(found.get("date"), datetime):
        found["date"] = _date_of(found["date"])
    return found


def _date_of(moment: datetime) -> str:
    at = moment.astimezone(UTC)
    return at.date().isoformat() if at.timetz() == time(tzinfo=UTC) else at.isoformat()


SETTING = Lifecycle()
