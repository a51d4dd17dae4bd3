#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_create
short_description: Create an S3 object's bucket and IAM users, never touching one that exists
description:
  - The call that creates a bucket or user sets its owner tags, so that neither ever exists without them. The users are
    created first. With them the object claims the bucket's name in IAM, where no key of a tenant can write.
  - The users that it creates get their inline policies, after the bucket.
  - C(amazon.aws.s3_bucket) tags afterwards and takes over an existing bucket; C(amazon.aws.iam_user) takes
    over an existing user. This module fails with reason Conflict instead.
  - Returns what C(s3bucket_settings) has to change in a bucket that was just created.
author: s3-operator contributors
options:
  cr:
    description: The S3 object as JSON text.
    type: str
    required: true
  settings:
    description: The role's settings as JSON text, as C(s3bucket_info) returns them.
    type: str
    default: "{}"
  defaults:
    description: A value for each optional field of the spec.
    type: dict
    required: true
  bucket_owner:
    description: The account that must own the bucket (ExpectedBucketOwner). Empty for a store that compares none.
    type: str
    required: true
  creates_bucket:
    description: Whether to create the bucket.
    type: bool
    required: true
  users:
    description:
      - The names of the IAM users to create, with the tag that records that a rotation is in progress.
      - They must be users that the object requests.
    type: list
    elements: str
    default: []
  users_record:
    description:
      - Tags of the existing first user, with the names of all others. They are put before another user is created.
    type: dict
    default: {}
  origin:
    description: The origin of the bucket, for a tag of the object's first user; empty for no such tag.
    type: str
    default: ""
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Create bucket and user
  s3bucket_create:
    cr: "{{ s3bucket_cr | to_json }}"
    settings: "{{ seen.settings }}"
    defaults: "{{ s3bucket_defaults }}"
    bucket_owner: "123456789012"
    creates_bucket: true
    users: [photos]
"""

RETURN = r"""
bucket_arguments:
  description: The arguments of s3bucket_settings for the settings that differ in a new bucket.
  type: dict
  returned: success
