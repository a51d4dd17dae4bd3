#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_operator
short_description: Read the settings of a run without an operator, and compare them with those of installed operators
description:
  - The settings come from the role's variables, or else from this module's environment, by the operator's names.
  - Fails when an installed operator, running or not, has other settings for the same namespace. It would undo what
    the playbook does, or keep a bucket that the playbook deletes.
  - With O(operator) the settings are those of its Deployment.
author: s3-operator contributors
options:
  operator:
    description: C(namespace/name) of an operator's Deployment whose settings are used; empty to read the environment.
    type: str
    default: ""
  namespace:
    description: The namespace of the run. Operators that do not watch it are not compared. Empty means all.
    type: str
    default: ""
  variables:
    description: The values of the role's variables, by the settings' names, as JSON text.
    type: str
    required: true
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
- name: Read the settings of an installed operator
  s3bucket_operator:
    operator: s3-operator/s3-operator
    variables: "{}"
  register: operator
"""

RETURN = r"""
settings:
  description: All settings, for s3bucket_operator_settings.
  type: dict
  returned: success
s3bucket_reason:
  description: Why nothing was read.
  type: str
  returned: failure
"""

from ansible.module_utils.s3bucket.requirements import ensure_present

# Before the other imports, which would fail with a traceback.
ensure_present()

import json
import os
from typing import Any, cast

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.s3bucket.cluster import ApiServer
from ansible.module_utils.s3bucket.connection import CONNECTION_ARGUMENTS, connect
from ansible.module_utils.s3bucket.errors import ForbiddenError, ReconcileError
from ansible.module_utils.s3bucket.outcome import Reason
from ansible.module_utils.s3bucket.role_settings import (
    Deployment,
    Read,
    RoleSettings,
    find_differences,
    of_environment,
    of_variables,
    read_deployment,
    refuse_former_names,
    watches,
)
from ansible.module_utils.s3bucket.spec import invalid

_CHART = "s3-operator-"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "operator": {"type": "str", "default": ""},
            "namespace": {"type": "str", "default": ""},
            "variables": {"type": "str", "required": True},
            **CONNECTION_ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        refuse_former_names(os.environ)
        given = {**of_environment(os.environ), **of_variables(json.loads(module.params["variables"]))}
        cluster, _ = connect(module, module.params["kubernetes"])
        if module.params["operator"]:
            settings = settings_of(cluster, module.params["operator"], given)
        else:
            settings = given
            compare_with_installed(module, cluster, given)
    except ReconcileError as refusal:
        module.fail_json(msg=refusal.message, s3bucket_reason=refusal.reason.value)
    module.exit_json(changed=False, settings=RoleSettings.from_valid(settings).to_record())


def settings_of(cluster: ApiServer, operator: str, given: dict[str, Any]) -> dict[str, Any]:
    """The settings of one Deployment. Settings that it does not show must be given.

    :raises ReconcileError: InvalidSpec when it is not an operator's, or the given settings differ
    """
    namespace, _, name = operator.partition("/")
    if not namespace or not name or "/" in name:
        raise invalid("s3bucket_operator", f"must be NAMESPACE/NAME of a Deployment, not {operator}")
    deployment = cast("Deployment | None", cluster.find_deployment(namespace, name))
    read = read_deployment(deployment) if deployment else None
    if read is None:
        problem = "does not run s3-operator" if deployment else "does not exist"
        raise invalid("s3bucket_operator", f"Deployment {operator} {problem}")
    differences = find_differences({**read.given, **given}, read)
    if differences:
        raise invalid("s3bucket_operator", f"{'; '.join(differences)}. Leave out what differs. Nothing was changed")
    return {**read.given, **given}


def compare_with_installed(module: AnsibleModule, cluster: ApiServer, given: dict[str, Any]) -> None:
    """Refuse settings that differ from those of an operator for the same namespace, even if it is scaled to 0.

    :raises ReconcileError: InvalidSpec naming the Deployment, each difference and the remedies
    """
    try:
        deployments = cast("list[Deployment]", cluster.list_deployments("helm.sh/chart"))
    except ForbiddenError as refusal:
        module.warn(f"{refusal.message}: whether an operator is installed that has other settings is not known")
        return
    for deployment in deployments:
        chart = (deployment["metadata"].get("labels") or {}).get("helm.sh/chart", "")
        if chart.startswith(_CHART) and watches(deployment, module.params["namespace"]):
            refuse_differences(deployment, given)


def refuse_differences(deployment: Deployment, given: dict[str, Any]) -> None:
    """Refuse settings that differ from those of this Deployment.

    :raises ReconcileError: InvalidSpec
    """
    read: Read | None = read_deployment(deployment)
    differences = find_differences(given, read) if read else []
    if differences:
        operator = f"{deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
        raise ReconcileError(
            Reason.INVALID_SPEC,
            f"the settings differ from those of the operator that is installed as Deployment {operator}: "
            f"{'; '.join(differences)}. Take its settings with -e s3bucket_operator={operator}, or give the same ones "
            "by variables of the environment or of the role. Nothing was changed",
        )


if __name__ == "__main__":
    main()
