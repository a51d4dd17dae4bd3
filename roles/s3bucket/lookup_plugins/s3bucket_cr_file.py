# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: s3bucket_cr_file
short_description: Read one S3 object from a file
description:
  - Reads the file on the machine that runs Ansible. Text in it is never evaluated as a template.
  - An error names the file.
author: s3-operator contributors
options:
  _terms:
    description: The file's path. A relative one starts at the working directory of C(ansible-playbook).
    required: true
  state:
    description: C(present), or C(absent) for an object that is to be removed. For C(absent) its uid is read, too.
    default: present
"""

EXAMPLES = r"""
- name: Reconcile the object of a file
  ansible.builtin.include_role:
    name: s3bucket
  vars:
    s3bucket_cr: "{{ lookup('s3bucket_cr_file', '~/photos.yaml') }}"
"""

RETURN = r"""
_raw:
  description: The object, with apiVersion, kind, metadata (name, namespace and, for C(absent), uid) and spec.
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible import module_utils
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

# Ansible provides a role's module_utils to modules, but not to plugins.
module_utils.__path__.append(str(Path(__file__).resolve().parents[1] / "module_utils"))

from ansible.module_utils.s3bucket.cr_file import CrFileError, read_cr_file

_STATES = ("present", "absent")


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **options: object) -> list[dict[str, Any]]:
        """Read each file as one S3 object."""
        self.set_options(var_options=variables, direct=options)
        state = self.get_option("state")
        if state not in _STATES:
            # Checked here, because Ansible's error would name an option of this plugin, and the person set the role's
            # variable.
            raise AnsibleError(f"value of s3bucket_state must be one of: {', '.join(_STATES)}, got: {state}")
        try:
            return [read_cr_file(term, state) for term in terms]
        except CrFileError as error:
            raise AnsibleError(str(error)) from None
