# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Regions and partitions of AWS from the data of the installed botocore, so there is no list here to maintain.

Only botocore's ``partitions.json`` (7 KB) is read, by the public loader, once a process. A session would read
``endpoints.json`` for the same answer, which is 1.2 MB.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from .json_types import ApiObject

_DEFAULT = "aws"
_NAME = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True)
class Partition:
    """A partition: its name in ARNs, the domains of its endpoints, a region that always exists, and its regions."""

    name: str
    dns_suffix: str
    dual_stack_suffix: str
    home: str
    pattern: re.Pattern[str]
    regions: frozenset[str]


@cache
def partitions() -> dict[str, Partition]:
    """All partitions by name.

    :raises botocore.exceptions.BotoCoreError: when botocore's data is missing
    """
    import botocore.loaders

    data = botocore.loaders.create_loader().load_data("partitions")
    return {item["id"]: _partition(item) for item in data["partitions"]}


def partition_of(region: str) -> Partition:
    """The partition of a region; ``aws`` for a region that fits none, as in botocore.

    Such a region may belong to a custom endpoint, which can use any name.
    """
    found = partitions().values()
    return next(
        (item for item in found if region in item.regions),
        next((item for item in found if item.pattern.fullmatch(region)), partitions()[_DEFAULT]),
    )


def is_name_at_aws(region: str) -> bool:
    """Whether AWS can have a region of this name. Host names are the same in upper case, but signatures are not."""
    return _NAME.fullmatch(region) is not None


def is_url_of_aws(url: str) -> bool:
    """Whether a URL leads to AWS itself, by the name of its host."""
    host = urlsplit(url).hostname or ""
    suffixes = [name for item in partitions().values() for name in (item.dns_suffix, item.dual_stack_suffix)]
    return host.endswith(tuple(f".{suffix}" for suffix in suffixes if suffix))


def is_known(region: str) -> bool:
    """Whether botocore lists the region."""
    return any(region in item.regions for item in partitions().values())


def s3_host_of(region: str) -> str:
    """The host that a Service points to for a bucket in this region.

    In the partition ``aws`` it is the global name, as in the Go operator. The other partitions have no global name.
    https://docs.aws.amazon.com/general/latest/gr/s3.html
    """
    partition = partition_of(region)
    return "s3.amazonaws.com" if partition.name == _DEFAULT else f"s3.{region}.{partition.dns_suffix}"


def own_region() -> str:
    """The region that the environment sets for this process, or else AWS's first region.

    boto3, and so the operator's drift check, reads AWS_DEFAULT_REGION alone. EKS sets AWS_REGION in Pods with an IAM
    role, also where the chart's aws.region is the region of a store.
    """
    return os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or "us-east-1"


def region_of_iam(region: str, *, is_aws: bool) -> str:
    """The region that requests to IAM and STS are signed for.

    AWS has IAM in all regions of a partition. A store has one region for it, which buckets need not be in; versitygw
    refuses signatures for another one.

    :param region: the one of the request where the endpoint is AWS
    """
    return region if is_aws else own_region()


def _partition(item: ApiObject) -> Partition:
    outputs = item["outputs"]
    # The pseudo region of global services (aws-global) cannot have buckets.
    regions = frozenset(region for region in item["regions"] if not region.endswith("-global"))
    return Partition(
        name=str(item["id"]),
        dns_suffix=str(outputs["dnsSuffix"]),
        dual_stack_suffix=str(outputs["dualStackDnsSuffix"]),
        home=str(outputs["implicitGlobalRegion"]),
        pattern=re.compile(str(item["regionRegex"])),
        regions=regions,
    )
