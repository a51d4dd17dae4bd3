#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_child
short_description: Write a Secret, Service or ConfigMap of an S3 object
description:
  - Creates the object, or patches the one that C(s3bucket_info) has read, with one request.
  - Never writes over another object. The C(metadata.uid) of a manifest is that of the object that was read, and of an
    object to be created one that no object has. The module fails with reason Conflict when another one has the name.
  - C(kubernetes.core.k8s) makes up to five requests, and patches an object that it finds where none was read.
author: s3-operator contributors
options:
  manifest:
    description: The object, as C(s3bucket_info) returns it. Of a Secret, without values.
    type: dict
    required: true
  data:
    description: The values of a Secret.
    type: dict
    default: {}
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
"""

EXAMPLES = r"""
- name: Write the Service
  s3bucket_child:
    manifest: "{{ seen.plan.service }}"
    working_directory: "{{ seen.working_directory }}"
"""

RETURN = r"""
http_status:
  description: The status of the API server's answer.
  type: int
  returned: failure
s3bucket_reason:
  description: Why the object was not written.
  type: str
  returned: failure
s3bucket_message:
  description: The same in words. It holds no value of a Secret.
  type: str
  returned: when the API server has refused it
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.s3bucket.connection import CONNECTION_ARGUMENTS, connect
from ansible.module_utils.s3bucket.errors import ReconcileError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "manifest": {"type": "dict", "required": True},
            "data": {"type": "dict", "default": {}, "no_log": True},
            **CONNECTION_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True)
    manifest, data = module.params["manifest"], module.params["data"]
    if data:
        manifest = {**manifest, "data": {**manifest.get("data", {}), **data}}
    try:
        cluster, _ = connect(module, module.params["kubernetes"])
        cluster.write(manifest)
    except ReconcileError as refusal:
        module.fail_json(**refusal.to_result())
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
