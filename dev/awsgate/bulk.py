"""Bulk reads that moto answers otherwise than AWS does: ListBuckets by pages, and GetResources of the Tagging API.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html: a request with a parameter is answered with the
region of each bucket, and in pages.
https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html: only resources of the
request's region. moto returns those of all regions.
"""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

from moto.s3.models import FakeBucket, s3_backends

from .answers import Answer
from .calls import ACCOUNT, Call

_S3 = "http://s3.amazonaws.com/doc/2006-03-01/"
_PAGE_OF_BUCKETS = 10_000
_PAGE_OF_RESOURCES = 50


class FrozenTags(dict[str, dict[str, str]]):
    """Buckets with the tags that GetResources shows: those of the time when the bucket was added. It lags behind S3."""

    def add(self, name: str) -> None:
        """From now on the bucket is shown as it is now, also when it is deleted."""
        self[name] = _tags_of(_buckets()[name])

    def discard(self, name: str) -> None:
        """From now on the bucket is shown as it is."""
        self.pop(name, None)


FROZEN_TAGS = FrozenTags()
"""While a bucket is in it, GetResources shows its tags as they were."""


def list_in_pages(call: Call, answer: Answer) -> None:
    """Answer a ListBuckets with parameters as AWS does."""
    if call.action != "ListBuckets" or not call.query:
        return
    buckets = _buckets(call.account)
    token, prefix = call.query.get("continuation-token", ""), call.query.get("prefix", "")
    names = sorted(name for name in buckets if name.startswith(prefix) and name > token)
    size = int(call.query.get("max-buckets", _PAGE_OF_BUCKETS))
    items = "".join(
        f"<Bucket><Name>{name}</Name><CreationDate>{buckets[name].creation_date_ISO8601}</CreationDate>"
        f"<BucketRegion>{buckets[name].region_name}</BucketRegion></Bucket>"
        for name in names[:size]
    )
    more = f"<ContinuationToken>{escape(names[size - 1])}</ContinuationToken>" if len(names) > size else ""
    body = f'<ListAllMyBucketsResult xmlns="{_S3}"><Owner><ID>owner</ID></Owner><Buckets>{items}</Buckets>{more}'
    answer.body = f"{body}</ListAllMyBucketsResult>".encode()


def answer_resources(call: Call) -> Answer | None:
    """The buckets of the region with all the requested tags, in pages; None for requests to other services."""
    if call.service != "tagging":
        return None
    asked = json.loads(call.body)
    first, size = int(asked.get("PaginationToken") or 0), asked.get("ResourcesPerPage", _PAGE_OF_RESOURCES)
    found = sorted(
        (name, tags) for name, tags in _tags_in(call).items() if _has_tags(tags, asked.get("TagFilters", []))
    )
    page = [
        {"ResourceARN": f"arn:aws:s3:::{name}", "Tags": [{"Key": key, "Value": text} for key, text in tags.items()]}
        for name, tags in found[first : first + size]
    ]
    token = str(first + size) if len(found) > first + size else ""
    body = json.dumps({"PaginationToken": token, "ResourceTagMappingList": page})
    return Answer(200, body.encode(), {"Content-Type": "application/x-amz-json-1.1"})


def _tags_in(call: Call) -> dict[str, dict[str, str]]:
    shown = {
        name: _tags_of(bucket) for name, bucket in _buckets(call.account).items() if bucket.region_name == call.region
    }
    return {**shown, **FROZEN_TAGS}


def _has_tags(tags: dict[str, str], filters: list[dict[str, Any]]) -> bool:
    return all(one["Key"] in tags and tags[one["Key"]] in one.get("Values", [tags[one["Key"]]]) for one in filters)


def _buckets(account: str = ACCOUNT) -> dict[str, FakeBucket]:
    found: dict[str, FakeBucket] = dict(s3_backends[account]["aws"].buckets)
    return found


def _tags_of(bucket: FakeBucket) -> dict[str, str]:
    tags: dict[str, str] = s3_backends[bucket.account_id]["aws"].tagger.get_tag_dict_for_resource(bucket.arn)
    return tags
