# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: s3bucket_secret_data
short_description: Make the data of a Secret from an access key
description:
  - Makes each entry of a Secret in the layout of an S3 object, with the key that this run has created, or with the one
    that the Secret holds.
  - The result holds the secret access key.
author: s3-operator contributors
options:
  _input:
    description: C(secret_source) of a user in the plan of C(s3bucket_info).
    type: dict
    required: true
  issued:
    description: The result of C(amazon.aws.iam_access_key).
    type: dict
    required: true
  kept:
    description: The result of C(kubernetes.core.k8s_info) for the Secret that holds the key, when none was created.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Write the Secret
  s3bucket_child:
    manifest: "{{ user.secret }}"
    data: "{{ user.secret_source | s3bucket_secret_data(issued, {}) }}"
"""

RETURN = r"""
_value:
  description: The C(data) of the Secret.
  type: dict
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible import module_utils
from ansible.errors import AnsibleError

# Ansible provides a role's module_utils to modules, but not to plugins.
module_utils.__path__.append(str(Path(__file__).resolve().parents[1] / "module_utils"))


def secret_data(source: dict[str, Any], issued: dict[str, Any], kept: dict[str, Any]) -> dict[str, str]:
    """The data of a Secret.

    :raises AnsibleError: when the Secret does not hold the key any more
    """
    # Ansible loads this file in each task with a template. With these imports there, each of them takes 0.1 s longer.
    from ansible.module_utils.s3bucket.keys import Pair
    from ansible.module_utils.s3bucket.metadata import read_record
    from ansible.module_utils.s3bucket.secrets import Facts, data_of, find_secret_value

    facts = Facts(**source["facts"])
    if "access_key_id" in issued:
        return data_of(source["entries"], facts, issued["access_key_id"], issued["secret_access_key"])
    pair = Pair.parse(source["pair"])
    for secret in kept.get("resources") or []:
        value = find_secret_value(secret.get("data"), pair, read_record(secret)) if pair else ""
        if pair and value and secret["metadata"]["uid"] == source["kept_uid"]:
            return data_of(source["entries"], facts, pair.id, value)
    # Ansible prints this despite no_log.
    raise AnsibleError("the Secret was changed after it was read")


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"s3bucket_secret_data": secret_data}
