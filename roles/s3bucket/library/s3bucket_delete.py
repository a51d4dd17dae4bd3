#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_delete
short_description: Delete IAM users, a bucket, and Secrets and Services
description:
  - Deletes first the users, in their order, then the bucket, and then the Secrets, ConfigMaps and the Service. The
    first failure ends it.
  - The caller has checked the ownership of everything.
  - A user is deleted with its keys and policies. On AWS the given ones are deleted without a read. What else the user
    has is read only when AWS refuses to delete the user.
  - A bucket is deleted with its contents if C(bucket.empties) is true. Multipart uploads, object versions, C(null)
    versions and delete markers are deleted a thousand at a time, and listed again until nothing is left. Keys that XML
    cannot represent are deleted one by one. On AWS the versions are listed only when AWS refuses to delete the bucket.
  - Before the first deletion, a bucket that is not empty is closed to writers, and so is one where AWS
    denies a request. Its policy is replaced by one that denies everyone to write objects, and Block Public Access is
    enabled. Where the policy cannot be written, it is deleted and the ACL becomes private. A call that the endpoint
    does not allow or does not support does not stop the emptying.
  - After C(time_s) seconds the emptying stops with reason Emptying, or Pending when nothing was deleted; the next run
    continues. Items that AWS refuses to delete do not stop the rest; at the end they are the reason of the failure.
  - Never bypasses governance retention. A bucket with nothing left to delete but locked versions fails
    with reason ObjectLocked and the latest date.
  - Each request for the bucket names the account that must own it, and each for an object in Kubernetes its uid.
  - C(amazon.aws.iam_user) makes 13 requests for a user with one key and one policy, C(amazon.aws.s3_bucket) sends no
    account and with C(force) leaves out the version id C(null), and C(kubernetes.core.k8s) reads what it deletes.
author: s3-operator contributors
options:
  users:
    description: The users that are deleted.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The user's name.
        type: str
        required: true
      keys:
        description: The ids of access keys that it may have.
        type: list
        elements: str
        default: []
      policies:
        description: The names of inline policies that it may have.
        type: list
        elements: str
        default: []
  bucket:
    description: The bucket that is deleted; none where this is left out.
    type: dict
    suboptions:
      name:
        description: The bucket's name.
        type: str
        required: true
      owner:
        description: The account that must own the bucket (ExpectedBucketOwner). Empty for a store that compares none.
        type: str
        required: true
      empties:
        description: Whether its contents are deleted, too.
        type: bool
        default: false
  children:
    description: The Secrets, ConfigMaps and Services that are deleted.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: Its kind.
        type: str
        choices: [Secret, Service, ConfigMap]
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      name:
        description: Its name.
        type: str
        required: true
      uid:
        description: Its uid. Another object of the name is left alone.
        type: str
        required: true
  settings:
    description: The role's settings as JSON text, as C(s3bucket_info) returns them.
    type: str
    default: "{}"
  kubernetes:
    description:
      - The options of C(kubernetes.core) that lead to the cluster, as JSON text.
      - Options that are not given come from K8S_AUTH_*.
    type: str
    default: "{}"
  working_directory:
    description: Where a relative path in KUBECONFIG starts, as C(s3bucket_info) returns it.
    type: str
    default: ""
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Delete a user and a bucket with its contents
  s3bucket_delete:
    users:
      - name: photos
        keys: [AKIAIOSFODNN7EXAMPLE]
        policies: [photos-my-bucket-s3-restricted]
    bucket:
      name: my-bucket
      owner: "123456789012"
      empties: true
"""

RETURN = r"""
removed:
  description: The aspects of which everything is deleted, also before a failure.
  type: list
  elements: str
  returned: always
s3bucket_reason:
  description: Why something was not deleted.
  type: str
  returned: failure
"""

import time
from typing import Any

from ansible.module_utils.s3bucket import bucket_deletion, user_deletion
from ansible.module_utils.s3bucket.capabilities import AWS
from ansible.module_utils.s3bucket.clients import make_s3_client, refuse
from ansible.module_utils.s3bucket.connection import CONNECTION_ARGUMENTS, connect
from ansible.module_utils.s3bucket.emptying import Emptying
from ansible.module_utils.s3bucket.errors import ReconcileError
from ansible.module_utils.s3bucket.module import make_iam_client, read_settings
from ansible.module_utils.s3bucket.regions import partition_of
from ansible.module_utils.s3bucket.role_settings import RoleSettings
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

TEXT: dict[str, Any] = {"type": "str", "required": True}
NAMES: dict[str, Any] = {"type": "list", "elements": "str", "default": [], "no_log": False}
ARGUMENTS: dict[str, Any] = {
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": TEXT, "keys": NAMES, "policies": NAMES},
    },
    "bucket": {
        "type": "dict",
        "options": {"name": TEXT, "owner": TEXT, "empties": {"type": "bool", "default": False}},
    },
    "children": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "kind": {**TEXT, "choices": ["Secret", "Service", "ConfigMap"]},
            "namespace": TEXT,
            "name": TEXT,
            "uid": TEXT,
        },
    },
    "settings": {"type": "str", "default": "{}"},
    **CONNECTION_ARGUMENTS,
}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=True, removed=[])
    removed: list[str] = []
    changes: list[bool] = []
    try:
        settings = read_settings(module.params["settings"])
        changes += delete_users(module, settings)
        removed.append("user")
        changes += delete_bucket(module, settings)
        removed.append("bucket")
        changes += delete_children(module)
        removed += ["secret", "service"]
    except ReconcileError as refusal:
        refuse(module, refusal, removed=removed)
    module.exit_json(changed=any(changes), removed=removed)


def delete_users(module: AnsibleAWSModule, settings: RoleSettings) -> list[bool]:
    """Whether each of the users existed."""
    users = module.params["users"]
    if not users:
        return []
    iam, capabilities = make_iam_client(module, settings), settings.known_capabilities or AWS
    return [
        user_deletion.delete(iam, user["name"], capabilities, keys=user["keys"], policies=user["policies"])
        for user in users
    ]


def delete_bucket(module: AnsibleAWSModule, settings: RoleSettings) -> list[bool]:
    """Whether the bucket existed."""
    bucket = module.params["bucket"]
    if not bucket:
        return []
    s3, name, owner = make_s3_client(module), bucket["name"], bucket["owner"]
    deadline = time.monotonic() + settings.empty_time_s
    emptying = None
    if bucket["empties"]:
        emptying = Emptying(s3, name, owner, lambda: time.monotonic() > deadline, partition_of(module.region).name)
    return [bucket_deletion.delete(s3, name, owner, emptying, is_aws=settings.is_aws)]


def delete_children(module: AnsibleAWSModule) -> list[bool]:
    """Whether each of the objects in Kubernetes existed."""
    children = module.params["children"]
    if not children:
        return []
    cluster, _ = connect(module, module.params["kubernetes"])
    return [cluster.delete(child["kind"], child["namespace"], child["name"], child["uid"]) for child in children]


if __name__ == "__main__":
    main()