"""

import json
import time
from collections.abc import Callable
from functools import partial

from ansible.module_utils.s3bucket import owner, store_users, user_record
from ansible.module_utils.s3bucket.capabilities import AWS, bucket_arguments
from ansible.module_utils.s3bucket.clients import make_s3_client, refuse
from ansible.module_utils.s3bucket.errors import AWS_ERRORS, ReconcileError, UnknownStateError, code_of, failing_to
from ansible.module_utils.s3bucket.json_types import ApiObject, AwsClient
from ansible.module_utils.s3bucket.module import make_iam_client, make_module, read_settings, read_wanted, tag_user
from ansible.module_utils.s3bucket.namespace import namespace_arguments
from ansible.module_utils.s3bucket.new_bucket import differing_settings
from ansible.module_utils.s3bucket.outcome import Reason
from ansible.module_utils.s3bucket.read import check_has_bucket_tags, get_bucket_tags, is_empty, listed
from ansible.module_utils.s3bucket.role_settings import RoleSettings
from ansible.module_utils.s3bucket.spec import Wanted
from ansible.module_utils.s3bucket.users import policy_name_of
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

# S3 reads are consistent for objects, but not for buckets: "you might see an old configuration for a short time".
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
READ_BACK_S = 10.0
READ_BACK_PAUSE_S = 0.5
# The answers of a store that does not know tags in the call that creates a bucket. Most ignore them.
_WITHOUT_TAGS = ("InvalidArgument", "InvalidRequest", "MalformedXML", "NotImplemented")


def main() -> None:
    """Run the module."""
    module = make_module(
        bucket_owner={"type": "str", "required": True},
        creates_bucket={"type": "bool", "required": True},
        users={"type": "list", "elements": "str", "default": []},
        users_record={"type": "dict", "default": {}},
        origin={"type": "str", "default": ""},
    )
    arguments: ApiObject = {}
    try:
        settings = read_settings(module.params["settings"])
        wanted = read_wanted(module, settings)
        if module.check_mode:
            module.exit_json(changed=True, bucket_arguments={})
        if module.params["creates_bucket"] and not settings.is_aws:
            check_has_bucket_tags(make_s3_client(module), wanted.bucket, module.params["bucket_owner"])
        # The users are first: they claim the bucket's name before the bucket exists. If IAM's quota is exceeded, no
        # bucket is left.
        create_users(module, wanted, settings)
        if module.params["creates_bucket"]:
            s3, bucket_owner = make_s3_client(module), module.params["bucket_owner"]
            if create_bucket(s3, wanted, is_aws=settings.is_aws) and not settings.is_aws:
                tag_new_bucket(s3, wanted, bucket_owner)
            arguments = read_back(lambda: arguments_of_new(s3, wanted, bucket_owner), time.monotonic, time.sleep)
        # Last, as IAM may not know a user at once.
        put_policies(module, wanted, settings)
    except ReconcileError as refusal:
        refuse(module, refusal)
    module.exit_json(changed=True, bucket_arguments=arguments)


def create_bucket(s3: AwsClient, wanted: Wanted, *, is_aws: bool) -> bool:
    """Create the bucket with its tags, and with the settings that only the creation can set; return False if it exists.

    :param is_aws: False for a store, which may not know the tags
    """
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    place: ApiObject = {"LocationConstraint": wanted.region} if wanted.region != "us-east-1" else {}
    verb = f"create bucket {wanted.bucket} (s3:CreateBucket, s3:TagResource)"
    with failing_to(verb), namespace_arguments(s3, wanted) as namespace:
        given = {"Bucket": wanted.bucket, "ObjectLockEnabledForBucket": wanted.object_lock, **namespace}
        try:
            try:
                s3.create_bucket(**given, CreateBucketConfiguration={"Tags": listed(wanted.creation_tags), **place})
            except AWS_ERRORS as error:
                if is_aws or code_of(error) not in _WITHOUT_TAGS:
                    raise
                s3.create_bucket(**given, **({"CreateBucketConfiguration": place} if place else {}))
        except AWS_ERRORS as error:
            # An earlier run may have created it, which HeadBucket did not show. Its tags decide.
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise
            return False
    return True


def tag_new_bucket(s3: AwsClient, wanted: Wanted, bucket_owner: str) -> None:
    """Tag the bucket that this run has just created, where the store has ignored the tags of that call.

    This run has seen the bucket absent. One with contents is another one, which someone else has created meanwhile.
    """
    if get_bucket_tags(s3, wanted.bucket, bucket_owner) or not is_empty(s3, wanted.bucket, bucket_owner):
        return
    with failing_to(f"tag bucket {wanted.bucket} (s3:PutBucketTagging)"):
        bucket = bucket_arguments(wanted.bucket, bucket_owner)
        s3.put_bucket_tagging(**bucket, Tagging={"TagSet": listed(wanted.creation_tags)})


def arguments_of_new(s3: AwsClient, wanted: Wanted, bucket_owner: str) -> ApiObject | None:
    """What s3bucket_settings has to change in a bucket that was just created; None while S3 does not show it.

    In us-east-1 a CreateBucket for a bucket that the account already has returns 200 as for a new one, so the tags are
    read.

    :raises ReconcileError: Conflict for a bucket with another owner's tags
    """
    tags = get_bucket_tags(s3, wanted.bucket, bucket_owner)
    if not tags:
        return None
    if not wanted.identity.is_same_object(tags):
        raise ReconcileError(
            Reason.CONFLICT,
            f"bucket {wanted.bucket} was created by someone else meanwhile, and does not carry this object's owner "
            f"tags ({owner.Identity.owner_of(tags) or 'none'}): it was left alone",
        )
    if owner.ADOPTED in tags:
        # A bucket that was just created cannot have that tag: it existed before, or someone has just set the tag.
        raise ReconcileError(
            Reason.PENDING, f"bucket {wanted.bucket} has the tag {owner.ADOPTED}, which no new bucket has"
        )
    try:
        return differing_settings(wanted, s3, bucket_owner)
    except UnknownStateError as error:
        if code_of(error.__cause__ or error) == "NoSuchBucket":
            return None
        raise


def read_back(
    read: Callable[[], ApiObject | None], clock: Callable[[], float], sleep: Callable[[float], None]
) -> ApiObject:
    """Read until S3 shows what was created. An earlier read may show an older state, which proves nothing.

    :raises ReconcileError: Pending when S3 does not show it after some seconds
    """
    end = clock() + READ_BACK_S
    while True:
        found = read()
        if found is not None:
            return found
        if clock() >= end:
            raise ReconcileError(
                Reason.PENDING, f"the bucket was created, and S3 does not show it after {READ_BACK_S:g} s"
            )
        sleep(READ_BACK_PAUSE_S)


def create_users(module: AnsibleAWSModule, wanted: Wanted, settings: RoleSettings) -> None:
    """Create the missing users. An existing first user claims the name of a new bucket from now on."""
    given, iam = module.params, make_iam_client(module, settings)
    tag = partial(tag_user, iam, capabilities=settings.known_capabilities)
    if given["users_record"]:
        # So that a user that exists is always on record.
        tag(wanted.username, given["users_record"])
    for user in wanted.users:
        if user.username in given["users"]:
            origin = {owner.ORIGIN: given["origin"]} if given["origin"] and user.is_first else {}
            tags = {**wanted.tags_of(user), **user.secret.tags, owner.UNMANAGED_KEYS: "-", **origin}
            create_user(iam, user.username, tags, settings, wanted.identity)
        elif given["creates_bucket"] and user.is_first:
            # It is owned. Another user of the spec may belong to another object.
            tag(user.username, {owner.BUCKET: wanted.bucket})


def put_policies(module: AnsibleAWSModule, wanted: Wanted, settings: RoleSettings) -> None:
    """Give the users that were created their policies. A new user has none, so nothing is read."""
    iam = make_iam_client(module, settings)
    for user in wanted.users:
        if user.username in module.params["users"]:
            name, text = policy_name_of(user.username, wanted.bucket), json.dumps(wanted.policy_of(user))
            with failing_to(f"put the policy of IAM user {user.username} (iam:PutUserPolicy)"):
                iam.put_user_policy(UserName=user.username, PolicyName=name, PolicyDocument=text)


def create_user(
    iam: AwsClient, name: str, tags: dict[str, str], settings: RoleSettings, identity: owner.Identity
) -> None:
    """Create an IAM user with its tags, path and boundary."""
    capabilities = settings.known_capabilities or AWS
    rules = user_record.rules_for(settings.rules, capabilities, identity)
    if not capabilities.is_aws:
        store_users.create(iam, name, tags, rules, has_tags=capabilities.user_tags)
        return
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html
    with failing_to(f"create IAM user {name} (iam:CreateUser, iam:TagUser)"):
        iam.create_user(UserName=name, Tags=listed(tags), **rules.creation)


if __name__ == "__main__":
    main()
