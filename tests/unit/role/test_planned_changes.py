"""The rows of a plan that the drift matrix does not cover: new objects, adopted objects and deletions."""

from __future__ import annotations

import json
from dataclasses import astuple
from types import SimpleNamespace
from typing import Any

import pytest

from s3bucket.aspects import differing, due_settings
from s3bucket.change import Change
from s3bucket.closing import closing_policy
from s3bucket.errors import ReconcileError
from s3bucket.keys import KeyPlan
from s3bucket.metadata import Record
from s3bucket.observe import Deletion, Observation, UserDeletion, UserObservation
from s3bucket.planned_changes import changes_of, changes_of_deletion
from s3bucket.prediction import Prediction, summary_of
from s3bucket.secrets import reduced
from s3bucket.setting import Comparison
from s3bucket.settings import ALL
from s3bucket.settings.public_access_block import BLOCK_FIELDS
from s3bucket.spec import Wanted, wanted_of
from s3bucket.state import UserState
from s3bucket.users import UserRules

OTHERS_POLICY = json.dumps({"Statement": [{"Effect": "Deny", "Action": "s3:*", "Sid": "S3OperatorDeletesThisBucket"}]})
NEW_BUCKET = {setting.name: setting.new_bucket for setting in ALL}
KEY_TAG = {"agill.apps/key": "AKIAOLD:0123"}


def want(defaults: dict[str, Any], **spec: Any) -> Wanted:
    spec = {"region": "eu-west-1", "bucketName": "photos-bucket", **spec}
    return wanted_of({"metadata": {"name": "photos", "namespace": "team", "uid": "u1"}, "spec": spec}, "c", defaults)


def sources(boundary: str = "", cluster: Any = object()) -> Any:  # noqa: B008
    return SimpleNamespace(cluster=cluster, external_name="s3.amazonaws.com", rules=UserRules(boundary=boundary))


def seen_of_new_user(wanted: Wanted) -> Observation:
    mine = UserObservation(wanted.users[0], keys=KeyPlan(create=True), differs=["user"])
    return Observation("1", bucket_exists=True, settings=NEW_BUCKET, users=[mine])


def rows(changes: list[Any]) -> list[tuple[Any, ...]]:
    return [astuple(change) for change in changes]


def test_new_object_shows_what_its_bucket_gets_beside_aws_own_defaults(defaults: dict[str, Any]) -> None:
    wanted = want(defaults, bucketACL="public-read", tags={"team": "x"}, enableObjectLock=True)
    settings = {**NEW_BUCKET, "object_lock": True}
    seen = Observation("1", ["bucket"], settings=settings, tags=({}, wanted.tags), service_differs=True)
    assert rows(changes_of(wanted, seen, sources())) == [
        ("bucket", "bucket", "missing", "created"),
        ("bucket", "enableObjectLock", False, True),
        ("bucket", "objectOwnership", "BucketOwnerEnforced", "BucketOwnerPreferred"),
        ("bucket", "publicAccessBlock.blockPublicACLs", True, False),
        ("bucket", "publicAccessBlock.ignorePublicACLs", True, False),
        ("bucket", "bucketACL", "private", "public-read"),
        ("bucket", "enableVersioning", False, True),
        ("bucket", "tags.team", None, "x"),
        ("service", "service", "missing", "created"),
    ]


@pytest.mark.parametrize(
    ("cluster", "secret"), [(object(), [("user", "secret", "missing", "created")]), (None, [])], ids=["asked", "none"]
)
def test_new_user_shows_its_key_and_its_secret_where_a_cluster_was_asked(
    defaults: dict[str, Any], cluster: Any, secret: Any
) -> None:
    wanted = want(defaults, iamUser={"username": "photos"})
    seen = seen_of_new_user(wanted)
    assert rows(changes_of(wanted, seen, sources(cluster=cluster))) == [
        ("user", "iamUser", "missing", "created"),
        ("user", "accessKey", "missing", "issued"),
        *secret,
    ]


def test_new_user_without_a_secret_that_can_be_stored_shows_no_key(defaults: dict[str, Any]) -> None:
    wanted = want(defaults, iamUser={"username": "photos"})
    seen = seen_of_new_user(wanted)
    seen.defer_key(seen.users[0], ReconcileError("KubernetesError", "exceeded quota"))
    assert rows(changes_of(wanted, seen, sources(cluster=object()))) == [("user", "iamUser", "missing", "created")]


def test_adopted_bucket_shows_only_what_the_spec_gives(defaults: dict[str, Any]) -> None:
    wanted = want(defaults, enableVersioning=True)
    settings = {**NEW_BUCKET, "acl": "public-read", "policy": {"Statement": []}}
    tags = {"agill.apps/adopt": "c/team/photos"}
    seen = Observation(
        "1", ["versioning", "tags"], bucket_exists=True, is_adopted=True, settings=settings,
        tags=(tags, {**tags, "agill.apps/adopted": "true"}),
    )  # fmt: skip
    assert rows(changes_of(wanted, seen, sources())) == [
        ("versioning", "enableVersioning", False, True),
        ("tags", "tags.agill.apps/adopted", None, "true"),
    ]


