"""Clients with small data files send the same requests to the same endpoints as botocore's own."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.utils import parse_timestamp

from runner.aws_data import SERVICES, SmallFileLoader, make_session, read_time

KEY = "AKIAIOSFODNN7EXAMPLE", "x"
REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-5", "cn-north-1", "us-gov-west-1", "xx-nowhere-1")
# A read of each service, which has no required arguments, or one.
READS: dict[str, tuple[str, dict[str, str]]] = {
    "s3": ("get_bucket_acl", {"Bucket": "photos.example"}),
    "iam": ("list_users", {}),
    "sts": ("get_caller_identity", {}),
    "resourcegroupstaggingapi": ("get_resources", {}),
    "sqs": ("list_queues", {}),
    "eks": ("list_clusters", {}),
}


@pytest.fixture(scope="module")
def makers() -> tuple[Any, Any]:
    small, stock = make_session(), boto3.session.Session(*KEY)
    small.set_credentials(*KEY)
    return small.create_client, stock.client


def request_of(make_client: Any, service: str, region: str) -> tuple[str, str, list[str]]:
    """Endpoint, host with path, and scope of the signature of a request."""
    client, (operation, arguments) = make_client(service, region_name=region), READS[service]
    url = urlsplit(client.generate_presigned_url(operation, arguments))
    query = parse_qs(url.query)
    # S3 may sign in the old way, without a scope.
    scope = query.get("X-Amz-Credential", ["/"])[0].split("/")
    return client.meta.endpoint_url, f"{url.scheme}://{url.netloc}{url.path}", [*scope[2:], *sorted(query)]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("service", READS)
def test_request_is_that_of_stock_botocore(makers: tuple[Any, Any], service: str, region: str) -> None:
    small, stock = makers
    assert request_of(small, service, region) == request_of(stock, service, region)


def test_descriptions_have_no_documentation_and_all_operations(makers: tuple[Any, Any]) -> None:
    small, stock = (make("s3", region_name="us-east-1").meta.service_model for make in makers)
    assert small.operation_names == stock.operation_names
    assert small.shape_names == stock.shape_names
    assert small.operation_model("GetBucketAcl").documentation == ""
    assert stock.operation_model("GetBucketAcl").documentation != ""


def test_equal_texts_of_a_description_are_one_object() -> None:
    shapes = make_session().get_component("data_loader").load_service_model("s3", "service-2")["shapes"]
    names = [member["shape"] for shape in shapes.values() for member in shape.get("members", {}).values()]
    assert len({id(name) for name in names}) == len(set(names)) < len(names)


def test_endpoints_are_of_the_services_in_use() -> None:
    endpoints = make_session().get_component("data_loader").load_data("endpoints")
    assert {name for item in endpoints["partitions"] for name in item["services"]} <= SERVICES
    assert {item["partition"] for item in endpoints["partitions"]} >= {"aws", "aws-cn", "aws-us-gov"}


def test_file_that_does_not_exist_is_none() -> None:
    assert SmallFileLoader().load_file("/nosuch/file") is None


TIMES: dict[str, object] = {
    "of IAM": "2026-11-27T07:00:01Z",
    "milliseconds": "2026-11-27T07:00:01.250Z",
    "nanoseconds": "2026-11-27T07:00:01.123456789Z",
    "no zone": "2026-11-27T07:00:01",
    "offset": "2026-11-27T07:00:01+02:00",
    "of a header": "Fri, 27 Nov 2026 07:00:01 GMT",
    "seconds": 1_790_000_000,
    "seconds as text": "1790000000",
    "seconds as the digits of a day": "20261127",
}


@pytest.mark.parametrize("value", TIMES.values(), ids=TIMES)
def test_time_is_that_of_botocore(value: object) -> None:
    found, stock = read_time(value), parse_timestamp(value)
    assert (found, str(found)) == (stock, str(stock))


@pytest.mark.parametrize("value", ["", "soon", "2026-13-27T07:00:01Z", "2026-11-27T07:00:60Z"])
def test_no_time_is_an_error_as_in_botocore(value: str) -> None:
    with pytest.raises(ValueError, match=r".") as stock:
        parse_timestamp(value)
    with pytest.raises(ValueError, match=r".") as found:
        read_time(value)
    assert str(found.value) == str(stock.value)


_USERS = """<GetAccountAuthorizationDetailsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
<GetAccountAuthorizationDetailsResult><IsTruncated>false</IsTruncated><UserDetailList><member>
<UserName>photos</UserName><CreateDate>2026-11-27T07:00:01Z</CreateDate>
</member></UserDetailList></GetAccountAuthorizationDetailsResult></GetAccountAuthorizationDetailsResponse>"""


def test_clients_of_the_operator_read_times_without_dateutil(makers: tuple[Any, Any]) -> None:
    """A page of 1,000 users has at least as many times, of 0.1 ms each with dateutil."""
    iam = makers[0]("iam", region_name="us-east-1")
    answer = {"status_code": 200, "headers": {}, "body": _USERS.encode()}
    shape = iam.meta.service_model.operation_model("GetAccountAuthorizationDetails").output_shape
    files: set[str] = set()
    sys.setprofile(lambda frame, _, __: files.add(frame.f_code.co_filename))
    try:
        parsed = iam._endpoint._response_parser_factory.create_parser("query").parse(answer, shape)
    finally:
        sys.setprofile(None)
    assert str(parsed["UserDetailList"][0]["CreateDate"]) == "2026-11-27 07:00:01+00:00"
    assert not [name for name in files if "dateutil" in name]
