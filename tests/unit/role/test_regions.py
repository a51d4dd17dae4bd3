"""Regions and partitions come from the data of botocore."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError

from s3bucket import children, regions
from s3bucket.errors import is_nowhere
from tests.support.world import ROLE


@pytest.mark.parametrize(
    ("region", "partition", "host"),
    [
        ("eu-west-1", "aws", "s3.amazonaws.com"),
        ("cn-north-1", "aws-cn", "s3.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "s3.us-gov-west-1.amazonaws.com"),
        ("eusc-de-east-1", "aws-eusc", "s3.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "aws-iso", "s3.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "aws-iso-b", "s3.us-isob-east-1.sc2s.sgov.gov"),
        ("eu-isoe-west-1", "aws-iso-e", "s3.eu-isoe-west-1.cloud.adc-e.uk"),
        # Not yet in botocore's list, but with the form of a partition's regions; and with no such form, as other object
        # stores use.
        ("us-iso-north-9", "aws-iso", "s3.us-iso-north-9.c2s.ic.gov"),
        ("garage", "aws", "s3.amazonaws.com"),
    ],
)
def test_region_has_its_partition_and_host(region: str, partition: str, host: str) -> None:
    assert (regions.partition_of(region).name, regions.s3_host_of(region)) == (partition, host)


def test_home_region_is_in_its_partition() -> None:
    for partition in regions.partitions().values():
        assert partition.home in partition.regions
        assert regions.partition_of(partition.home) is partition


@pytest.mark.parametrize(("region", "is_known"), [("eusc-de-east-1", True), ("aws-global", False), ("moon-1", False)])
def test_known_region_is_one_where_a_bucket_may_be(region: str, is_known: bool) -> None:
    assert regions.is_known(region) is is_known


@pytest.mark.parametrize(
    ("region", "host", "is_blamed"),
    [
        ("xx-nowhere-1", "sts.xx-nowhere-1.amazonaws.com", True),
        ("us-iso-north-9", "bucket.s3.us-iso-north-9.c2s.ic.gov", True),
        ("xx-nowhere-1", "s3.dualstack.xx-nowhere-1.amazonaws.com", True),
        ("xx-nowhere-1", "sts.xx-nowhere-1.api.aws", True),
        ("us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov", False),
        ("xx-nowhere-1", "sts.xx-nowhere-1.amazonaws.com.example", False),
        ("xx-nowhere-1", "127.0.0.1", False),
    ],
)
def test_region_is_blamed_only_if_unknown_and_at_awss_endpoint(region: str, host: str, is_blamed: bool) -> None:
    error = EndpointConnectionError(endpoint_url=f"https://{host}:443/")
    assert is_nowhere(region, error) is is_blamed


def test_only_the_small_file_is_read() -> None:
    # endpoints.json would take 10 MB in each process.
    script = (
        "import botocore.loaders as l; read = []; old = l.JSONFileLoader.load_file\n"
        "l.JSONFileLoader.load_file = lambda self, path: (read.append(path), old(self, path))[1]\n"
        "from s3bucket import regions; regions.partition_of('eu-west-1'); regions.is_known('x')\n"
        "print([path.rpartition('/')[2] for path in read])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROLE / "module_utils")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "['partitions']"


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("", "s3.eusc-de-east-1.amazonaws.eu"),
        ("Minio.Storage", "minio.storage"),
        ("minio.storage.", "minio.storage"),
        ("10.0.0.1", ""),
        ("::1", ""),
        ("[FD00::1]", ""),
        ("10.0.0.1.nip.io", "10.0.0.1.nip.io"),
    ],
)
def test_service_points_to_a_dns_name_or_is_not_there(given: str, host: str) -> None:
    wanted = SimpleNamespace(service=True, region="eusc-de-east-1")
    assert children.service_host(wanted, given) == host
    assert children.service_host(SimpleNamespace(service=False, region="eu-west-1"), given) == ""