def test_owned_user_with_another_boundary_and_surplus_keys(defaults: dict[str, Any]) -> None:
    wanted = want(defaults, iamUser={"username": "photos"})
    keys = {"AKIAOLD": "Active", "AKIASTALE": "Inactive"}
    user = UserState("arn", {**wanted.identity.tags, **KEY_TAG}, keys=keys, boundary="arn:other")
    mine = UserObservation(
        wanted.users[0], user, tags=dict(user.tags), keys=KeyPlan("AKIAOLD", delete_after=["AKIASTALE"]),
        differs=["user", "access_key"],
    )  # fmt: skip
    seen = Observation("1", bucket_exists=True, settings=NEW_BUCKET, users=[mine])
    assert rows(changes_of(wanted, seen, sources(boundary="arn:forced"))) == [
        ("user", "iamUser.permissionsBoundary", "arn:other", "arn:forced"),
        ("access_key", "accessKey.AKIASTALE", "Inactive", "deleted"),
    ]


def test_service_that_is_not_wanted_goes(defaults: dict[str, Any]) -> None:
    service = {"metadata": {}, "spec": {}}
    seen = Observation("1", bucket_exists=True, settings=NEW_BUCKET, service=service, service_differs=True)
    wanted = want(defaults, service={"enabled": False})
    assert rows(changes_of(wanted, seen, sources())) == [("service", "service", "there", "deleted")]


def test_secret_that_holds_something_else_is_shown_without_its_contents(defaults: dict[str, Any]) -> None:
    wanted = want(defaults, iamUser={"username": "photos"})
    user = UserState("arn", {**wanted.identity.tags, **KEY_TAG}, keys={"AKIAOLD": "Active"})
    data = {"AWS_ACCESS_KEY_ID": "aGlkZGVu", "AWS_SECRET_ACCESS_KEY": "aGlkZGVu"}
    secret = {"metadata": {"uid": "s1"}, "data": data, **reduced(data, Record())}
    mine = UserObservation(
        wanted.users[0], user, secret, tags=dict(user.tags), keys=KeyPlan(create=True, delete_after=["AKIAOLD"]),
        has_key=False, differs=["secret"],
    )  # fmt: skip
    seen = Observation("1", bucket_exists=True, settings=NEW_BUCKET, users=[mine])
    found = changes_of(wanted, seen, sources())
    assert rows(found)[:2] == [
        ("secret", "accessKey", "AKIAOLD (Active)", "replaced by a new one"),
        ("secret", "secret", "does not hold a key that works", "holds the new key"),
    ]
    assert "hidden" not in repr(found)
    assert "aGlkZGVu" not in repr(found)


@pytest.mark.parametrize(
    ("spec", "gone", "becomes"),
    [
        pytest.param({}, {"deletes_bucket": True}, "emptied and deleted", id="delete"),
        pytest.param({"forceDelete": False}, {"deletes_bucket": True}, "deleted, if it is empty", id="not-emptied"),
        pytest.param({}, {"retained_tags": {}}, "retained, no longer managed", id="retained"),
    ],
)
def test_deletion_shows_what_becomes_of_each(defaults: dict[str, Any], spec: Any, gone: Any, becomes: str) -> None:
    user = UserDeletion("photos", "iamUser", "photos-iam-secret", is_deleted=True, secret_uid="a")
    deletion = Deletion("1", users=[user], service_uid="b", **gone)
    assert rows(changes_of_deletion(want(defaults, **spec), deletion)) == [
        ("bucket", "bucket", "there", becomes),
        ("user", "iamUser", "there", "deleted, with its keys and policy"),
        ("secret", "secret", "there", "deleted"),
        ("service", "service", "there", "deleted"),
    ]
    assert changes_of_deletion(want(defaults), Deletion("1")) == []


# A bucket with AWS's defaults, and a spec with the opposite of each: (field, current value, value afterwards).
SETTING_CHANGES: dict[str, list[tuple[str, Any, Any]]] = {
    "ownership": [("objectOwnership", "BucketOwnerEnforced", "BucketOwnerPreferred")],
    "public_access_block": [
        ("publicAccessBlock.blockPublicACLs", True, False),
        ("publicAccessBlock.ignorePublicACLs", True, False),
        ("publicAccessBlock.blockPublicPolicy", True, False),
        ("publicAccessBlock.restrictPublicBuckets", True, False),
    ],
    "acl": [("bucketACL", "private", "public-read")],
    "versioning": [("enableVersioning", False, True)],
    "object_lock": [("enableObjectLock", False, True)],
    "acceleration": [("enableTransferAcceleration", False, True)],
    "policy": [("bucketPolicy", None, {"Statement": [{"Effect": "Deny"}]})],
}


