# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Block Public Access of the bucket: ``publicAccessBlock``.

A setting that is not given is on, unless the object's own ACL or policy needs it off.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..json_types import ApiObject, Json
from ..policy import is_public
from ..setting import Call, Comparison, Operation, Parsed, Read, Setting, Value
from ..values import flag_of, invalid, mapping_of
from .acl import PUBLIC_ACLS

if TYPE_CHECKING:
    from ..spec import Wanted

# Maps the field of the spec to boto3's key.
BLOCK_FIELDS = {
    "blockPublicACLs": "BlockPublicAcls",
    "ignorePublicACLs": "IgnorePublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}
_NO_BLOCK = dict.fromkeys(BLOCK_FIELDS.values(), False)
_PUT = Operation("put_public_access_block", "s3:PutBucketPublicAccessBlock")


class PublicAccessBlock(Setting):
    """The wanted value is a boolean for each field of the spec. The value read or written has the keys of boto3."""

    name = "public_access_block"
    field = "publicAccessBlock"
    order = 20
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    new_bucket = dict.fromkeys(_NO_BLOCK, True)
    read = Read(
        Operation("get_public_access_block", "s3:GetBucketPublicAccessBlock"),
        lambda answer: {**_NO_BLOCK, **answer.get("PublicAccessBlockConfiguration", {})},
        ("NoSuchPublicAccessBlockConfiguration",),
        _NO_BLOCK,
    )
    writes = (_PUT,)

    def parse(self, value: object) -> dict[str, bool]:
        given = mapping_of(value or {}, f"spec.{self.field}")
        return {
            name: flag_of(given[name], f"spec.{self.field}.{name}")
            for name in BLOCK_FIELDS
            if given.get(name) is not None
        }

    def derive(self, value: Value, parsed: Parsed) -> dict[str, bool]:
        opens_acls, opens_policy = parsed.values["acl"] in PUBLIC_ACLS, is_public(parsed.values["policy"])
        derived = {
            "blockPublicACLs": not opens_acls,
            "ignorePublicACLs": not opens_acls,
            "blockPublicPolicy": not opens_policy,
            "restrictPublicBuckets": not opens_policy,
        }
        return {**derived, **value}

    def check(self, wanted: Wanted) -> None:
        block, acl = wanted.settings[self.name], wanted.settings["acl"]
        if block["blockPublicACLs"] and acl in PUBLIC_ACLS:
            raise invalid("spec.publicAccessBlock.blockPublicACLs", f"AWS would refuse bucketACL {acl} with it")
        if block["blockPublicPolicy"] and is_public(wanted.policy):
            raise invalid(
                "spec.publicAccessBlock.blockPublicPolicy",
                "AWS would refuse a bucketPolicy that lets everyone in with it",
            )

    def is_asked(self, wanted: Wanted) -> bool:
        return any(self._is_given(wanted, name) for name in BLOCK_FIELDS)

    def target(self, case: Comparison) -> dict[str, bool]:
        # In an adopted bucket only the fields that the CR gives are managed. The request repeats the others as read,
        # because S3 turns off each setting that a request does not contain.
        found, block = case.found[self.name], case.wanted.settings[self.name]
        return {
            key: block[name] if not case.is_adopted or self._is_given(case.wanted, name) else found[key]
            for name, key in BLOCK_FIELDS.items()
        }

    def calls(self, value: Value) -> list[Call]:
        return [Call(_PUT, {"PublicAccessBlockConfiguration": value})]

    def effective(self, wanted: Wanted, is_adopted: bool) -> ApiObject:
        block = wanted.settings[self.name]
        shown = {name: value for name, value in block.items() if not is_adopted or self._is_given(wanted, name)}
        return {self.field: shown}

    def plan(self, case: Comparison) -> dict[str, tuple[Json, Json]]:
        found, target = case.found[self.name], self.target(case)
        return {f"{self.field}.{name}": (found[key], target[key]) for name, key in BLOCK_FIELDS.items()}

    def _is_given(self, wanted: Wanted, name: str) -> bool:
        return f"{self.field}.{name}" in wanted.given


SETTING = PublicAccessBlock()
