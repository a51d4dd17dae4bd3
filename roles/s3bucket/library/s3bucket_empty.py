#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_empty
short_description: Delete everything in a bucket, within the time limit of a run
description:
  - Deletes multipart uploads, object versions, C(null) versions and delete markers, a thousand at a time, and lists
    again until nothing is left. Keys that XML cannot represent are deleted one by one.
  - Before the first deletion, a bucket that is not empty is closed to writers. Its policy is replaced by one that
    denies everyone to write objects, and Block Public Access is enabled. Where the policy cannot be written, it is
    deleted and the ACL becomes private. A call that the endpoint does not allow or does not support does not stop the
    emptying.
  - Stops after C(time_s) seconds with reason Emptying, or Pending when nothing was deleted; the next run continues.
  - Items that AWS refuses to delete do not stop the rest; at the end they are the reason of the failure.
  - Never bypasses governance retention. A bucket with nothing left to delete but locked versions fails
    with reason ObjectLocked and the latest date.
  - C(amazon.aws.s3_bucket) with C(force) leaves out the version id C(null) and so never ends on a bucket
    that had objects before its versioning was enabled.
author: s3-operator contributors
options:
  name:
    description: The bucket.
    type: str
    required: true
  bucket_owner:
    description: The account that must own the bucket (ExpectedBucketOwner). Empty for a store that compares none.
    type: str
    required: true
  time_s:
    description: Seconds after which the module stops.
    type: int
    default: 300
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Empty the bucket
  s3bucket_empty:
    name: my-bucket
    bucket_owner: "123456789012"
"""

RETURN = r"""
deleted:
  description: The number of deleted versions, delete markers and uploads.
  type: int
  returned: success
writers:
  description: Why others may still write into the bucket; empty when no reason is known.
  type: str
  returned: success
"""

import time

from ansible.module_utils.s3bucket.emptying import Emptying
from ansible.module_utils.s3bucket.errors import AWS_ERRORS, ReconcileError, code_of
from ansible.module_utils.s3bucket.module import make_s3_client, refuse, refuse_aws
from ansible.module_utils.s3bucket.regions import partition_of
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "bucket_owner": {"type": "str", "required": True},
            "time_s": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, deleted=0, writers="")
    deadline = time.monotonic() + module.params["time_s"]
    emptying = Emptying(
        make_s3_client(module),
        module.params["name"],
        module.params["bucket_owner"],
        lambda: time.monotonic() > deadline,
        partition_of(module.region).name,
    )
    try:
        emptying.run()
    except ReconcileError as refusal:
        refuse(module, refusal)
    except AWS_ERRORS as error:
        if code_of(error) != "NoSuchBucket":
            refuse_aws(module, f"empty bucket {module.params['name']}", error)
    module.exit_json(changed=emptying.deleted > 0, deleted=emptying.deleted, writers=emptying.writers)


if __name__ == "__main__":
    main()
