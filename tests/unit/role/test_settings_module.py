"""The module that writes settings: which requests it sends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from s3bucket.role_settings import RoleSettings
from s3bucket.setting import Comparison
from s3bucket.settings import BY_NAME
from s3bucket.spec import MAX_BUCKET_TAGS, Wanted, wanted_of
from tests.support.modules import load_module

BUCKET = {"Bucket": "photos-bucket", "ExpectedBucketOwner": "123456789012"}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    return load_module("s3bucket_settings", monkeypatch)


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", "eu-west-1", aws_access_key_id="id", aws_secret_access_key="key")


def write(module: Any, s3: Any, wanted: Wanted, arguments: dict[str, Any]) -> tuple[Any, list[str]]:
    """Return the problem, and the operations that were requested."""
    requests: list[str] = []
    s3.meta.events.register("provide-client-params.s3", lambda model, **_: requests.append(model.name))
    params = {"bucket_owner": BUCKET["ExpectedBucketOwner"], "settings": "{}"}
    owner = SimpleNamespace(client=lambda name, **_: s3, params=params, region="eu-west-1")
    return module.Settings(owner, wanted, RoleSettings()).write(arguments), requests


def want(defaults: dict[str, Any], **spec: Any) -> Wanted:
    spec = {"region": "eu-west-1", "bucketName": BUCKET["Bucket"], **spec}
    return wanted_of({"metadata": {"name": "photos", "namespace": "team", "uid": "u"}, "spec": spec}, "c", defaults)


def test_optional_setting_without_room_for_its_record_is_not_written(
    defaults: dict[str, Any], module: Any, s3: Any
) -> None:
    """It could not be cleared once it is removed from the spec, and a lifecycle rule would go on deleting."""
    wanted = want(defaults, requesterPays=True, enableVersioning=True)
    new = Comparison(wanted, {"requester_pays": False, "versioning": "", "object_lock": False})
    arguments = {name: BY_NAME[name].argument(new) for name in ("requester_pays", "versioning")}
    tag_set = [{"Key": f"tag-{number}", "Value": ""} for number in range(MAX_BUCKET_TAGS)]
    enabled = {"VersioningConfiguration": {"Status": "Enabled"}}
    with Stubber(s3) as aws:
        aws.add_response("get_bucket_tagging", {"TagSet": tag_set}, BUCKET)
        aws.add_response("put_bucket_versioning", {}, {**BUCKET, **enabled})
        problem, requests = write(module, s3, wanted, arguments)
    assert requests == ["GetBucketTagging", "PutBucketVersioning"]
    assert problem.message.startswith("spec.tags: bucket photos-bucket would have 51 tags")


def test_configuration_that_is_deleted_already_does_not_keep_the_others_from_being_written(
    defaults: dict[str, Any], module: Any, s3: Any
) -> None:
    wanted = want(defaults, metrics=[{"id": "new"}])
    record = [{"Key": key, "Value": value} for key, value in wanted.bucket_tags.items()]
    arguments = {"metrics": BY_NAME["metrics"].argument(Comparison(wanted, {"metrics": [{"id": "old"}]}))}
    with Stubber(s3) as aws:
        aws.add_response("get_bucket_tagging", {"TagSet": record}, BUCKET)
        aws.add_client_error("delete_bucket_metrics_configuration", "NoSuchConfiguration", http_status_code=404)
        aws.add_response("put_bucket_metrics_configuration", {})
        problem, requests = write(module, s3, wanted, arguments)
    expected = ["GetBucketTagging", "DeleteBucketMetricsConfiguration", "PutBucketMetricsConfiguration"]
    assert (problem, requests) == (None, expected)
