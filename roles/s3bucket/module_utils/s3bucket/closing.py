# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Deny writes to a bucket that is being emptied.

The object's own access key has been deleted before. But the bucket's policy, its ACL, or the rights of other users may
still let others write faster than the operator deletes. An explicit Deny overrides all of these. AWS evaluates it at
each request. So presigned URLs, uploads of parts, completion of multipart uploads, and replication into the bucket
fail, too.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-policy-language-overview.html
"""

from __future__ import annotations

import json
from typing import Any

from .capabilities import bucket_arguments
from .errors import AWS_ERRORS, code_of, reason_of
from .json_types import ApiObject, AwsClient
from .outcome import Reason
from .policy import is_same_text

# Errors that are not about one call: no call can succeed now.
STOPPING = (Reason.THROTTLED, Reason.CREDENTIALS_INVALID)
_SID = "S3OperatorDeletesThisBucket"
# versitygw 1.8.0 knows no actions of replication, and refuses a policy that names them.
_ACTIONS = (("s3:PutObject*", "s3:Replicate*"), ("s3:PutObject*",))
_BLOCK = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}


def closing_policy(bucket_arn: str, actions: tuple[str, ...] = _ACTIONS[0]) -> ApiObject:
    """The bucket policy that denies everyone to write objects, or to lock versions.

    It denies no action that reads, deletes, or changes the bucket's settings, so that the policy can be removed again.
    It does not deny ``s3:DeleteObject``, because some stores require that right for the deletion of a version.
    """
    deny = {
        "Sid": _SID,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": f"{bucket_arn}/*",
    }
    return {"Version": "2012-10-17", "Statement": [deny]}


def is_closing(text: object, bucket_arn: str) -> bool:
    """Whether a bucket's policy, as AWS returns it, is :func:`closing_policy`. False for a value that is not text."""
    # A quick test first, so that most policies are not parsed.
    if not isinstance(text, str) or _SID not in text:
        return False
    return any(is_same_text(text, closing_policy(bucket_arn, actions)) for actions in _ACTIONS)


class Closing:
    """Closes one bucket to writers. Ignores the error of a call that the endpoint does not support or allow.

    :ivar problem: why others may still write; empty when no reason is known
    """

    def __init__(self, s3: AwsClient, name: str, owner: str, bucket_arn: str) -> None:
        self._s3 = s3
        self._of = bucket_arguments(name, owner)
        self._policies = [closing_policy(bucket_arn, actions) for actions in _ACTIONS]
        self.problem = ""

    def run(self) -> None:
        """Close the bucket. One call sets its policy; one blocks public ACLs: their grantees may add delete markers.

        The policy is set first. A later run that retains the bucket after all recognizes the policy and removes it.

        :raises botocore.exceptions.ClientError: when the bucket does not exist, or no call can succeed now
        """
        refused = self._put_policy()
        if refused:
            # The bucket's policy may deny only one of the two calls.
            is_removed = not self._try("delete_bucket_policy")
            self._try("put_bucket_acl", ACL="private")
            if refused == Reason.ACCESS_DENIED and not is_removed:
                self.problem = (
                    "others may be writing into it, and AWS does not let the operator change the bucket's policy "
                    "(s3:PutBucketPolicy)"
                )
        self._try("put_public_access_block", PublicAccessBlockConfiguration=_BLOCK)

    def _put_policy(self) -> Reason | None:
        refused = None
        for policy in self._policies:
            refused = self._try("put_bucket_policy", Policy=json.dumps(policy))
            if refused != Reason.INVALID_SPEC:
                # Only a store that does not know an action refuses the document itself.
                break
        return refused

    def _try(self, method: str, **arguments: Any) -> Reason | None:
        """Make the call. Return the reason of the error; None for success."""
        try:
            getattr(self._s3, method)(**self._of, **arguments)
        except AWS_ERRORS as error:
            code = code_of(error)
            reason = reason_of(code, str(error))
            if not code or code == "NoSuchBucket" or reason in STOPPING:
                raise
            return reason
        return None
