"""The examples of the bucket settings, ``examples/settings/``, for the tests and the benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from s3bucket.setting import Setting
from s3bucket.settings import ALL

FOLDER = Path(__file__).parents[1] / "examples" / "settings"
TARGETS = ("s3-operator-example-logs", "s3-operator-example-replica", "s3-operator-example-reports")
"""The buckets that examples name as targets."""
# The fields of an example that are not settings of the bucket.
_NO_SETTINGS = ("region", "bucketName", "iamUser", "deletionPolicy")


def example_of(name: str) -> dict[str, Any]:
    """Return the example of a setting, as the file has it."""
    cr: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return cr


def example_fields(name: str) -> dict[str, Any]:
    """Return the fields that the example of a setting gives: its own, and those that it needs."""
    return {key: value for key, value in example_of(name)["spec"].items() if key not in _NO_SETTINGS}


def needs_other_fields(setting: Setting) -> bool:
    """Whether the setting needs other fields, or restricts what other settings may be, as object lock does."""
    return bool(set(example_fields(setting.name)) - {setting.field})


def optional_settings(*, with_needy: bool = False) -> dict[str, Any]:
    """Return the fields of the optional settings, each with the value of its example.

    :param with_needy: also those that need other fields, which are then among the result
    """
    found: dict[str, Any] = {}
    for setting in ALL:
        if setting.is_optional and (with_needy or not needs_other_fields(setting)):
            found |= example_fields(setting.name)
    return found


def make_targets(s3: Any, account: str) -> None:
    """Create the buckets that examples name as targets. They may exist."""
    for name in TARGETS:
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        services = ["logging.s3.amazonaws.com", "s3.amazonaws.com"]
        statement = {
            "Effect": "Allow", "Principal": {"Service": services}, "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{name}/*", "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        }  # fmt: skip
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
