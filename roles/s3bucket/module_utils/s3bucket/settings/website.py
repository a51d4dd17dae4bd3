# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Website hosting: ``website``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html
"""

from __future__ import annotations

import re

from ..json_types import ApiObject
from ..setting import Call, Operation, Read, Setting, Value
from ..values import choice_of, fields_of, invalid, text_of

_PUT = Operation("put_bucket_website", "s3:PutBucketWebsite")
_DELETE = Operation("delete_bucket_website", "s3:DeleteBucketWebsite")
_FIELDS = ("indexDocument", "errorDocument", "redirectAllRequestsTo", "routingRules")
# Map the fields of parts to boto3's keys.
_HOST = {"hostName": "HostName", "protocol": "Protocol"}
_CONDITION = {
    "keyPrefixEquals": "KeyPrefixEquals",
    "httpErrorCodeReturnedEquals": "HttpErrorCodeReturnedEquals",
}
_REDIRECT = {
    **_HOST,
    "replaceKeyWith": "ReplaceKeyWith",
    "replaceKeyPrefixWith": "ReplaceKeyPrefixWith",
    "httpRedirectCode": "HttpRedirectCode",
}
_MAX_RULES = 50
_MAX_TEXT = 1024
# Texts that may be empty: all keys, and to remove a prefix.
_MAY_BE_EMPTY = ("keyPrefixEquals", "replaceKeyPrefixWith")
_CODES = {
    "httpErrorCodeReturnedEquals": ("[45][0-9][0-9]", "must be an HTTP code in quotes, from 400 to 599"),
    "httpRedirectCode": ("3(0[1-9]|[1-9][0-9])", "must be an HTTP code in quotes, from 301 to 399"),
}


def _take(answer: ApiObject) -> ApiObject:
    found = {
        "indexDocument": answer.get("IndexDocument", {}).get("Suffix"),
        "errorDocument": answer.get("ErrorDocument", {}).get("Key"),
        "redirectAllRequestsTo": _from_aws(answer.get("RedirectAllRequestsTo", {}), _HOST),
        "routingRules": [
            _without_empty(
                {
                    "condition": _from_aws(rule.get("Condition", {}), _CONDITION),
                    "redirect": _from_aws(rule.get("Redirect", {}), _REDIRECT),
                }
            )
            for rule in answer.get("RoutingRules", [])
        ],
    }
    return _without_empty(found)


class Website(Setting):
    """The configuration is written as a whole. The order of routing rules counts, as S3 uses the first match."""

    name = "website"
    field = "website"
    is_optional = True
    is_in_status = False
    new_bucket: Value = {}
    read = Read(
        Operation("get_bucket_website", "s3:GetBucketWebsite"),
        _take,
        ("NoSuchWebsiteConfiguration",),
        unset=new_bucket,
    )
    writes = (_PUT, _DELETE)

    def parse(self, value: object) -> ApiObject:
        field = f"spec.{self.field}"
        given = fields_of(value, field, _FIELDS)
        if given.keys() & {"redirectAllRequestsTo"}:
            if len(given) > 1:
                raise invalid(f"{field}.redirectAllRequestsTo", "excludes all other fields of website")
            return {
                "redirectAllRequestsTo": _parse_host(given["redirectAllRequestsTo"], f"{field}.redirectAllRequestsTo")
            }
        found: ApiObject = {"indexDocument": _parse_index(given.get("indexDocument"), f"{field}.indexDocument")}
        if "errorDocument" in given:
            found["errorDocument"] = _parse_text(given["errorDocument"], f"{field}.errorDocument")
        rules = given.get("routingRules", [])
        if not isinstance(rules, list) or len(rules) > _MAX_RULES:
            raise invalid(f"{field}.routingRules", f"must be a list of at most {_MAX_RULES} rules")
        found["routingRules"] = [_parse_rule(rule, f"{field}.routingRules[{at}]") for at, rule in enumerate(rules)]
        return _without_empty(found)

    def calls(self, value: Value) -> list[Call]:
        if not value:
            return [Call(_DELETE, {})]
        found: ApiObject = {}
        if "indexDocument" in value:
            found["IndexDocument"] = {"Suffix": value["indexDocument"]}
        if "errorDocument" in value:
            found["ErrorDocument"] = {"Key": value["errorDocument"]}
        if "redirectAllRequestsTo" in value:
            found["RedirectAllRequestsTo"] = _to_aws(value["redirectAllRequestsTo"], _HOST)
        if "routingRules" in value:
            found["RoutingRules"] = [_rule_to_aws(rule) for rule in value["routingRules"]]
        return [Call(_PUT, {"WebsiteConfiguration": found})]


def _rule_to_aws(rule: ApiObject) -> ApiObject:
    redirect = {"Redirect": _to_aws(rule["redirect"], _REDIRECT)}
    return {"Condition": _to_aws(rule["condition"], _CONDITION), **redirect} if "condition" in rule else redirect


def _to_aws(part: ApiObject, keys: dict[str, str]) -> ApiObject:
    return {keys[name]: text for name, text in part.items()}


def _from_aws(part: ApiObject, keys: dict[str, str]) -> ApiObject:
    return {name: part[key] for name, key in keys.items() if part.get(key) or (key in part and name in _MAY_BE_EMPTY)}


def _without_empty(value: ApiObject) -> ApiObject:
    return {name: part for name, part in value.items() if part not in (None, {}, [])}


def _parse_index(value: object, path: str) -> str:
    if value is None:
        raise invalid(path, "is missing: give it, or redirectAllRequestsTo")
    text = _parse_text(value, path)
    if "/" in text:
        raise invalid(path, "must have no slash: it is the name of a file in each folder")
    return text


def _parse_text(value: object, path: str, *, may_be_empty: bool = False) -> str:
    text = text_of(value, path)
    if len(text) > _MAX_TEXT or not (text or may_be_empty):
        raise invalid(path, f"must have {0 if may_be_empty else 1} to {_MAX_TEXT} characters")
    return text


def _parse_host(value: object, path: str) -> ApiObject:
    found = _parse_part(value, path, _HOST)
    if "hostName" not in found:
        raise invalid(f"{path}.hostName", "is missing")
    return found


def _parse_rule(value: object, path: str) -> ApiObject:
    given = fields_of(value, path, ("condition", "redirect"))
    redirect = _parse_part(given.get("redirect"), f"{path}.redirect", _REDIRECT)
    if {"replaceKeyWith", "replaceKeyPrefixWith"} <= set(redirect):
        raise invalid(f"{path}.redirect", "must have either replaceKeyWith or replaceKeyPrefixWith")
    if "condition" not in given:
        return {"redirect": redirect}
    return {"condition": _parse_part(given["condition"], f"{path}.condition", _CONDITION), "redirect": redirect}


def _parse_part(value: object, path: str, keys: dict[str, str]) -> ApiObject:
    given = fields_of(value, path, tuple(keys))
    if not given:
        raise invalid(path, f"must have one of {', '.join(keys)}")
    for name, text in given.items():
        _parse_text(text, f"{path}.{name}", may_be_empty=name in _MAY_BE_EMPTY)
        if name in _CODES and not re.fullmatch(_CODES[name][0], text):
            raise invalid(f"{path}.{name}", _CODES[name][1])
    if "protocol" in given:
        choice_of(given["protocol"], f"{path}.protocol", ("http", "https"))
    return given


SETTING = Website()