# The drift matrix covers the optional settings. Object ownership is also derived from the ACL.
@pytest.mark.parametrize("aspect", ["ownership", *(item.name for item in ALL if not item.is_optional)])
def test_setting_that_differs_shows_what_is_and_what_would_be(defaults: dict[str, Any], aspect: str) -> None:
    wanted = want(
        defaults,
        bucketACL="public-read",
        enableObjectLock=True,
        enableVersioning=True,
        enableTransferAcceleration=True,
        bucketPolicy='{"Statement": [{"Effect": "Deny"}]}',
        publicAccessBlock=dict.fromkeys(BLOCK_FIELDS, False),
    )
    seen = Observation("1", [aspect], bucket_exists=True, settings=NEW_BUCKET)
    expected = [(aspect, *change) for change in SETTING_CHANGES[aspect]]
    assert rows(changes_of(wanted, seen, sources())) == expected


@pytest.mark.parametrize(
    ("is_adopted", "spec"),
    [(True, {}), (False, {"unmanagedFields": ["bucketPolicy"]})],
    ids=["adopted", "unmanaged"],
)
def test_policy_that_a_deletion_left_is_removed_also_where_policies_are_not_managed(
    defaults: dict[str, Any], is_adopted: bool, spec: dict[str, Any]
) -> None:
    wanted = want(defaults, **spec)
    unmanaged = frozenset(spec.get("unmanagedFields", []))
    for text, expected in ((json.dumps(closing_policy(wanted.bucket_arn)), ["policy"]), (OTHERS_POLICY, [])):
        settings = {**NEW_BUCKET, "policy": text}
        assert differing(Comparison(wanted, settings, is_adopted), unmanaged) == expected


def test_unmanaged_policy_is_read_only_while_an_earlier_deletion_may_have_left_one(defaults: dict[str, Any]) -> None:
    wanted = want(defaults, unmanagedFields=["bucketPolicy"])
    for tags, expected in ((wanted.bucket_tags, False), ({**wanted.bucket_tags, "agill.apps/uid": "u0"}, True)):
        assert ("policy" in [setting.name for setting in due_settings(wanted, tags)]) == expected


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((False, True), "field: false -> true"),
        ((None, {"b": 1, "a": "\u00fc"}), 'field: (none) -> {"a": "\\u00fc", "b": 1}'),
        (("x\x1b[31m\n", ""), 'field: x\\x1b[31m\\n -> ""'),
    ],
)  # fmt: skip
def test_line_has_nothing_that_a_terminal_acts_on(values: tuple[Any, Any], line: str) -> None:
    change = Change("tags", "field", *values)
    assert change.line == line
    assert Change.from_record(change.to_record()) == change


def test_summary_names_each_user_that_changes(defaults: dict[str, Any]) -> None:
    wanted = want(
        defaults, iamUser={"username": "photos"}, additionalUsers=[{"username": "bob"}, {"username": "carol"}]
    )
    users = [
        UserObservation(wanted.users[0], keys=KeyPlan(live="A")),
        UserObservation(wanted.users[1], keys=KeyPlan(create=True), differs=["user"]),
        UserObservation(wanted.users[2], UserState("arn", {}), puts_policy=True, differs=["user_policy"]),
    ]
    users[0].found = UserState("arn", {})
    removed = [UserDeletion("dave", "additionalUsers[dave]", "photos-dave-iam-secret", "additionalUsers[dave].", True)]
    seen = Observation("1", bucket_exists=True, settings=NEW_BUCKET, users=users, removed=removed)
    prediction = Prediction(seen.differs, seen.written, changes_of(wanted, seen, sources()))
    assert summary_of(wanted, prediction) == (
        "create IAM user bob, delete IAM user dave, update the policy of IAM user carol"
    )


def test_secret_of_another_name_that_a_removed_user_has_left_is_a_change(defaults: dict[str, Any]) -> None:
    wanted = want(defaults, iamUser={"username": "photos"})
    users = [UserObservation(wanted.users[0], UserState("arn", {}), keys=KeyPlan(live="A"))]
    left = UserDeletion("dave", "additionalUsers[dave]", "photos-dave-iam-secret", "additionalUsers[dave].")
    left.more = [{"kind": "Secret", "name": "daves", "uid": "s1"}]
    seen = Observation("1", bucket_exists=True, settings=NEW_BUCKET, users=users, removed=[left])
    assert (seen.differs, [change.aspect for change in changes_of(wanted, seen, sources())]) == (["secret"], ["secret"])
