#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_connection
short_description: Check the required versions and the connection to Kubernetes
description:
  - Checks the versions of ansible-core, the collections and the Python packages, and that all options and variables of
    the environment belong to one connection. Makes no request.
  - Returns what tasks of C(kubernetes.core) need to reach the cluster of KUBECONFIG. Where it also finds a Pod's
    ServiceAccount, C(kubernetes.core) prefers that one; kubectl, the operator and C(s3bucket_info) do not.
author: s3-operator contributors
options:
  kubernetes:
    description:
      - The options of C(kubernetes.core) that lead to the cluster, as JSON text.
      - Options that are not given come from K8S_AUTH_*.
    type: str
    default: "{}"
  working_directory:
    description: Where a relative path in KUBECONFIG starts. The action plugin sets it to that of C(ansible-playbook).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Check the connection
  s3bucket_connection:
    kubernetes: "{{ {'context': 'production'} | to_json }}"
  register: connection
"""

RETURN = r"""
kubernetes:
  description: The options that tasks of C(kubernetes.core) need in addition to the given ones. Holds no secret.
  type: dict
  returned: success
s3bucket_reason:
  description: Why the connection is refused.
  type: str
  returned: failure
"""

from ansible.module_utils.s3bucket.requirements import REASON, ensure_present, find_outdated

# Before the other imports, which would fail with a traceback.
ensure_present()

import botocore.session
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.s3bucket.aspects import OPERATIONS
from ansible.module_utils.s3bucket.connection import CONNECTION_ARGUMENTS, connect
from ansible.module_utils.s3bucket.errors import ReconcileError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    outdated = find_outdated(botocore.session.get_session().get_service_model("s3"), OPERATIONS)
    if outdated:
        module.fail_json(msg=outdated, s3bucket_reason=REASON)
    try:
        _, options = connect(module, module.params["kubernetes"])
    except ReconcileError as refusal:
        module.fail_json(msg=refusal.message, s3bucket_reason=refusal.reason.value)
    module.exit_json(changed=False, kubernetes=options)


if __name__ == "__main__":
    main()
