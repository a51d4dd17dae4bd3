#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_orphan
short_description: List the active access keys of an IAM user that a deleted S3 object left behind
description:
  - Reads the user's owner tags again. A user that the object no longer owns is refused with the reason Conflict.
  - A user that does not exist has no keys. Changes nothing.
author: s3-operator contributors
options:
  user:
    description: The IAM user's name.
    type: str
    required: true
  owner:
    description: The owner that the user's tags must name, by C(cluster), C(namespace), C(name) and C(uid).
    type: dict
    required: true
  provider:
    description: C(Other) for an S3-compatible store, which may keep the user's tags in its path or in a policy.
    type: str
    default: ""
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: List the active keys
  s3bucket_orphan:
    user: photos
    owner: {cluster: prod, namespace: team, name: photos, uid: 0b2a4f0e-7e0f-4d51-9d2b-0c8f0f0c3f3a}
    region: us-east-1
  register: orphan
"""

RETURN = r"""
active_keys:
  description: The ids of the active access keys.
  type: list
  elements: str
  returned: success
outcome:
  description: The outcome record of a run in which no task fails.
  type: dict
  returned: success
"""

from ansible.module_utils.s3bucket.capabilities import Capabilities
from ansible.module_utils.s3bucket.clients import make_client, refuse
from ansible.module_utils.s3bucket.errors import ReconcileError
from ansible.module_utils.s3bucket.json_types import AwsClient
from ansible.module_utils.s3bucket.outcome import Outcome, Reason
from ansible.module_utils.s3bucket.owner import Identity
from ansible.module_utils.s3bucket.read import find_active_keys, find_user
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "owner": {"type": "dict", "required": True},
            "provider": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    owner = module.params["owner"]
    identity = Identity(owner["cluster"], owner["namespace"], owner["name"], owner["uid"])
    try:
        capabilities = Capabilities(is_aws=module.params["provider"] != "Other")
        keys = active_keys_of_owned(make_client(module, "iam"), module.params["user"], identity, capabilities)
    except ReconcileError as refusal:
        refuse(module, refusal)
    module.exit_json(changed=False, active_keys=keys, outcome=outcome_for(keys, is_check=module.check_mode).to_record())


def outcome_for(keys: list[str], *, is_check: bool) -> Outcome:
    """The outcome of a run that deactivates these keys, or of one in check mode."""
    changed = ("access_key",) if keys else ()
    if is_check and keys:
        message = "check mode: a run would deactivate its access keys"
        return Outcome(False, Reason.WOULD_CHANGE, message, changed=changed)
    return Outcome(True, Reason.READY, changed=changed)


def active_keys_of_owned(iam: AwsClient, name: str, identity: Identity, capabilities: Capabilities) -> list[str]:
    """The active keys of an IAM user that still has this owner."""
    user = find_user(iam, name, capabilities)
    if user is None:
        return []
    if any(user.tags.get(key) != value for key, value in identity.tags.items()):
        other = identity.owner_of(user.tags) or "none"
        raise ReconcileError(Reason.CONFLICT, f"IAM user {name} is no longer S3 object {identity}'s (owner: {other})")
    return find_active_keys(iam, name)


if __name__ == "__main__":
    main()
