#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_association
short_description: Create and delete EKS Pod Identity associations of an S3 object's IAM role
description:
  - The call that creates an association sets its owner tags. One that exists is never changed.
  - The cluster and its region come from the setting C(eks_cluster_arn).
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
  role_arn:
    description: The ARN of the IAM role. Required with O(created).
    type: str
    default: ""
  created:
    description: The names of the ServiceAccounts that get an association with the role.
    type: list
    elements: str
    default: []
  deleted:
    description: The ids of associations to delete, which the caller has found to be the object's own.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Create the association of ServiceAccount web
  s3bucket_association:
    cr: "{{ s3bucket_cr | to_json }}"
    settings: "{{ seen.settings }}"
    defaults: "{{ s3bucket_defaults }}"
    role_arn: arn:aws:iam::111122223333:role/photos
    created: [web]
"""

RETURN = r"""
s3bucket_reason:
  description: Why an association was not created or deleted.
  type: str
  returned: failure
"""

from functools import partial
from typing import Any

from ansible.module_utils.s3bucket.associations import create_association, delete_association, try_each
from ansible.module_utils.s3bucket.clients import make_client, refuse
from ansible.module_utils.s3bucket.errors import ReconcileError
from ansible.module_utils.s3bucket.module import make_module, read_settings, read_wanted

_ARGUMENTS: dict[str, Any] = {
    "role_arn": {"type": "str", "default": ""},
    "created": {"type": "list", "elements": "str", "default": []},
    "deleted": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    """Run the module."""
    module = make_module(**_ARGUMENTS)
    given = module.params
    try:
        settings = read_settings(given["settings"])
        wanted, rules = read_wanted(module, settings), settings.role_rules
        eks = make_client(module, "eks", region=rules.eks_region)
        make = partial(
            create_association,
            eks,
            rules.eks_name,
            wanted.identity.namespace,
            arn=given["role_arn"],
            tags=wanted.own_tags,
        )
        if not module.check_mode:
            try_each(partial(delete_association, eks, rules.eks_name), given["deleted"])
            try_each(make, given["created"])
    except ReconcileError as refusal:
        refuse(module, refusal)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
