"""The module that creates the first access key: the order of its writes, and where the key is."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from kubernetes.client.exceptions import ApiException

from s3bucket import children, cluster, secrets
from s3bucket.errors import ReconcileError, RejectedError
from s3bucket.outcome import Reason
from s3bucket.role_settings import RoleSettings
from tests.support.modules import load_module

ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
OWNER = "123456789012"
USER = {"UserName": "photos"}
MANIFEST = {
    "kind": "Secret",
    "metadata": {"name": "photos-iam-secret", "namespace": "team", "uid": children.NEW_UID, "annotations": {"a": "b"}},
}
ACCESS = {
    "user": "photos",
    "bucket": "photos-bucket",
    "bucket_owner": OWNER,
    "record": {},
    "secret": MANIFEST,
    "entries": secrets.LAYOUTS["AWS"],
    "facts": {"bucket": "photos-bucket", "region": "eu-west-1", "endpoint": "", "arn": ""},
    "tags": {"team": "photos"},
    "is_new": True,
}


class Rig:
    """The module with clients that note what they are asked, and a cluster that stores one Secret, or rejects it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **access: Any) -> None:
        self.module = load_module("s3bucket_access", monkeypatch)
        self.requests: list[str] = []
        self.stored: dict[str, Any] = {}
        self.rejection: ReconcileError | None = None
        keys = {"aws_access_key_id": "id", "aws_secret_access_key": "key"}
        clients = {name: boto3.client(name, "eu-west-1", **keys) for name in ("iam", "s3")}
        for name, client in clients.items():
            client.meta.events.register(f"provide-client-params.{name}", self._note)
        self.iam, self.s3 = Stubber(clients["iam"]), Stubber(clients["s3"])
        monkeypatch.setattr(self.module, "connect", lambda *_: (self, {}))
        self._owner = SimpleNamespace(
            client=lambda name, **_: clients[name],
            params={"access": {**ACCESS, **access}, "more_tags": {}, "kubernetes": "{}", "working_directory": ""},
            region="eu-west-1",
            no_log_values=set(),
        )

    def write(self, manifest: dict[str, Any]) -> None:
        self.requests.append("Secret")
        if self.rejection:
            raise self.rejection
        self.stored = manifest

    def issue(self) -> str:
        with self.iam, self.s3:
            return str(self.module.issue(self._owner, RoleSettings(iam_settle_s=0)))

    def will_issue(self) -> None:
        answer = {"AccessKeyId": ID, "SecretAccessKey": SECRET, "Status": "Active", **USER}
        self.iam.add_response("create_access_key", {"AccessKey": answer}, USER)

    def will_verify(self, code: str = "") -> None:
        if code:
            self.s3.add_client_error("head_bucket", code, http_status_code=403)
        else:
            self.s3.add_response("head_bucket", {}, {"Bucket": "photos-bucket", "ExpectedBucketOwner": OWNER})

    def will_record(self) -> None:
        self.iam.add_response("tag_user", {}, {**USER, "Tags": ANY})

    def is_masked(self, text: str) -> bool:
        return text in self._owner.no_log_values

    def _note(self, model: Any, **_: Any) -> None:
        self.requests.append(model.name)


def test_key_is_verified_recorded_and_stored_in_this_order_and_returned_without_its_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch)
    rig.will_issue()
    rig.will_verify()
    rig.will_record()
    rig.iam.add_response("untag_user", {}, {**USER, "TagKeys": ["agill.apps/foreign-keys"]})
    assert rig.issue() == ID
    assert rig.requests == ["CreateAccessKey", "HeadBucket", "TagUser", "Secret", "UntagUser"]
    data = {name: base64.b64decode(text).decode() for name, text in rig.stored["data"].items()}
    assert data == {"AWS_ACCESS_KEY_ID": ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    annotations = rig.stored["metadata"]["annotations"]
    assert (annotations["a"], annotations["agill.apps/key"].partition(":")[0]) == ("b", ID)
    assert rig.is_masked(SECRET)
    assert SECRET not in json.dumps(MANIFEST), "the manifest of the task was changed"


def test_tags_of_a_user_that_existed_before_are_read_before_any_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, is_new=False)
    rig.will_issue()
    rig.will_verify()
    rig.will_record()
    found = [{"Key": "team", "Value": "photos"}, {"Key": "agill.apps/key-old", "Value": "x"}]
    user = {"Path": "/", "UserId": "AIDACKCEVSQ6C2EXAMPLE", "Arn": f"arn:aws:iam::{OWNER}:user/photos", **USER}
    rig.iam.add_response("get_user", {"User": {**user, "CreateDate": "2026-01-01T00:00:00Z", "Tags": found}}, USER)
    rig.will_record()
    rig.iam.add_response("untag_user", {}, {**USER, "TagKeys": ["agill.apps/key-old"]})
    rig.issue()
    assert rig.requests[-3:] == ["GetUser", "TagUser", "UntagUser"]


