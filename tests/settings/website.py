"""website."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

CASES = {
    "example": Case(
        {
            "IndexDocument": {"Suffix": "index.html"},
            "ErrorDocument": {"Key": "error.html"},
            "RoutingRules": [
                {
                    "Condition": {"KeyPrefixEquals": "docs/"},
                    "Redirect": {"ReplaceKeyPrefixWith": "documents/", "HttpRedirectCode": "302"},
                },
                {
                    "Condition": {"HttpErrorCodeReturnedEquals": "404"},
                    "Redirect": {"HostName": "www.example.com", "Protocol": "https", "ReplaceKeyWith": "missing.html"},
                },
            ],
        }
    ),
    "redirect-all": Case(
        {"RedirectAllRequestsTo": {"HostName": "www.example.com", "Protocol": "https"}},
        {"website": {"redirectAllRequestsTo": {"hostName": "www.example.com", "protocol": "https"}}},
    ),
    # To remove a prefix, it is replaced by an empty text.
    "empty-texts": Case(
        {
            "IndexDocument": {"Suffix": "index.html"},
            "RoutingRules": [{"Condition": {"KeyPrefixEquals": ""}, "Redirect": {"ReplaceKeyPrefixWith": ""}}],
        },
        {
            "website": {
                "indexDocument": "index.html",
                "routingRules": [{"condition": {"keyPrefixEquals": ""}, "redirect": {"replaceKeyPrefixWith": ""}}],
            }
        },
    ),
    "index-only": Case(
        {"IndexDocument": {"Suffix": "index.html"}}, {"website": {"indexDocument": "index.html", "routingRules": []}}
    ),
}
CLEARED = "NoSuchWebsiteConfiguration"


def _put(subject: Subject, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the configuration that the bucket has."""
    found = subject.world.s3.get_bucket_website(Bucket=subject.bucket)
    del found["ResponseMetadata"]
    change(found)
    subject.world.s3.put_bucket_website(Bucket=subject.bucket, WebsiteConfiguration=found)


def _row(change: Callable[[dict[str, Any]], Any]) -> Row:
    return Row("website", "website", lambda s: _put(s, change))


def _redirect_all(found: dict[str, Any]) -> None:
    found.clear()
    found["RedirectAllRequestsTo"] = {"HostName": "evil.example"}


ROWS = {
    "website-deleted": Row("website", "website", lambda s: s.world.s3.delete_bucket_website(Bucket=s.bucket)),
    "website-redirected": _row(_redirect_all),
    "website-index": _row(lambda found: found["IndexDocument"].update(Suffix="home.html")),
    "website-no-error-document": _row(lambda found: found.pop("ErrorDocument")),
    "website-no-rules": _row(lambda found: found.pop("RoutingRules")),
    # The first rule that matches counts.
    "website-rules-in-another-order": _row(lambda found: found["RoutingRules"].reverse()),
    "website-condition-widened": _row(lambda found: found["RoutingRules"][0].pop("Condition")),
    "website-host": _row(lambda found: found["RoutingRules"][1]["Redirect"].update(HostName="evil.example")),
    "website-code": _row(lambda found: found["RoutingRules"][0]["Redirect"].pop("HttpRedirectCode")),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {
    "website-empty-protocol": lambda s: _put(s, lambda found: found["RoutingRules"][0]["Redirect"].update(Protocol="")),
}


def _refused(website: Any, message: str) -> tuple[dict[str, Any], str]:
    return {"website": website}, f"spec.website{message}"


def _refused_rule(rule: dict[str, Any], message: str) -> tuple[dict[str, Any], str]:
    return _refused({"indexDocument": "i", "routingRules": [rule]}, f".routingRules[0]{message}")


_TO_HOST = {"redirect": {"hostName": "www.example.com"}}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "website-text": _refused("index.html", ": must be an object"),
    "website-typo": _refused({"indexDocument": "i", "rules": []}, ".rules: there is no such field: it must be one"),
    "website-empty": _refused({}, ".indexDocument: is missing: give it, or redirectAllRequestsTo"),
    "website-rules-without-index": _refused({"routingRules": [_TO_HOST]}, ".indexDocument: is missing"),
    "website-index-with-slash": _refused({"indexDocument": "a/i"}, ".indexDocument: must have no slash"),
    "website-index-empty": _refused({"indexDocument": ""}, ".indexDocument: must have 1 to 1024 characters"),
    "website-error-document-empty": _refused({"indexDocument": "i", "errorDocument": ""},
        ".errorDocument: must have 1"),
    "website-redirect-and-index": _refused(
        {"indexDocument": "i", "redirectAllRequestsTo": {"hostName": "a"}},
        ".redirectAllRequestsTo: excludes all other fields"),
    "website-redirect-without-host": _refused({"redirectAllRequestsTo": {"protocol": "http"}},
        ".redirectAllRequestsTo.hostName: is missing"),
    "website-protocol": _refused({"redirectAllRequestsTo": {"hostName": "a", "protocol": "ftp"}},
        ".redirectAllRequestsTo.protocol: must be one of http, https"),
    "website-rules-many": _refused({"indexDocument": "i", "routingRules": 51 * [_TO_HOST]},
        ".routingRules: must be a list of at most 50 rules"),
    "website-rule-without-redirect": _refused_rule({"condition": {"keyPrefixEquals": "a"}}, ".redirect: is missing"),
    "website-rule-to-nowhere": _refused_rule({"redirect": {}}, ".redirect: must have one of hostName"),
    "website-rule-condition-empty": _refused_rule({"condition": {}, **_TO_HOST},
        ".condition: must have one of keyPrefixEquals"),
    "website-rule-both-keys": _refused_rule({"redirect": {"replaceKeyWith": "a", "replaceKeyPrefixWith": "b"}},
        ".redirect: must have either replaceKeyWith or replaceKeyPrefixWith"),
    "website-rule-code-number": _refused_rule({"redirect": {"httpRedirectCode": 301}},
        ".redirect.httpRedirectCode: must be a string: put it in quotes"),
    "website-rule-code": _refused_rule({"redirect": {"httpRedirectCode": "300"}},
        ".redirect.httpRedirectCode: must be an HTTP code in quotes, from 301"),
    "website-rule-error-code": _refused_rule({"condition": {"httpErrorCodeReturnedEquals": "302"}, **_TO_HOST},
        ".condition.httpErrorCodeReturnedEquals: must be an HTTP code in quotes, from 400"),
}  # fmt: skip
