# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Creates, changes and deletes access keys of users of a store, in place of ``amazon.aws.iam_access_key``.

On AWS only :func:`create` is used. A secret is returned once, by that function, and is never in an error.
"""

from __future__ import annotations

from .errors import failing_to
from .json_types import AwsClient
from .read import list_keys


def create(iam: AwsClient, user: str) -> dict[str, str]:
    """Create an access key; return its id and secret by the names of the module's result.

    :raises ReconcileError: for an error of AWS or the store
    """
    with failing_to(f"create an access key of IAM user {user} (iam:CreateAccessKey)"):
        key = iam.create_access_key(UserName=user)["AccessKey"]
    return {"access_key_id": str(key["AccessKeyId"]), "secret_access_key": str(key["SecretAccessKey"])}


def set_status(iam: AwsClient, user: str, key: str, *, is_active: bool) -> bool:
    """Activate or deactivate an access key; return whether it was not so.

    :raises ReconcileError: for an error of the store, as for a key that does not exist
    """
    status = "Active" if is_active else "Inactive"
    with failing_to(f"change an access key of IAM user {user} (iam:ListAccessKeys, iam:UpdateAccessKey)"):
        if list_keys(iam, user).get(key) == status:
            return False
        iam.update_access_key(UserName=user, AccessKeyId=key, Status=status)
    return True


def delete(iam: AwsClient, user: str, key: str) -> bool:
    """Delete an access key; return whether there was one.

    :raises ReconcileError: for an error of the store
    """
    with failing_to(f"delete an access key of IAM user {user} (iam:ListAccessKeys, iam:DeleteAccessKey)"):
        if key not in list_keys(iam, user):
            return False
        iam.delete_access_key(UserName=user, AccessKeyId=key)
    return True
