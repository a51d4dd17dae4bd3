# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one S3 object should be, what it is, and what differs: read only, no Ansible.

The role's modules and the operator's drift check both call this package, so there is one truth about
what "in sync" means. Nothing in here writes to AWS or to Kubernetes. Imports inside are relative, so the
package works under any name: inside Ansible's module archive and beside the operator.
"""
