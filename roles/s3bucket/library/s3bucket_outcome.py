#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_outcome
short_description: Tell the reason for a task that failed
description:
  - Makes the outcome record of a run that did not end well, from what the failed task said.
author: s3-operator contributors
options:
  task:
    description: The failed task's name.
    type: str
    required: true
  action:
    description: The failed task's module.
    type: str
    required: true
  reason:
    description: The reason that one of the role's own modules gave.
    type: str
    default: ""
  code:
    description: The AWS error code that a module of amazon.aws gave.
    type: str
    default: ""
  emptied:
    description: How many objects this run deleted from the bucket before the task failed.
    type: int
    default: 0
  message:
    description: The failed task's message; empty for a task that touches a key.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Tell why
  s3bucket_outcome:
    task: Ensure the bucket's settings
    action: amazon.aws.s3_bucket
    code: AccessDenied
    message: "Failed to set bucket versioning"
  register: outcome
"""

RETURN = r"""
outcome:
  description: The outcome record, with done, reason, message, retry.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.s3bucket.errors import RETRY, reason_of, with_field

_MAX_MESSAGE = 600


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "task": {"type": "str", "required": True},
            "action": {"type": "str", "required": True},
            "reason": {"type": "str", "default": ""},
            "code": {"type": "str", "default": ""},
            "emptied": {"type": "int", "default": 0},
            "message": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    reason = given["reason"] or reason_of_task(given["action"], given["code"], given["message"])
    if reason == "BucketNotEmpty" and given["emptied"]:
        # Something was written meanwhile, or the listing was behind: the run made progress, so the next one may, too.
        reason = "Emptying"
    message = given["message"] or f"{given['task']} failed{': ' + given['code'] if given['code'] else ''}"
    if not given["reason"]:
        message = with_field(given["code"], message)
    module.exit_json(
        changed=False,
        outcome={"done": False, "reason": reason, "message": message[:_MAX_MESSAGE], "retry": RETRY[reason]},
    )


def reason_of_task(action: str, code: str, message: str) -> str:
    """The reason for a failed task that gave none itself."""
    if action.startswith("kubernetes.core."):
        return "KubernetesError"
    return reason_of(code, message)


if __name__ == "__main__":
    main()
