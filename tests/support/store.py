"""As ``world``, with an S3-compatible store in place of AWS: the same objects, role runs and operators."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dev.awsgate.client import write_key
from dev.seaweedfs import Seaweedfs
from dev.store import Store
from dev.versitygw import Versitygw
from s3bucket.capabilities import Capabilities, probe
from s3bucket.setting import Setting
from s3bucket.settings import ALL
from tests.support.world import OPERATOR_USERS, SETTINGS, World

STORE = os.environ.get("S3_OPERATOR_TEST_STORE", "versitygw")
"""The name of the store of a test session."""
STORE_CLASS: type[Store] = {store.name: store for store in (Versitygw, Seaweedfs)}[STORE]
HOST = "store.example.com"
"""The name that Services point to: a Service cannot point to an IP address."""

# The operations that a store has. https://github.com/versity/versitygw/blob/v1.8.0/s3api/router.go,
# weed/s3api/s3api_server.go of SeaweedFS
HAVING = {
    "versitygw": {
        "GetBucketAcl", "GetBucketCors", "GetBucketOwnershipControls", "GetBucketPolicy", "GetBucketVersioning",
        "GetBucketWebsite", "GetObjectLockConfiguration",
    },
    "seaweedfs": {
        "GetBucketAcl", "GetBucketCors", "GetBucketEncryption", "GetBucketLifecycleConfiguration",
        "GetBucketOwnershipControls", "GetBucketPolicy", "GetBucketVersioning", "GetObjectLockConfiguration",
        "GetPublicAccessBlock",
    },
}[STORE]  # fmt: skip
# What can be read, as if nothing was set, and not written.
READ_ONLY = {
    "versitygw": set[str](),
    "seaweedfs": {
        "GetBucketAccelerateConfiguration", "GetBucketLogging", "GetBucketNotificationConfiguration",
        "GetBucketReplication", "GetBucketRequestPayment", "GetBucketWebsite", "ListBucketAnalyticsConfigurations",
        "ListBucketIntelligentTieringConfigurations", "ListBucketInventoryConfigurations",
        "ListBucketMetricsConfigurations",
    },
}[STORE]  # fmt: skip
# In place of the example, where the store has only a part of the setting.
PARTS: dict[str, Any] = {
    "versitygw": {},
    "seaweedfs": {
        "encryption": {"encryption": {"type": "aws:kms", "kmsKeyID": "arn:aws:kms:us-east-1:123456789012:key/1234"}},
        "lifecycle": {"lifecycleRules": [{"id": "logs", "filter": {"prefix": "logs/"}, "expiration": {"days": 365}}]},
    },
}[STORE]

_ON_USERS = (
    "*User",
    "*Users",
    "*UserPolicy",
    "*UserPolicies",
    "*AccessKey",
    "*AccessKeys",
    "*AccessKeyLastUsed",
    "ListUserTags",
    "*Boundary",
)
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]},
        {"Effect": "Allow", "Action": [f"iam:{name}" for name in _ON_USERS], "Resource": ["*"]},
    ],
}


class StoreWorld(World):
    """A control plane and a store, and the ways to run the role against them.

    :ivar supported: the names of the settings that its buckets can have
    """

    def __init__(self, kubeconfig: Path, store: Store, folder: Path) -> None:
        super().__init__(kubeconfig, store, folder)
        self.capabilities = self.find_capabilities()
        self.settings = replace(
            SETTINGS, provider="Other", service_external_name=HOST, account_id=store.account or SETTINGS.account_id
        )
        self.supported = frozenset(
            setting.name for setting in ALL if setting.read.operation.name in HAVING and setting.name not in PARTS
        )

    def find_account(self) -> str:
        """The account that users have in their ARNs."""
        return str(self.aws.account) or super().find_account()

    def find_capabilities(self) -> Capabilities:
        """What the store has."""
        return probe(self.s3, self.iam, self.sts, self.aws.account)

    def make_operator(self) -> None:
        """The operator is no administrator. All policies of a user may have 2,048 bytes, so these rights are wider."""
        key = self.aws.create_user(f"{OPERATOR_USERS}store", POLICY)
        write_key(self.operator_file, key["aws_access_key_id"], key["aws_secret_access_key"])

    def environment(self, **more: str) -> dict[str, str]:
        """As for AWS, with what a user sets for a store."""
        return super().environment(**self.aws.settings(), SERVICE_EXTERNAL_NAME=HOST, **more)

    def require(self, setting: Setting) -> None:
        """Skip the test where the store's buckets cannot have the setting."""
        if setting.name in PARTS:
            lack(f"all of {setting.field}")
        if setting.name not in self.supported:
            lack(setting.read.operation.name)


def lack(capability: str) -> Any:
    """Skip the test, because the store does not have what it needs."""
    pytest.skip(f"the store does not have {capability}")
