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
    description: Tags of the existing first user, with the names of all others. They are put before another is created.
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

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ansible.module_utils.s3bucket import owner
from ansible.module_utils.s3bucket.errors import AWS_ERRORS, ReconcileError, UnknownStateError, code_of, unknown
from ansible.module_utils.s3bucket.json_types import ApiObject, AwsClient
from ansible.module_utils.s3bucket.module import (
    listed,
    make_iam_client,
    make_module,
    make_s3_client,
    read_settings,
    read_wanted,
    refuse,
    tag_user,
)
from ansible.module_utils.s3bucket.namespace import namespace_arguments
from ansible.module_utils.s3bucket.observe import differing_settings
from ansible.module_utils.s3bucket.outcome import Reason
from ansible.module_utils.s3bucket.read import get_bucket_tags
from ansible.module_utils.s3bucket.spec import Wanted
from ansible.module_utils.s3bucket.users import UserRules
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

# S3 reads are consistent for objects, but not for buckets: "you might see an old configuration for a short time".
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
READ_BACK_S = 10.0
READ_BACK_PAUSE_S = 0.5


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
        # The users are first: they claim the bucket's name before the bucket exists. If IAM's quota is exceeded, no
        # bucket is left.
        create_users(module, wanted, settings.rules)
        if module.params["creates_bucket"]:
            s3, bucket_owner = make_s3_client(module), module.params["bucket_owner"]
            create_bucket(s3, wanted)
            arguments = read_back(lambda: arguments_of_new(s3, wanted, bucket_owner), time.monotonic, time.sleep)
    except ReconcileError as refusal:
        refuse(module, refusal)
    module.exit_json(changed=True, bucket_arguments=arguments)


@contextmanager
def failing_to(verb: str) -> Iterator[None]:
    """A context that turns errors of AWS into errors with a reason.

    :raises ReconcileError: for an error of AWS
    """
    try:
        yield
    except AWS_ERRORS as error:
        raise unknown(verb, error) from error


def create_bucket(s3: AwsClient, wanted: Wanted) -> None:
    """Create the bucket with its tags, and with the settings that only the creation can set."""
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    configuration: ApiObject = {"Tags": listed(wanted.creation_tags)}
    if wanted.region != "us-east-1":
        configuration["LocationConstraint"] = wanted.region
    verb = f"create bucket {wanted.bucket} (s3:CreateBucket, s3:TagResource)"
    with failing_to(verb), namespace_arguments(s3, wanted) as namespace:
        try:
            s3.create_bucket(
                Bucket=wanted.bucket,
                CreateBucketConfiguration=configuration,
                ObjectLockEnabledForBucket=wanted.object_lock,
                **namespace,
            )
        except AWS_ERRORS as error:
            # An earlier run may have created it, which HeadBucket did not show. Its tags decide.
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise


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


def create_users(module: AnsibleAWSModule, wanted: Wanted, rules: UserRules) -> None:
    """Create the missing users. An existing first user claims the name of a new bucket from now on."""
    given = module.params
    if given["users_record"]:
        # So that a user that exists is always on record.
        tag_user(make_iam_client(module), wanted.username, given["users_record"])
    for user in wanted.users:
        if user.username in given["users"]:
            origin = {owner.ORIGIN: given["origin"]} if given["origin"] and user.is_first else {}
            tags = {**wanted.tags_of(user), **user.secret.tags, owner.UNMANAGED_KEYS: "-", **origin}
            create_user(make_iam_client(module), user.username, tags, rules)
        elif given["creates_bucket"] and user.is_first:
            # It is owned. Another user of the spec may belong to another object.
            tag_user(make_iam_client(module), user.username, {owner.BUCKET: wanted.bucket})


def create_user(iam: AwsClient, name: str, tags: dict[str, str], rules: UserRules) -> None:
    """Create an IAM user with its tags, path and boundary."""
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html
    with failing_to(f"create IAM user {name} (iam:CreateUser, iam:TagUser)"):
        iam.create_user(UserName=name, Tags=listed(tags), **rules.creation)


if __name__ == "__main__":
    main()
