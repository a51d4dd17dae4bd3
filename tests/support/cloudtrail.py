"""CloudTrail events as EventBridge puts them into a queue, in the shape that AWS documents.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-understanding-s3-entries.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
"""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

ACCOUNT = "123456789012"
PERSON = {
    "type": "IAMUser",
    "principalId": "AIDACKCEVSQ6C2EXAMPLE",
    "arn": f"arn:aws:iam::{ACCOUNT}:user/Alice",
    "accountId": ACCOUNT,
    "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
    "userName": "Alice",
}
_NUMBERS = itertools.count(1)


def role_session(role: str, session: str, account: str = ACCOUNT) -> dict[str, Any]:
    """The userIdentity of a session of an assumed role."""
    return {
        "type": "AssumedRole",
        "principalId": f"AROACKCEVSQ6C2EXAMPLE:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        "accountId": account,
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROACKCEVSQ6C2EXAMPLE",
                "arn": f"arn:aws:iam::{account}:role/{role}",
                "accountId": account,
                "userName": role,
            },
            "webIdFederationData": {},
            "attributes": {"creationDate": "2026-11-26T18:00:00Z", "mfaAuthenticated": "false"},
        },
    }


def event(service: str, name: str, parameters: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    """The event of one call of ``s3`` or ``iam``. ``fields``: of its detail, in the place of the usual ones."""
    detail = {
        "eventVersion": "1.11",
        "userIdentity": PERSON,
        "eventTime": "2026-11-26T19:00:00Z",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "198.51.100.1",
        "userAgent": "[aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux]",
        "requestParameters": parameters,
        "responseElements": None,
        "additionalEventData": {"SignatureVersion": "SigV4", "AuthenticationMethod": "AuthHeader"},
        "requestID": "EXAMPLE8F0E1A2B3",
        "eventID": str(uuid.UUID(int=next(_NUMBERS))),
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        **fields,
    }
    return {
        "version": "0",
        "id": str(uuid.UUID(int=next(_NUMBERS))),
        "detail-type": "AWS API Call via CloudTrail",
        "source": f"aws.{service}",
        "account": ACCOUNT,
        "time": detail["eventTime"],
        "region": detail["awsRegion"],
        "resources": [],
        "detail": detail,
    }


def bucket_event(name: str, bucket: str, parameters: dict[str, Any] | None = None, **fields: Any) -> str:
    """The message about a call that concerns a bucket."""
    given = {"bucketName": bucket, "Host": f"{bucket}.s3.us-east-1.amazonaws.com", **(parameters or {})}
    resources = [{"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{bucket}"}]
    return json.dumps(event("s3", name, given, **{"resources": resources, **fields}))


def user_event(name: str, user: str, parameters: dict[str, Any] | None = None, **fields: Any) -> str:
    """The message about a call that concerns an IAM user."""
    return json.dumps(event("iam", name, {"userName": user, **(parameters or {})}, **fields))
