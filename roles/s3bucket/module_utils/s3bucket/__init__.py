# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one S3 object should be, what it is, and what differs. Only reads. Does not import Ansible.

The role's modules and the operator's drift check both call this package, so both have the same definition of
"in sync". Nothing in here writes to AWS or to Kubernetes. Imports inside are relative, so that the package works under
any name: inside Ansible's module archive, and beside the operator.
"""
