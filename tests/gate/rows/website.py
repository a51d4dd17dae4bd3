"""Rows of website."""

from __future__ import annotations

from typing import Any

from tests.gate.rows import Row


def _website(result: dict[str, Any] | str, **parts: Any) -> Row:
    return Row("put_bucket_website", {"WebsiteConfiguration": parts}, "get_bucket_website", result)


def _rules(result: str, *rules: dict[str, Any]) -> Row:
    return _website(result, IndexDocument=_INDEX, RoutingRules=list(rules))


def _redirect(result: str, **redirect: str) -> Row:
    return _rules(result, {"Redirect": redirect})


_INDEX = {"Suffix": "index.html"}
_HOST = {"HostName": "www.example.com"}
_WHOLE = {
    "IndexDocument": _INDEX,
    "ErrorDocument": {"Key": "error.html"},
    "RoutingRules": [{"Condition": {"KeyPrefixEquals": ""}, "Redirect": {"ReplaceKeyPrefixWith": ""}}],
}
ROWS = {
    "none": Row("delete_bucket_website", {}, "get_bucket_location", {"LocationConstraint": None}),
    "whole": _website(_WHOLE, **_WHOLE),
    "redirect-all": _website({"RedirectAllRequestsTo": _HOST}, RedirectAllRequestsTo=_HOST),
    "redirect-all-and-index": _website("InvalidArgument", RedirectAllRequestsTo=_HOST, IndexDocument=_INDEX),
    "redirect-all-to-nowhere": _website("MalformedXML", RedirectAllRequestsTo={"HostName": ""}),
    "redirect-all-protocol": _website("InvalidRequest", RedirectAllRequestsTo={**_HOST, "Protocol": "ftp"}),
    "empty": _website("InvalidArgument"),
    "error-document-only": _website("InvalidArgument", ErrorDocument={"Key": "error.html"}),
    "index-with-slash": _website("InvalidArgument", IndexDocument={"Suffix": "a/index.html"}),
    "index-empty": _website("InvalidArgument", IndexDocument={"Suffix": ""}),
    "rules-none": _rules("MalformedXML"),
    "rules-many": _rules("InvalidRequest", *(51 * [{"Redirect": _HOST}])),
    "condition-empty": _rules("InvalidRequest", {"Condition": {}, "Redirect": _HOST}),
    "error-code": _rules("InvalidRequest", {"Condition": {"HttpErrorCodeReturnedEquals": "302"}, "Redirect": _HOST}),
    "to-nowhere": _redirect("MalformedXML"),
    "protocol": _redirect("InvalidRequest", Protocol="ftp"),
    "both-keys": _redirect("InvalidRequest", ReplaceKeyWith="a", ReplaceKeyPrefixWith="b"),
    "redirect-code": _redirect("InvalidRequest", HttpRedirectCode="300"),
}
