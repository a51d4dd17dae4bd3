"""As ``world``, with an S3-compatible store in place of AWS: the same objects, role runs and operators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dev.awsgate.client import write_key
from dev.store import Store
from s3bucket.capabilities import Capabilities, probe
from s3bucket.read import read_settings
from s3bucket.setting import Setting
from s3bucket.settings import ALL
from s3bucket.state import UNSUPPORTED
from tests.support.world import OPERATOR_USERS, SETTINGS, World

HOST = "store.example.com"
"""The name that Services point to: a Service cannot point to an IP address."""

_ON_USERS = (
    "*User",
    "*Users",
    "*UserPolicy",
    "*UserPolicies",
    "*AccessKey",
    "*AccessKeys",
    "*AccessKeyLastUsed",
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
        self.supported = self._find_supported()

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
        if setting.name not in self.supported:
            lack(setting.read.operation.name)

    def _find_supported(self) -> frozenset[str]:
        self.s3.create_bucket(Bucket="s3-operator-probe", ObjectOwnership="BucketOwnerEnforced")
        owner = self.capabilities.owner_of(self.account)
        found = read_settings(self.s3, "s3-operator-probe", owner, ALL)
        self.s3.delete_bucket(Bucket="s3-operator-probe")
        return frozenset(name for name, value in found.items() if value is not UNSUPPORTED)


def lack(capability: str) -> Any:
    """Skip the test, because the store does not have what it needs."""
    pytest.skip(f"the store does not have {capability}")