def test_key_that_aws_does_not_know_is_neither_recorded_nor_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    rig.will_issue()
    rig.will_verify("InvalidAccessKeyId")
    with pytest.raises(rig.module.ReconcileError) as refused:
        rig.issue()
    assert refused.value.reason == Reason.WAITING_FOR_IAM
    assert rig.requests == ["CreateAccessKey", "HeadBucket"]


def test_request_that_aws_denies_is_named_without_the_words_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    rig.will_issue()
    rig.will_verify()
    rig.iam.add_client_error("tag_user", "AccessDenied", f"not authorized: {SECRET}", http_status_code=403)
    with pytest.raises(rig.module.ReconcileError) as refused:
        rig.issue()
    failure = rig.module.failure_of(refused.value)
    assert failure["error"] == {"code": "AccessDenied"}
    assert failure["s3bucket_message"] == "failed to tag IAM user photos (iam:TagUser): AccessDenied"


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (ReconcileError(Reason.WAITING_FOR_IAM, "not yet: x", "not yet"), "not yet"),
        (RejectedError(Reason.CONFLICT, "another one", 409), "another one"),
    ],
    ids=["key", "secret"],
)
def test_failure_has_one_message(monkeypatch: pytest.MonkeyPatch, refusal: ReconcileError, message: str) -> None:
    module = load_module("s3bucket_access", monkeypatch)
    # Neither argument may be given twice.
    assert dict(**refusal.to_result(), **module.failure_of(refusal))["s3bucket_message"] == message


def test_key_without_a_secret_keeps_the_tag_by_which_the_next_run_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    rig.will_issue()
    rig.will_verify()
    rig.will_record()
    rig.rejection = ReconcileError(Reason.KUBERNETES_ERROR, "no")
    with pytest.raises(ReconcileError):
        rig.issue()
    assert rig.requests[-1] == "Secret"


def rejection(manifest: dict[str, Any], status: int, phrase: str, **answer: Any) -> tuple[Reason, str]:
    error = ApiException(status=status, reason=phrase)
    error.body = json.dumps({"message": f"refused: {SECRET}", **answer})
    found = cluster._rejection(manifest, error)
    assert found.to_result()["http_status"] == status
    return found.reason, found.message


@pytest.mark.parametrize(
    ("uid", "status", "answer", "is_conflict"),
    [
        (children.NEW_UID, 409, {"reason": "AlreadyExists"}, True),
        (children.NEW_UID, 409, {"reason": "Conflict"}, False),
        (children.NEW_UID, 422, {"reason": "Invalid", "details": {"causes": [{"field": "metadata.uid"}]}}, False),
        ("u", 422, {"reason": "Invalid", "details": {"causes": [{"field": "metadata.uid"}]}}, True),
        ("u", 422, {"reason": "Invalid", "details": {"causes": [{"field": "data"}]}}, False),
        ("u", 404, {"reason": "NotFound"}, False),
        ("u", 500, {"details": "none"}, False),
    ],
    ids=["appeared", "quota-was-changed", "uid-of-a-new-one", "replaced", "content", "deleted", "no-status"],
)
def test_only_another_object_of_the_name_is_a_conflict(
    uid: str, status: int, answer: dict[str, Any], is_conflict: bool
) -> None:
    manifest = {**MANIFEST, "metadata": {**MANIFEST["metadata"], "uid": uid}}
    reason, message = rejection(manifest, status, "Why", **answer)
    assert reason is (Reason.CONFLICT if is_conflict else Reason.KUBERNETES_ERROR)
    assert "Secret photos-iam-secret" in message
    assert SECRET not in message


def test_only_the_message_about_a_secret_is_left_out() -> None:
    assert rejection(MANIFEST, 403, "Forbidden")[1] == "failed to write Secret photos-iam-secret: Forbidden (403)"
    service = {**MANIFEST, "kind": "Service"}
    assert SECRET in rejection(service, 403, "Forbidden")[1]
