"""The module that writes settings: without a record of an optional setting, the setting is not written."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from ansible import module_utils
from botocore.stub import Stubber

from s3bucket.setting import Comparison
from s3bucket.settings import BY_NAME
from s3bucket.spec import MAX_BUCKET_TAGS, wanted_of
from tests.support.world import ROLE

BUCKET = {"Bucket": "photos-bucket", "ExpectedBucketOwner": "123456789012"}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module_utils, "__path__", [*module_utils.__path__, str(ROLE / "module_utils")])
    spec = importlib.util.spec_from_file_location("s3bucket_settings", ROLE / "library" / "s3bucket_settings.py")
    assert spec is not None and spec.loader is not None  # noqa: PT018
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_optional_setting_without_room_for_its_record_is_not_written(defaults: dict[str, Any], module: Any) -> None:
    """It could not be cleared once it is removed from the spec, and a lifecycle rule would go on deleting."""
    spec = {"region": "eu-west-1", "bucketName": BUCKET["Bucket"], "requesterPays": True, "enableVersioning": True}
    wanted = wanted_of({"metadata": {"name": "photos", "namespace": "team", "uid": "u"}, "spec": spec}, "c", defaults)
    s3 = boto3.client("s3", "eu-west-1", aws_access_key_id="id", aws_secret_access_key="key")
    new = Comparison(wanted, {"requester_pays": False, "versioning": "", "object_lock": False})
    arguments = {name: BY_NAME[name].argument(new) for name in ("requester_pays", "versioning")}
    tag_set = [{"Key": f"tag-{number}", "Value": ""} for number in range(MAX_BUCKET_TAGS)]
    enabled = {"VersioningConfiguration": {"Status": "Enabled"}}
    requests: list[str] = []
    s3.meta.events.register("provide-client-params.s3", lambda model, **_: requests.append(model.name))
    with Stubber(s3) as aws:
        aws.add_response("get_bucket_tagging", {"TagSet": tag_set}, BUCKET)
        aws.add_response("put_bucket_versioning", {}, {**BUCKET, **enabled})
        owner = SimpleNamespace(client=lambda name: s3, params={"account": BUCKET["ExpectedBucketOwner"]})
        problem = module.Settings(owner, wanted).write(arguments)
    assert requests == ["GetBucketTagging", "PutBucketVersioning"]
    assert problem.message.startswith("spec.tags: bucket photos-bucket would have 51 tags")
