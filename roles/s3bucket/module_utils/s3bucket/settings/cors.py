# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cross-origin resource sharing: ``corsRules``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html
"""

from __future__ import annotations

from ..json_types import ApiObject
from ..setting import Call, Operation, Read, Setting, Value
from ..values import choice_of, fields_of, invalid, text_of

_PUT = Operation("put_bucket_cors", "s3:PutBucketCORS")
_DELETE = Operation("delete_bucket_cors", "s3:PutBucketCORS")
# Maps the field of a rule to boto3's key.
_LISTS = {
    "allowedMethods": "AllowedMethods",
    "allowedOrigins": "AllowedOrigins",
    "allowedHeaders": "AllowedHeaders",
    "exposeHeaders": "ExposeHeaders",
}
_KEYS = {**_LISTS, "id": "ID", "maxAgeSeconds": "MaxAgeSeconds"}
_REQUIRED = ("allowedMethods", "allowedOrigins")
_METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
_MAX_RULES = 100
_MAX_ID = 255
Rules = list[ApiObject]


def _take(answer: ApiObject) -> Rules:
    return [{field: rule[key] for field, key in _KEYS.items() if key in rule} for rule in answer.get("CORSRules", [])]


class Cors(Setting):
    """All rules are written together. Their order counts, as S3 uses the first match. Lists in a rule have no order."""

    name = "cors"
    field = "corsRules"
    is_optional = True
    is_in_status = False
    read = Read(Operation("get_bucket_cors", "s3:GetBucketCORS"), _take, ("NoSuchCORSConfiguration",))
    writes = (_PUT, _DELETE)

    def parse(self, value: object) -> Rules:
        field = f"spec.{self.field}"
        if not isinstance(value, list) or len(value) > _MAX_RULES:
            raise invalid(field, f"must be a list of at most {_MAX_RULES} rules")
        return [_parse_rule(rule, f"{field}[{at}]") for at, rule in enumerate(value)]

    def canonical(self, value: Value) -> Value:
        return [
            {name: frozenset(part) if name in _LISTS else part for name, part in rule.items() if part not in ([], "")}
            for rule in value or []
        ]

    def calls(self, value: Value) -> list[Call]:
        if not value:
            return [Call(_DELETE, {})]
        rules = [{_KEYS[name]: part for name, part in rule.items()} for rule in value]
        return [Call(_PUT, {"CORSConfiguration": {"CORSRules": rules}})]


def _parse_rule(value: object, path: str) -> ApiObject:
    rule = fields_of(value, path, tuple(_KEYS))
    for name in _REQUIRED:
        if not rule.get(name):
            raise invalid(f"{path}.{name}", "is missing")
    for name in _LISTS:
        _check_list(rule.get(name, []), f"{path}.{name}", name)
    if "id" in rule and len(text_of(rule["id"], f"{path}.id")) > _MAX_ID:
        raise invalid(f"{path}.id", f"may have at most {_MAX_ID} characters")
    age = rule.get("maxAgeSeconds", 0)
    if not isinstance(age, int) or isinstance(age, bool) or age < 0:
        raise invalid(f"{path}.maxAgeSeconds", "must be a number of seconds, 0 or more")
    return rule


def _check_list(value: object, path: str, name: str) -> None:
    if not isinstance(value, list):
        raise invalid(path, "must be a list")
    for item in value:
        text = choice_of(item, path, _METHODS) if name == "allowedMethods" else text_of(item, path)
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise invalid(path, "may have only printable ASCII characters and no spaces")
        if text.count("*") > (0 if name == "exposeHeaders" else 1):
            raise invalid(path, f"has more wildcards (*) than AWS allows: {text}")


SETTING = Cors()
