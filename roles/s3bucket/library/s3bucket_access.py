#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_access
short_description: Create the first access key of an IAM user, and write it into its Secret
description:
  - Creates a key, waits until AWS accepts it, puts it on record in the user's tags, writes the Secret, and removes the
    tag that records that a key is being created. A key that is not on record is deleted by the next run.
  - The key stays in this module. No task, variable or result of Ansible has it.
  - Five tasks would do the same with C(amazon.aws.iam_access_key), M(s3bucket_verify), M(s3bucket_user) and
    M(s3bucket_child). They do it where a key replaces another one.
author: s3-operator contributors
options:
  access:
    description: What is created and written, as C(s3bucket_info) returns it.
    type: dict
    required: true
    suboptions:
      user:
        description: The user's name.
        type: str
        required: true
      bucket:
        description: The bucket's name.
        type: str
        required: true
      bucket_owner:
        description: The account that must own the bucket (ExpectedBucketOwner). Empty for a store that compares none.
        type: str
        required: true
      record:
        description: Tags that are put in one request with the record of the key.
        type: dict
        default: {}
      secret:
        description: The Secret without the key.
        type: dict
        required: true
      entries:
        description: The entries of the Secret.
        type: dict
        required: true
      facts:
        description: What the entries may name, besides the key.
        type: dict
        required: true
      tags:
        description: All tags of the user at the end, besides the record of the key. Its other tags are removed.
        type: dict
        required: true
      is_new:
        description: Whether this run has created the user. Then its tags are known and not read.
        type: bool
        required: true
  more_tags:
    description: More tags of the user, which other tasks have returned.
    type: dict
    default: {}
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
- name: Create a key in its Secret
  s3bucket_access:
    access: "{{ seen.plan.users[0].access }}"
    settings: "{{ seen.settings }}"
    working_directory: "{{ seen.working_directory }}"
  no_log: true
"""

RETURN = r"""
access_key_id:
  description: The id of the new key.
  type: str
  returned: success
error:
  description: The code of AWS's answer, as C(error.code).
  type: dict
  returned: failure
http_status:
  description: The status of the API server's answer.
  type: int
  returned: when the API server has refused the Secret
s3bucket_reason:
  description: Why it has failed.
  type: str
  returned: failure
s3bucket_message:
  description: The same in words. It holds no value of a Secret, and no text of AWS but the code.
  type: str
  returned: failure
"""

import time
from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.s3bucket import aws_users, children, owner, store_keys
from ansible.module_utils.s3bucket.capabilities import AWS
from ansible.module_utils.s3bucket.clients import make_client_of_key, refuse
from ansible.module_utils.s3bucket.connection import CONNECTION_ARGUMENTS, connect
from ansible.module_utils.s3bucket.errors import ReconcileError, code_of
from ansible.module_utils.s3bucket.json_types import ApiObject, AwsClient
from ansible.module_utils.s3bucket.keys import Pair, fingerprint_of
from ansible.module_utils.s3bucket.module import make_iam_client, read_settings, tag_user
from ansible.module_utils.s3bucket.role_settings import RoleSettings
from ansible.module_utils.s3bucket.secrets import Facts, data_of
from ansible.module_utils.s3bucket.verification import (
    Target,
    check_is_valid,
    verify_access,
    wait_until_valid,
)
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

_TEXT: dict[str, Any] = {"type": "str", "required": True}
_MAP: dict[str, Any] = {"type": "dict", "required": True}
# Names, not values: Ansible guesses from their names that they are secrets.
_NAMES: dict[str, Any] = {**_MAP, "no_log": False}
ARGUMENTS: dict[str, Any] = {
    "access": {
        **_MAP,
        "options": {
            "user": _TEXT,
            "bucket": _TEXT,
            "bucket_owner": _TEXT,
            "record": {"type": "dict", "default": {}},
            "secret": _NAMES,
            "entries": _MAP,
            "facts": _MAP,
            "tags": _MAP,
            "is_new": {"type": "bool", "required": True},
        },
    },
    "more_tags": {"type": "dict", "default": {}},
    "settings": {"type": "str", "default": "{}"},
    **CONNECTION_ARGUMENTS,
}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=True)
    try:
        settings = read_settings(module.params["settings"])
        key_id = issue(module, settings)
    except ReconcileError as refusal:
        refuse(module, refusal, **failure_of(refusal))
    module.exit_json(changed=True, access_key_id=key_id)


def issue(module: AnsibleAWSModule, settings: RoleSettings) -> str:
    """Create the key and write it everywhere; return its id."""
    given, iam = module.params["access"], make_iam_client(module, settings)
    # Makes no request: without a connection there is no key.
    cluster, _ = connect(module, module.params["kubernetes"])
    made = store_keys.create(iam, given["user"])
    key_id, secret = made["access_key_id"], made["secret_access_key"]
    module.no_log_values.add(secret)
    # Before anything records it.
    s3 = make_client_of_key(module, "s3", key_id, secret)
    target = Target(given["bucket"], given["bucket_owner"])
    check_is_valid(
        wait_until_valid(lambda: verify_access(s3, target), settings.iam_settle_s, time.monotonic, time.sleep)
    )
    pair = Pair(key_id, fingerprint_of(secret))
    recorded = {**given["record"], **module.params["more_tags"], owner.KEY: str(pair)}
    tag_user(iam, given["user"], recorded, settings.known_capabilities)
    data = data_of(given["entries"], Facts(**given["facts"]), key_id, secret)
    cluster.write(children.with_pair(given["secret"], pair, datetime.now(UTC), data))
    finish_tags(iam, given, recorded, settings)
    return key_id


def failure_of(refusal: ReconcileError) -> ApiObject:
    """What of a failure is shown beside its reason: a task with ``no_log`` has no other message."""
    code = code_of(refusal.__cause__ or refusal)
    shown = ": ".join(text for text in (refusal.summary, code) if text)
    return {"error": {"code": code}, **({"s3bucket_message": shown} if refusal.summary else {})}


def finish_tags(iam: AwsClient, given: ApiObject, recorded: dict[str, str], settings: RoleSettings) -> None:
    """Remove the tag that records that a key is being created, and of an older user all that it should not have."""
    capabilities = settings.known_capabilities or AWS
    if capabilities.is_aws and given["is_new"]:
        aws_users.remove_tags(iam, given["user"], [owner.UNMANAGED_KEYS])
    else:
        tag_user(iam, given["user"], {**given["tags"], **recorded}, capabilities, purges=True)


if __name__ == "__main__":
    main()
