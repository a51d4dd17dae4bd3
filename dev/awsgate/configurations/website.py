"""Website hosting. moto checks almost nothing.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Redirect.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-page-redirect.html.
Where these have no code, it is the one that users of AWS report.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from ..calls import Call
from .model import Configuration, invalid, malformed, not_set, text_of

_MAX_RULES = 50
_PROTOCOLS = ("", "http", "https")


def _accept(_: Call, root: Element) -> Element:
    redirect = root.find("RedirectAllRequestsTo")
    if redirect is not None:
        if len(root) > 1:
            raise invalid("RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.")
        if not text_of(redirect, "HostName"):
            raise malformed()
        _check_protocol(redirect)
        return root
    if root.find("IndexDocument") is None:
        raise invalid("A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty")
    suffix = text_of(root, "IndexDocument/Suffix")
    if not suffix or "/" in suffix:
        raise invalid("The IndexDocument Suffix is not well formed")
    if root.find("ErrorDocument") is not None and not text_of(root, "ErrorDocument/Key"):
        raise malformed()
    _check_rules(root)
    return root


def _check_protocol(parent: Element) -> None:
    if text_of(parent, "Protocol") not in _PROTOCOLS:
        text = "Invalid protocol, protocol can be http or https."
        raise invalid(text, "InvalidRequest")


def _check_rules(root: Element) -> None:
    rules = root.findall("RoutingRules/RoutingRule")
    if root.find("RoutingRules") is not None and not rules:
        raise malformed()
    if len(rules) > _MAX_RULES:
        text = (
            f"{len(rules)} routing rules provided, the number of routing rules in a website configuration is limited to"
        )
        raise invalid(f"{text} {_MAX_RULES}.", "InvalidRequest")
    for rule in rules:
        condition, redirect = rule.find("Condition"), rule.find("Redirect")
        if condition is not None and not len(condition):
            raise invalid("Condition cannot be empty.", "InvalidRequest")
        if redirect is None or not len(redirect):
            raise malformed()
        _check_redirect(redirect)
        code = text_of(rule, "Condition/HttpErrorCodeReturnedEquals", "404")
        if not re.fullmatch("[45][0-9][0-9]", code):
            text = f"The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX."
            raise invalid(text, "InvalidRequest")


def _check_redirect(redirect: Element) -> None:
    _check_protocol(redirect)
    if redirect.find("ReplaceKeyWith") is not None and redirect.find("ReplaceKeyPrefixWith") is not None:
        raise invalid("You can only define ReplaceKeyPrefix or ReplaceKey but not both.", "InvalidRequest")
    code = text_of(redirect, "HttpRedirectCode", "301")
    if not re.fullmatch("3[0-9][0-9]", code) or code == "300":
        text = f"The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300."
        raise invalid(text, "InvalidRequest")


CONFIGURATION = Configuration(
    "website",
    not_set("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
    _accept,
)
