"""The checks that configurations with an id share: of the id, the filter and the destination."""

from __future__ import annotations

import re
from collections.abc import Collection
from xml.etree.ElementTree import Element

from .calls import Call
from .configurations import model, stored
from .configurations.model import RefusalError, invalid, malformed, text_of
from .rules import find_bucket

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketMetricsConfiguration.html (TooManyConfigurations); the
# limit is the same for metrics, analytics, intelligent-tiering and inventory.
MAX_CONFIGURATIONS = 1000
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BUCKET_ARN = re.compile(r"arn:aws[a-z-]*:s3:::([a-z0-9.-]{3,63})")


def check_children(element: Element, required: Collection[str], optional: Collection[str] = ()) -> None:
    """Refuse an element that lacks a child, or has another one.

    :raises RefusalError: MalformedXML
    """
    names = {child.tag for child in element}
    if not names.issuperset(required) or not names.issubset({*required, *optional}):
        raise malformed()


def check_id(call: Call, root: Element, query: str) -> None:
    """Refuse an id that is not that of the query, or that a configuration cannot have, and one too many.

    :param query: the configuration's name in the query
    :raises RefusalError: IdMismatch, InvalidConfigurationId or TooManyConfigurations
    """
    name = text_of(root, "Id")
    if name != call.query.get("id", ""):
        raise invalid("Document ID does not match the specified configuration ID.", "IdMismatch")
    if not _ID.fullmatch(name):
        raise invalid("The specified configuration id is invalid.", "InvalidConfigurationId")
    present = stored(call.bucket, query)
    if name not in present and len(present) >= MAX_CONFIGURATIONS:
        raise invalid("You have reached the limit of configurations of this type.", "TooManyConfigurations")


def check_filter(root: Element, *predicates: str) -> None:
    """Refuse a filter that is not exactly one predicate, or one And of at least two.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_MetricsFilter.html: "A filter must be a prefix, an object tag,
    an access point ARN, or a conjunction". So there is no empty one, as lifecycle rules have.
    :raises RefusalError: MalformedXML
    """
    found = root.find("Filter")
    if found is not None and len(found) == 0:
        raise malformed()
    model.check_filter(root, *predicates)


def check_destination(call: Call, destination: Element) -> None:
    """Refuse a target that is not the ARN of a bucket in the region of this bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketInventoryConfiguration.html: "The destination bucket
    must be in the same AWS Region as the source bucket." What moto does not have is refused, too.
    :raises RefusalError: InvalidS3DestinationBucket
    """
    code, named = "InvalidS3DestinationBucket", _BUCKET_ARN.fullmatch(text_of(destination, "Bucket"))
    if named is None:
        raise invalid("Invalid bucket ARN.", code)
    source, target = find_bucket(call.bucket), find_bucket(named[1])
    if source is None or target is None:
        raise RefusalError(400, code, "The destination bucket does not exist.")
    if source[1].region_name != target[1].region_name:
        raise invalid("The destination bucket is in another region.", code)
