"""The configurations of a bucket that moto lacks or changes: stored and returned here, as AWS does.

One file for each: it ends with ``CONFIGURATION``. A request for one never reaches moto, which takes ``DELETE ?metrics``
for DeleteBucket and ``PUT ?metrics`` for CreateBucket.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ..answers import Answer, error
from ..calls import Call
from ..rules import find_bucket
from .model import Configuration, RefusalError, Stored

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_PAGE = 100


@cache
def configurations() -> dict[str, Configuration]:
    """Return each configuration by its name in the query, and by those of its parts."""
    names = sorted(item.name for item in pkgutil.iter_modules(__path__) if item.name != "model")
    found = (importlib.import_module(f"{__name__}.{name}").CONFIGURATION for name in names)
    return {query: item for item in found for query in (item.query, *item.parts)}


# By bucket, then by the name in the query. A single configuration has the id "".
_STORED: dict[str, dict[str, Stored]] = {}


def stored(bucket: str, query: str) -> Stored:
    """Return what a bucket has of one configuration, by id. A change of it changes the bucket."""
    return _STORED.setdefault(bucket, {}).setdefault(query, {})


def forget(bucket: str = "") -> None:
    """Forget the configurations of a bucket, or of all."""
    if bucket:
        _STORED.pop(bucket, None)
    else:
        _STORED.clear()


def answer_configuration(call: Call) -> Answer | None:
    """Store or return a configuration; None for other requests."""
    found = next((item for name, item in configurations().items() if name in call.query), None)
    if call.service != "s3" or call.key or not call.bucket or found is None:
        return None
    if find_bucket(call.bucket) is None:
        return error(call, 404, "NoSuchBucket", "The specified bucket does not exist")
    try:
        return _answer(call, found)
    except RefusalError as refusal:
        return error(call, refusal.status, refusal.code, refusal.message, refusal.details)


def refuse_tagging_with_abac(call: Call) -> Answer | None:
    """With ABAC, tags are written by S3 Control only. The documentation does not name the error code.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html
    """
    if call.action not in ("PutBucketTagging", "DeleteBucketTagging"):
        return None
    found = stored(call.bucket, "abac").get("")
    if found is None or found.findtext("Status") != "Enabled":
        return None
    return error(call, 400, "InvalidRequest", "ABAC is enabled: use TagResource and UntagResource")


def keep_versions_under_replication(call: Call) -> Answer | None:
    """Versioning cannot be suspended while there is a replication configuration.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-requirements.html
    """
    if call.action != "PutBucketVersioning" or b"Suspended" not in call.body or not stored(call.bucket, "replication"):
        return None
    message = "A replication configuration is present on this bucket, so you cannot change the versioning state."
    return error(call, 409, "InvalidBucketState", message)


def _answer(call: Call, configuration: Configuration) -> Answer:
    values, name = stored(call.bucket, configuration.query), call.query.get("id", "")
    part = next((change for query, change in configuration.parts.items() if query in call.query), None)
    if part is not None:
        part(call, values[name] if name in values else configuration.unset(call), parse(call.body))
        return Answer(200)
    if call.action.startswith("Put") or call.action.startswith(("Create", "Update")):
        values[name] = configuration.accept(call, parse(call.body))
        return Answer(200)
    if call.action.startswith("Delete"):
        if name and name not in values:
            raise RefusalError(404, "NoSuchConfiguration", "The specified configuration does not exist.")
        configuration.delete(call)
        values.pop(name, None)
        return Answer(204)
    if configuration.is_list and not name:
        return _xml(_page(call, configuration, values))
    answer = _xml(configuration.show(call, values[name]) if name in values else configuration.unset(call))
    answer.headers |= configuration.headers(call)
    return answer


def _page(call: Call, configuration: Configuration, values: Stored) -> Element:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBucketMetricsConfigurations.html: pages of 100.
    names = sorted(name for name in values if name > call.query.get("continuation-token", ""))
    root = Element(configuration.list_root)
    for name in names[:_PAGE]:
        root.append(values[name])
    is_truncated = len(names) > _PAGE
    ElementTree.SubElement(root, "IsTruncated").text = str(is_truncated).lower()
    if is_truncated:
        ElementTree.SubElement(root, "NextContinuationToken").text = names[_PAGE - 1]
    return root


def parse(body: bytes) -> Element:
    """Return the document of a request without its namespace.

    :raises RefusalError: MalformedXML
    """
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as problem:
        raise RefusalError(400, "MalformedXML", "The XML you provided was not well-formed") from problem
    for item in _all(root):
        item.tag = item.tag.rpartition("}")[2]
    return root


def _all(root: Element) -> Iterator[Element]:
    return iter(list(root.iter()))


def _xml(root: Element) -> Answer:
    text = ElementTree.tostring(root, encoding="unicode")
    head, _, rest = text.partition(root.tag)
    return Answer(200, f'{head}{root.tag} xmlns="{_NAMESPACE}"{rest}'.encode(), {"Content-Type": "application/xml"})


BEFORE = (refuse_tagging_with_abac, keep_versions_under_replication, answer_configuration)
"""Rules before moto answers."""
