# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one S3 object should be, what it is, and what differs: decided by reads alone, without Ansible.

The role's modules and the operator's drift check both call this package, so both have the same definition of
"in sync". Exceptions: ``emptying`` and ``closing`` write to AWS; ``module``, ``connection`` and ``cluster`` serve the
role's modules, and the first two of these import Ansible; ``settings/acl`` calls a function of amazon.aws. Imports
inside are relative, so that the package works under any name: inside Ansible's module archive, and beside the operator.
"""
