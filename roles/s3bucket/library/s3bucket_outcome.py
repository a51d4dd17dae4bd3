#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_outcome
short_description: Return the reason why a task failed
description:
  - Makes the outcome record of a run that failed from the failed task's result, and names the steps that are skipped
    because of the failure.
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
    description: The reason that one of the role's own modules returned.
    type: str
    default: ""
  code:
    description: The AWS error code that a module of amazon.aws returned.
    type: str
    default: ""
  removed:
    description: The aspects that the task had removed before it failed, from C(s3bucket_delete).
    type: list
    elements: str
    default: []
  message:
    description: The failed task's message; empty for a task that handles a key.
    type: str
    default: ""
  step:
    description: The step that the task belongs to.
    type: str
    required: true
  has_bucket:
    description: Whether the bucket existed before the run.
    type: bool
    default: false
  http_reason:
    description: The HTTP reason that a module of kubernetes.core returned.
    type: str
    default: ""
  accounts:
    description: The names of the ServiceAccounts that the task could not patch.
    type: list
    elements: str
    default: []
  http_status:
    description: The status of the API server's answer, from one of the role's own modules.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Find the reason
  s3bucket_outcome:
    task: Ensure the bucket's settings
    action: amazon.aws.iam_policy
    code: AccessDenied
    message: "Failed to set bucket versioning"
    step: settings
  register: outcome
"""

RETURN = r"""
outcome:
  description: The outcome record, with done, reason, message, retry, changed and status.
  type: dict
  returned: always
skips:
  description: The steps that do not run, or did not succeed, because of the failure.
  type: list
  elements: str
  returned: always
removed:
  description: The aspects that a deletion had removed, if the object had them, before the task failed.
  type: list
  elements: str
  returned: always
undone:
  description: The aspects that those steps repair.
  type: list
  elements: str
  returned: always
stops:
  description: Whether no further step runs, and no step of another user.
  type: bool
  returned: always
"""

import json
import re
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.s3bucket.errors import reason_of, with_field
from ansible.module_utils.s3bucket.outcome import Outcome, Reason, Retry
from ansible.module_utils.s3bucket.steps import aspects_of, is_stopping, removed_before, skipped_after

_MAX_MESSAGE = 600
# Errors of Ansible for a variable that is undefined, or cannot be decrypted or read as JSON, as an argument or in
# module_defaults. The module was not started.
_NOT_STARTED = re.compile(
    r"Finalization of task args|Error rendering template|The filter plugin '|'[^']*' is undefined|"
    r"object of type '[^']*' has no attribute "
)
# The error of the lookup that reads a CR file, as Ansible reports it.
_CR_FILE = "The lookup plugin 's3bucket_cr_file' failed: "
_STATUS_OF_REASON = {status.phrase: status.value for status in HTTPStatus}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "task": {"type": "str", "required": True},
            "action": {"type": "str", "required": True},
            "reason": {"type": "str", "default": ""},
            "code": {"type": "str", "default": ""},
            "removed": {"type": "list", "elements": "str", "default": []},
            "message": {"type": "str", "default": ""},
            "step": {"type": "str", "required": True},
            "has_bucket": {"type": "bool", "default": False},
            "accounts": {"type": "list", "elements": "str", "default": []},
            "http_reason": {"type": "str", "default": ""},
            "http_status": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    given = module.params
    is_kubernetes = given["action"].startswith("kubernetes.core.")
    outcome = of_kubernetes(given) if is_kubernetes else of_module(given)
    outcome = replace(outcome, message=outcome.message[:_MAX_MESSAGE])
    if given["step"] == "access" and outcome.reason is Reason.KUBERNETES_ERROR and is_rejected(given):
        # Kubernetes did not reject the dry run. Each retry creates a key.
        outcome = replace(outcome, retry=Retry.SLOW)
    skips = skipped_after(given["step"], outcome.reason, has_bucket=given["has_bucket"])
    module.exit_json(
        changed=False,
        outcome=outcome.to_record(),
        skips=skips,
        undone=aspects_of(skips),
        stops=is_stopping(given["step"], outcome.reason),
        removed=[*removed_before(given["task"]), *given["removed"]],
    )


def of_module(given: dict[str, Any]) -> Outcome:
    """The outcome for a failed task of any other module."""
    if _CR_FILE in given["message"]:
        return Outcome.failure(Reason.INVALID_SPEC, given["message"].rpartition(_CR_FILE)[2])
    reason = Reason.parse(given["reason"]) if given["reason"] else reason_of(given["code"], given["message"])
    if given["action"] == "s3bucket_info" and _NOT_STARTED.match(given["message"]):
        reason = Reason.INVALID_SPEC
    message = given["message"] or f"{given['task']} failed{': ' + given['code'] if given['code'] else ''}"
    return Outcome.failure(reason, message if given["reason"] else with_field(given["code"], message))


def of_kubernetes(given: dict[str, Any]) -> Outcome:
    """The outcome for a failed task of kubernetes.core."""
    status = _STATUS_OF_REASON.get(given["http_reason"], 0)
    answer = f"{given['http_reason']} ({status})" if status else ""
    answered = status_message_in(given["message"]) or given["message"]
    of = f" for {', '.join(given['accounts'])}" if given["accounts"] else ""
    message = ": ".join(text for text in (f"{given['task']} failed{of}", answered, answer) if text)
    return Outcome.failure(Reason.KUBERNETES_ERROR, message)


def is_rejected(given: dict[str, Any]) -> bool:
    """Whether Kubernetes would refuse the same again: not where an object is gone or was changed meanwhile."""
    status = given["http_status"] or _STATUS_OF_REASON.get(given["http_reason"], 0)
    return 400 <= status < 500 and status not in (404, 409, 429)


def status_message_in(text: str) -> str:
    """The message of the API server's Status object, which kubernetes.core's message contains; empty without one."""
    try:
        return str(json.JSONDecoder().raw_decode(text[text.index("{") :])[0]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


if __name__ == "__main__":
    main()
