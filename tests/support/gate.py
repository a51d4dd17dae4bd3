"""IAM users for the tests of the gate itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def code_of(call: Callable[[], Any]) -> str:
    """The error code of a call that AWS rejects."""
    try:
        call()
    except Exception as error:
        found = getattr(error, "response", None)
        if found is None:
            raise
        return str(found["Error"]["Code"])
    return "allowed"


def make_user(iam: Any, name: str) -> tuple[str, str]:
    iam.create_user(UserName=name)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]
