#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_role
short_description: Create an S3 object's IAM role, never touching one that exists
description:
  - The call that creates the role sets its owner tags, its trust policy, its path and its permissions boundary, so that
    the role never exists without them.
  - C(amazon.aws.iam_role) takes over a role that exists. This module fails with reason Conflict instead.
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
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Create the role
  s3bucket_role:
    cr: "{{ s3bucket_cr | to_json }}"
    settings: "{{ seen.settings }}"
    defaults: "{{ s3bucket_defaults }}"
"""

RETURN = r"""
s3bucket_reason:
  description: Why the role was not created.
  type: str
  returned: failure
"""

import json

from ansible.module_utils.s3bucket.clients import refuse
from ansible.module_utils.s3bucket.errors import AWS_ERRORS, ReconcileError, code_of, unknown
from ansible.module_utils.s3bucket.json_types import AwsClient
from ansible.module_utils.s3bucket.module import make_iam_client, make_module, read_settings, read_wanted
from ansible.module_utils.s3bucket.outcome import Reason
from ansible.module_utils.s3bucket.read import listed
from ansible.module_utils.s3bucket.read_roles import find_role
from ansible.module_utils.s3bucket.role_settings import RoleSettings
from ansible.module_utils.s3bucket.roles import WantedRole, trust_policy
from ansible.module_utils.s3bucket.spec import Wanted, invalid


def main() -> None:
    """Run the module."""
    module = make_module()
    try:
        settings = read_settings(module.params["settings"])
        wanted = read_wanted(module, settings)
        if wanted.role is None:
            raise invalid("spec.iamRole", "is missing")
        if not module.check_mode:
            create_role(make_iam_client(module, settings), wanted, wanted.role, settings)
    except ReconcileError as refusal:
        refuse(module, refusal)
    module.exit_json(changed=True)


def create_role(iam: AwsClient, wanted: Wanted, role: WantedRole, settings: RoleSettings) -> None:
    """Create the role with everything but its policy.

    :raises ReconcileError: Conflict for a role of somebody else; WaitingForIAM
    """
    trust = trust_policy(role, wanted.identity.namespace, settings.role_rules)
    try:
        # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
        iam.create_role(
            RoleName=role.name,
            AssumeRolePolicyDocument=json.dumps(trust),
            Description=f"S3 object {wanted.identity}"[:1000],
            Tags=listed(wanted.role_tags),
            **settings.rules.creation,
        )
    except AWS_ERRORS as error:
        if code_of(error) != "EntityAlreadyExists":
            raise unknown(f"create IAM role {role.name} (iam:CreateRole, iam:TagRole)", error) from error
        check_existing(iam, wanted, role)


def check_existing(iam: AwsClient, wanted: Wanted, role: WantedRole) -> None:
    """Return only if the role that exists was created for this object, which an earlier read did not show.

    :raises ReconcileError: Conflict; WaitingForIAM while IAM does not show the role
    """
    found = find_role(iam, role.name)
    if found is not None and wanted.identity.is_same_object(found.tags):
        return
    if found is None:
        # Or its name differs in case: IAM does not distinguish names by case.
        raise ReconcileError(
            Reason.WAITING_FOR_IAM,
            f"IAM has a role {role.name} that it does not show yet. If this stays, a role exists with a name that "
            "differs only in case: choose another iamRole.name",
        )
    raise ReconcileError(
        Reason.CONFLICT,
        f"IAM role {role.name} was created by someone else meanwhile, and does not carry this object's owner tags "
        f"({wanted.identity.owner_of(found.tags) or 'none'}): it was left alone",
    )


if __name__ == "__main__":
    main()
