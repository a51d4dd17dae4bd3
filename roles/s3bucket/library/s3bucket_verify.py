#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_verify
short_description: Wait until AWS accepts a new access key
description:
  - Signs HeadBucket with the key, again while AWS does not know the key yet.
  - A denied request shows that the key is valid.
  - Changes nothing, and returns no secret. Fails with the reason WaitingForIAM when AWS does not know the key in time.
author: s3-operator contributors
options:
  access_key_id:
    description: The id of the new access key.
    type: str
    required: true
  secret_access_key:
    description: The secret of the new access key.
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
  time_s:
    description: Seconds for which AWS may not know the key.
    type: int
    default: 60
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Wait until the new key works
  s3bucket_verify:
    access_key_id: "{{ issued.access_key_id }}"
    secret_access_key: "{{ issued.secret_access_key }}"
    bucket: my-bucket
    bucket_owner: "123456789012"
  no_log: true
"""

RETURN = r"""
allowed:
  description: Whether AWS allows the key to list the bucket.
  type: bool
  returned: success
reason:
  description: Verified, or the reason why AWS denies it.
  type: str
  returned: success
message:
  description: AWS's words; empty when it allows the request.
  type: str
  returned: success
"""

import time

from ansible.module_utils.s3bucket.clients import make_client_of_key, refuse
from ansible.module_utils.s3bucket.errors import ReconcileError
from ansible.module_utils.s3bucket.verification import Target, check_is_valid, verify_access, wait_until_valid
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "access_key_id": {"type": "str", "required": True, "no_log": True},
            "secret_access_key": {"type": "str", "required": True, "no_log": True},
            "bucket": {"type": "str", "required": True},
            "bucket_owner": {"type": "str", "required": True},
            "time_s": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    given = module.params
    s3 = make_client_of_key(module, "s3", given["access_key_id"], given["secret_access_key"])
    target = Target(given["bucket"], given["bucket_owner"])
    found = wait_until_valid(lambda: verify_access(s3, target), given["time_s"], time.monotonic, time.sleep)
    try:
        check_is_valid(found)
    except ReconcileError as refusal:
        refuse(module, refusal)
    module.exit_json(changed=False, allowed=found.ok, reason=found.reason.value, message=found.message)


if __name__ == "__main__":
    main()
