# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Regions and partitions of AWS, as the installed botocore knows them: no list here goes out of date.

Only botocore's ``partitions.json`` is read (7 KB), by the public loader, once a process: ``endpoints.json``, which a
session reads to answer the same, is 1.2 MB.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache

from .json_types import ApiObject

_DEFAULT = "aws"


@dataclass(frozen=True)
class Partition:
    """A partition: its name in ARNs, the domains of its endpoints, a region that there surely is, and its regions."""

    name: str
    dns_suffix: str
    dual_stack_suffix: str
    home: str
    pattern: re.Pattern[str]
    regions: frozenset[str]


@cache
def partitions() -> dict[str, Partition]:
    """All partitions by name.

    :raises botocore.exceptions.BotoCoreError: when botocore's data is not there
    """
    import botocore.loaders

    data = botocore.loaders.create_loader().load_data("partitions")
    return {item["id"]: _partition(item) for item in data["partitions"]}


def partition_of(region: str) -> Partition:
    """The partition of a region; ``aws`` for one that fits none, as botocore takes it.

    Such a region may be one that a custom endpoint serves, whatever its name.
    """
    found = partitions().values()
    return next(
        (item for item in found if region in item.regions),
        next((item for item in found if item.pattern.fullmatch(region)), partitions()[_DEFAULT]),
    )


def is_known(region: str) -> bool:
    """Whether botocore lists the region."""
    return any(region in item.regions for item in partitions().values())


def s3_host_of(region: str) -> str:
    """The host that a Service points to for a bucket of this region.

    In the partition ``aws`` the global name, as the Go operator wrote it; the others have none.
    https://docs.aws.amazon.com/general/latest/gr/s3.html
    """
    partition = partition_of(region)
    return "s3.amazonaws.com" if partition.name == _DEFAULT else f"s3.{region}.{partition.dns_suffix}"


def own_region() -> str:
    """The region that the environment sets for this process, or AWS's first."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _partition(item: ApiObject) -> Partition:
    outputs = item["outputs"]
    # The pseudo region of global services (aws-global) is not one where a bucket may be.
    regions = frozenset(region for region in item["regions"] if not region.endswith("-global"))
    return Partition(
        name=str(item["id"]),
        dns_suffix=str(outputs["dnsSuffix"]),
        dual_stack_suffix=str(outputs["dualStackDnsSuffix"]),
        home=str(outputs["implicitGlobalRegion"]),
        pattern=re.compile(str(item["regionRegex"])),
        regions=regions,
    )
