"""AWS allows 50 tags on a bucket, and the operator needs some of them."""

from __future__ import annotations

import json
from typing import Any

from s3bucket import owner
from s3bucket.observe import observe
from s3bucket.spec import MAX_BUCKET_TAGS, MAX_TAGS
from tests.support.objects import bucket_of, identity_of, refusal, tags_of
from tests.support.world import NewObject, World

TOO_MANY = f"would have {MAX_BUCKET_TAGS + 1} tags, and AWS allows {MAX_BUCKET_TAGS}"
# AWS stores it in another form, which only a record recognizes: without a user, in a tag of the bucket.
ORIGIN_ACCESS_IDENTITY = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"

# All optional settings share one tag of the operator's.
CORS = [{"allowedOrigins": ["*"], "allowedMethods": ["GET"]}]


def tags(count: int) -> dict[str, str]:
    return {f"k{number}": "" for number in range(count)}


def make_offered_bucket(world: World, cr: dict[str, Any]) -> None:
    consent = {"Key": owner.ADOPT, "Value": identity_of(cr)}
    world.s3.create_bucket(Bucket=bucket_of(cr), CreateBucketConfiguration={"Tags": [consent]})


def with_rewritten_policy(cr: dict[str, Any]) -> None:
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Principal": {"CanonicalUser": ORIGIN_ACCESS_IDENTITY}}
    statement = {**allow, "Resource": f"arn:aws:s3:::{bucket_of(cr)}/*"}
    cr["spec"]["bucketPolicy"] = json.dumps({"Statement": [statement]})


def test_adopted_bucket_without_user_has_room_for_every_tag_that_the_crd_admits(
    world: World, new_object: NewObject
) -> None:
    """The object with the most tags of the operator's own. An earlier CRD admitted two tags more."""
    cr = new_object(iamUser=None, adoptionPolicy="IfExists", tags=tags(MAX_TAGS - 2), corsRules=CORS)
    with_rewritten_policy(cr)
    make_offered_bucket(world, cr)

    # That the policy needs a record is known only after it was written.
    cr["spec"]["tags"] = tags(MAX_TAGS)
    run = world.reconcile(cr)
    assert run.outcome["reason"] == "InvalidSpec", run.output
    assert TOO_MANY in run.outcome["message"]
    assert owner.ADOPTED not in tags_of(world, cr)

    cr["spec"]["tags"] = tags(MAX_TAGS - 2)
    run = world.reconcile(cr)
    assert (run.outcome["reason"], world.differs(cr)) == ("Ready", []), run.output
    assert len(tags_of(world, cr)) == MAX_BUCKET_TAGS - 1

    # From now on the record is there, so the check sees it, and only the tags wait.
    before = tags_of(world, cr)
    cr["spec"]["tags"] = tags(MAX_TAGS)
    world.s3.delete_bucket_cors(Bucket=bucket_of(cr))
    seen = observe(world.wanted(cr), world.sources())
    assert (seen.differs, [problem.reason for problem in seen.deferred]) == (["cors"], ["InvalidSpec"])
    run = world.reconcile(cr)
    assert (run.outcome["reason"], run.changed) == ("InvalidSpec", ["cors"]), run.output
    assert TOO_MANY in run.outcome["message"]
    assert tags_of(world, cr) == before

    cr["spec"]["tags"] = tags(MAX_TAGS - 1)
    run = world.reconcile(cr)
    assert (run.outcome["reason"], world.differs(cr)) == ("Ready", []), run.output
    assert len(tags_of(world, cr)) == MAX_BUCKET_TAGS


def test_bucket_with_too_many_tags_of_others_is_not_adopted(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None, adoptionPolicy="IfExists", enableVersioning=True)
    make_offered_bucket(world, cr)
    found = {**tags_of(world, cr), **tags(MAX_BUCKET_TAGS - 5)}
    tag_set = [{"Key": key, "Value": value} for key, value in found.items()]
    world.s3.put_bucket_tagging(Bucket=bucket_of(cr), Tagging={"TagSet": tag_set})
    refused = refusal(world, cr)
    assert refused.reason == "InvalidSpec"
    assert TOO_MANY in refused.message
