"""Regions and partitions come from the data of botocore."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, InvalidRegionError
from botocore.utils import validate_region_name

from s3bucket import children, regions
from s3bucket.capabilities import Capabilities
from s3bucket.errors import NoSuchRegionError, ReconcileError, is_nowhere
from s3bucket.module import make_iam_client
from s3bucket.observe import ask_account
from s3bucket.role_settings import RoleSettings
from s3bucket.spec import wanted_of
from tests.support.world import DEFAULTS, ROLE

STORE = Capabilities(is_aws=False, account="9")


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
    ("region", "is_valid", "is_valid_at_aws"),
    [
        ("eu-west-1", True, True),
        ("garage", True, True),
        ("RegionOne", True, False),
        ("EU-West-1", True, False),
        ("a" * 63, True, False),
        ("a" * 64, False, False),
        ("12", False, False),
        ("eu-west-", False, False),
        ("eu_west", False, False),
    ],
)
def test_region_of_a_store_has_any_name_that_botocore_can_sign_for(
    region: str, is_valid: bool, is_valid_at_aws: bool
) -> None:
    cr = {"metadata": {"name": "photos", "namespace": "team"}, "spec": {"region": region, "bucketName": "photos"}}
    try:
        validate_region_name(region)
        wanted = wanted_of(cr, "cluster", DEFAULTS)
    except (InvalidRegionError, ReconcileError):
        assert not is_valid
        with pytest.raises(InvalidRegionError):
            validate_region_name(region)
        with pytest.raises(ReconcileError, match=r"spec\.region: is not the name of a region: 1 to 63 letters"):
            wanted_of(cr, "cluster", DEFAULTS)
        return
    assert is_valid
    sts = SimpleNamespace(get_caller_identity=lambda: {"Account": "123456789012"})
    assert ask_account(wanted, sts, None, STORE) == "9"
    if is_valid_at_aws:
        assert ask_account(wanted, sts) == "123456789012"
        return
    with pytest.raises(NoSuchRegionError, match="not the name of a region of AWS") as refused:
        ask_account(wanted, sts)
    # A deletion asks there, as nothing can be in that region.
    assert (refused.value.reason, refused.value.elsewhere) == ("InvalidSpec", "us-east-1")


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


@pytest.mark.parametrize(
    ("settings", "endpoint", "host"),
    [
        # At AWS the region decides, whatever endpoint the operator has.
        ({}, "https://vpce-1.s3.eu-west-1.vpce.amazonaws.com", ""),
        ({"provider": "Other"}, "https://Store.example:9000/s3", "store.example"),
        ({"provider": "Other"}, "http://10.0.0.1:9000", "10.0.0.1"),
        ({"provider": "Other"}, "http://[fd00::1]:9000", "fd00::1"),
        ({"provider": "Other", "service_external_name": "public.example"}, "http://store:1", "public.example"),
    ],
)
def test_service_points_to_the_store(settings: dict[str, str], endpoint: str, host: str) -> None:
    assert RoleSettings(**settings).external_name_at(endpoint) == host  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("provider", "environment", "region"),
    [
        ("", {"AWS_DEFAULT_REGION": "home"}, "RegionOne"),
        ("Other", {"AWS_DEFAULT_REGION": "home"}, "home"),
        # EKS sets the other variable. The drift check does not read it.
        ("Other", {"AWS_DEFAULT_REGION": "home", "AWS_REGION": "of-the-node"}, "home"),
        ("Other", {"AWS_REGION": "first"}, "first"),
        ("Other", {}, "us-east-1"),
    ],
)
def test_iam_of_a_store_is_asked_in_the_region_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, provider: str, environment: dict[str, str], region: str
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    module = SimpleNamespace(
        region="RegionOne", client=lambda service, region: boto3.client(service, region, endpoint_url="http://store")
    )
    found = make_iam_client(module, RoleSettings(provider=provider))  # type: ignore[arg-type]
    assert found._request_signer._region_name == region
