# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an S3 object asks for: its spec with the role's defaults, checked as far as no call is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as field_of
from typing import Any

from . import owner
from .errors import Refused
from .outcome import Reason
from .policy import POLICY_ACTIONS, PolicyError, is_public, locks_out, parse, text_problem
from .regions import is_known, partition_of
from .users import policy_name_of

PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read")
# CR field -> boto3 key of the same meaning
BLOCK_FIELDS = {
    "blockPublicACLs": "BlockPublicAcls",
    "ignorePublicACLs": "IgnorePublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
USER_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
MAX_POLICY_NAME = 128
# Any label of a host: which regions there are, botocore knows, or the endpoint that an operator sets.
REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/gpbucketnamespaces.html
ACCOUNT_REGIONAL = re.compile(r".+-(\d{12})-([a-z0-9-]+)-an", re.ASCII)
MAX_TAGS = 42
# Of the operator's settings; the key in wanted_of's defaults.
OPERATOR_TAGS = "operatorTags"
MAX_OPERATOR_TAGS = 20
# What both S3 and IAM take. https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules_creating
TAG_KEY = re.compile(r"[\w .:/=+@-]{1,128}")
TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
# What spec.unmanagedFields may name.
UNMANAGED_FIELDS = ("bucketACL", "bucketPolicy", "tags")
_UNSAFE_KEY_PREFIX = "__ansible"


@dataclass(frozen=True)
class Wanted:
    """One S3 object's wishes. ``given`` names the spec fields that the CR sets itself."""

    identity: owner.Identity
    generation: int
    is_deleting: bool
    is_live: bool
    region: str
    bucket: str
    username: str
    acl: str
    object_lock: bool
    versioning: bool
    acceleration: bool
    policy: dict[str, Any] | None
    block: dict[str, bool]
    tags: dict[str, str]
    deletion_policy: str
    force_delete: bool
    adoption_policy: str
    drift_policy: str
    service: bool
    given: frozenset[str]
    unmanaged: frozenset[str] = frozenset()
    operator_tags: dict[str, str] = field_of(default_factory=dict)
    overridden_tags: tuple[str, ...] = ()

    @property
    def policy_name(self) -> str:
        """The inline policy's name."""
        return policy_name_of(self.username, self.bucket)

    @property
    def secret_name(self) -> str:
        """The Secret's name, as the Go operator made it."""
        return f"{self.identity.name}-iam-secret"

    @property
    def partition(self) -> str:
        """The ARN partition that the region is in."""
        return partition_of(self.region).name

    @property
    def home_region(self) -> str:
        """A region of the partition that every account has: IAM is asked there, and what has no region."""
        return partition_of(self.region).home

    @property
    def namespace(self) -> tuple[str, str] | None:
        """Account and region of the account regional namespace that the bucket's name is in; None for most names."""
        found = ACCOUNT_REGIONAL.fullmatch(self.bucket)
        return (found[1], found[2]) if found and (is_known(found[2]) or found[2] == self.region) else None

    @property
    def bucket_arn(self) -> str:
        """The bucket's ARN."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def user_policy(self) -> dict[str, Any]:
        """The inline policy: everything on the bucket and its objects, nothing else."""
        return {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": ["s3:*"], "Resource": [self.bucket_arn, f"{self.bucket_arn}/*"]}
            ],
        }

    @property
    def bucket_tags(self) -> dict[str, str]:
        """The tags that the bucket should have for this object."""
        record = {owner.TAG_RECORD: owner.record_of(list(self.tags))} if self.tags else {}
        return {**self.tags, **record, **self.identity.tags}

    @property
    def creation_tags(self) -> dict[str, str]:
        """The tags that the bucket gets in the call that creates it: unmanaged fields are still to be applied once."""
        # CR tags are in that call, too.
        initial = " ".join(sorted((self.unmanaged & self.given) - {"tags"}))
        return {**self.bucket_tags, owner.INITIAL: initial} if initial else self.bucket_tags

    @property
    def user_tags(self) -> dict[str, str]:
        """The tags that the IAM user gets in the call that creates it; with them it claims the bucket's name."""
        return {**self.operator_tags, **self.identity.tags, owner.BUCKET: self.bucket}

    def effective(self, is_adopted: bool) -> dict[str, Any]:
        """What is in force, for status: given values and defaults; of an adopted bucket no defaults."""
        values = {
            "bucketACL": self.acl,
            "enableVersioning": self.versioning,
            "enableObjectLock": self.object_lock,
            "enableTransferAcceleration": self.acceleration,
        }
        shown = {name: value for name, value in values.items() if not is_adopted or name in self.given}
        return {
            **shown,
            "publicAccessBlock": {
                name: value
                for name, value in self.block.items()
                if not is_adopted or f"publicAccessBlock.{name}" in self.given
            },
            "deletionPolicy": self.deletion_policy_for(is_adopted),
            "forceDelete": self.force_delete,
            "adoptionPolicy": self.adoption_policy,
            "driftPolicy": self.drift_policy,
            "unmanagedFields": sorted(self.unmanaged),
            "service": {"enabled": self.service},
        }

    def deletion_policy_for(self, is_adopted: bool) -> str:
        """Delete or Retain; an adopted bucket is retained unless the CR says otherwise."""
        if is_adopted and "deletionPolicy" not in self.given:
            return "Retain"
        return self.deletion_policy


def wanted_of(cr: dict[str, Any], cluster: str, defaults: dict[str, Any]) -> Wanted:
    """Read a CR.

    :param cr: the S3 object, as Kubernetes or a file holds it
    :param cluster: the cluster's name in owner tags
    :param defaults: the role's ``s3bucket_defaults``: a value for each optional spec field; and, as ``operatorTags``,
        tags for every bucket and user, which count more than the CR's of the same key
    :raises Refused: InvalidSpec naming the field. For an object being deleted only what deletion needs is
        checked, so that a bad spec can always be deleted.
    """
    metadata = _mapping(cr.get("metadata"), "metadata")
    spec = _mapping(cr.get("spec"), "spec")
    is_deleting = bool(metadata.get("deletionTimestamp"))
    given = {name for name, value in spec.items() if value is not None}
    block = _mapping(spec.get("publicAccessBlock") or {}, "spec.publicAccessBlock")
    given |= {f"publicAccessBlock.{name}" for name, value in block.items() if value is not None}
    common = {} if is_deleting else operator_tags_of(defaults.get(OPERATOR_TAGS) or {})
    tags = _tags(spec.get("tags") or defaults["tags"], is_deleting, MAX_TAGS - len(common))
    value = {name: spec[name] if name in given else default for name, default in defaults.items()}
    user = _mapping(spec.get("iamUser") or {}, "spec.iamUser")
    policy = {} if is_deleting else _policy(value["bucketPolicy"])
    acl = _text(value["bucketACL"], "spec.bucketACL")
    wanted = Wanted(
        identity=owner.Identity(
            cluster,
            _text(metadata.get("namespace", "default"), "metadata.namespace"),
            _text(metadata.get("name", ""), "metadata.name"),
            _text(metadata.get("uid", ""), "metadata.uid"),
        ),
        generation=int(metadata.get("generation") or 0),
        is_deleting=is_deleting,
        is_live=bool(metadata.get("uid")),
        region=_text(spec.get("region", ""), "spec.region"),
        bucket=_text(spec.get("bucketName", ""), "spec.bucketName"),
        username=_text(user.get("username", ""), "spec.iamUser.username"),
        acl=acl,
        object_lock=_flag(value, "enableObjectLock"),
        versioning=_flag(value, "enableVersioning")
        or ("enableVersioning" not in given and _flag(value, "enableObjectLock")),
        acceleration=_flag(value, "enableTransferAcceleration"),
        policy=policy or None,
        block=_block(block, acl, policy),
        tags={**tags, **common},
        deletion_policy=_text(value["deletionPolicy"], "spec.deletionPolicy"),
        force_delete=_flag(value, "forceDelete"),
        adoption_policy=_text(value["adoptionPolicy"], "spec.adoptionPolicy"),
        drift_policy=_text(value["driftPolicy"], "spec.driftPolicy"),
        service=_flag({**defaults["service"], **_mapping(value["service"], "spec.service")}, "enabled", "service."),
        given=frozenset(given),
        unmanaged=_unmanaged(value["unmanagedFields"]),
        operator_tags=common,
        overridden_tags=tuple(sorted(key for key in common if tags.get(key, common[key]) != common[key])),
    )
    _check_identity(wanted)
    if not is_deleting:
        _check(wanted, "iamUser" in given)
    return wanted


def invalid(field: str, message: str) -> Refused:
    """The refusal of a field's value."""
    return Refused(Reason.INVALID_SPEC, f"{field}: {message}")


def _check_identity(wanted: Wanted) -> None:
    if not wanted.identity.name:
        raise invalid("metadata.name", "is missing")


def _check(wanted: Wanted, has_user: bool) -> None:
    # The CRD refuses all of this; objects stored before it, and CR files of people, come this way too.
    if not wanted.region:
        raise invalid("spec.region", "is missing")
    if not REGION.fullmatch(wanted.region):
        raise invalid("spec.region", "is not the name of a region: 1 to 32 of a-z, 0-9 and '-', for example eu-west-1")
    if not BUCKET_NAME.fullmatch(wanted.bucket):
        raise invalid("spec.bucketName", "is not a name that S3 allows: 3 to 63 of a-z, 0-9, '.' and '-'")
    if has_user and not USER_NAME.fullmatch(wanted.username):
        raise invalid("spec.iamUser.username", "is not a name that IAM allows: 1 to 64 of A-Z, a-z, 0-9, _+=,.@-")
    if has_user and len(wanted.policy_name) > MAX_POLICY_NAME:
        raise invalid(
            "spec.iamUser.username",
            "together with spec.bucketName it may have at most 113 characters: the policy is named after both",
        )
    for field, value, choices in (
        ("bucketACL", wanted.acl, ("private", *PUBLIC_ACLS)),
        ("deletionPolicy", wanted.deletion_policy, ("Delete", "Retain")),
        ("adoptionPolicy", wanted.adoption_policy, ("Never", "IfExists", "Required")),
        ("driftPolicy", wanted.drift_policy, ("Correct", "Report")),
    ):
        if value not in choices:
            raise invalid(f"spec.{field}", f"must be one of {', '.join(choices)}")
    if wanted.object_lock and not wanted.versioning:
        raise invalid("spec.enableVersioning", "must not be false with enableObjectLock: object lock needs versions")
    if wanted.acceleration and "." in wanted.bucket:
        raise invalid("spec.enableTransferAcceleration", "does not work for a bucketName with a dot")
    _check_block(wanted)
    check_lockout(wanted)


def check_lockout(wanted: Wanted, account: str = "") -> None:
    """Refuse a policy after which the operator could do nothing for the bucket any more.

    :param account: the operator's own, once it is known: a policy may name all in it
    :raises Refused: InvalidSpec
    """
    action = locks_out(wanted.policy, wanted.bucket_arn, account)
    if action:
        so = "only the account's root user could undo it"
        if action not in POLICY_ACTIONS:
            so = "the operator could not look at the bucket any more"
        raise invalid("spec.bucketPolicy", f"denies {action} to everyone without a Condition: {so}")


def check_namespace(wanted: Wanted, account: str) -> None:
    """Refuse a name in the account regional namespace of another account or region, which AWS reserves for that one.

    :raises Refused: InvalidSpec
    """
    if wanted.namespace is None or wanted.namespace == (account, wanted.region):
        return
    raise invalid(
        "spec.bucketName",
        f"AWS reserves the name for account {wanted.namespace[0]} in {wanted.namespace[1]}: "
        f"end it with -{account}-{wanted.region}-an, or choose one that does not end with -an",
    )


def _check_block(wanted: Wanted) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    if wanted.block["blockPublicACLs"] and wanted.acl in PUBLIC_ACLS:
        raise invalid("spec.publicAccessBlock.blockPublicACLs", f"AWS would refuse bucketACL {wanted.acl} with it")
    if wanted.block["blockPublicPolicy"] and is_public(wanted.policy):
        raise invalid(
            "spec.publicAccessBlock.blockPublicPolicy", "AWS would refuse a bucketPolicy that lets everyone in with it"
        )


def _policy(text: Any) -> dict[str, Any]:
    if not isinstance(text, str):
        raise invalid("spec.bucketPolicy", "must be a string that holds a JSON object")
    try:
        return parse(text)
    except PolicyError as error:
        raise invalid("spec.bucketPolicy", str(error)) from error


def _block(given: dict[str, Any], acl: str, policy: dict[str, Any] | None) -> dict[str, bool]:
    # Not given: as closed as the CR's own ACL and policy allow (features.md, decision b).
    may_acl, may_policy = acl in PUBLIC_ACLS, is_public(policy)
    derived = {
        "blockPublicACLs": not may_acl,
        "ignorePublicACLs": not may_acl,
        "blockPublicPolicy": not may_policy,
        "restrictPublicBuckets": not may_policy,
    }
    return {
        name: _flag(given, name, "publicAccessBlock.") if given.get(name) is not None else derived[name]
        for name in BLOCK_FIELDS
    }


def operator_tags_of(tags: Any) -> dict[str, str]:
    """The operator's tags for every bucket and user, checked.

    :raises Refused: InvalidSpec for what AWS would not take
    """
    if not isinstance(tags, dict) or len(tags) > MAX_OPERATOR_TAGS:
        raise invalid("s3bucket_tags", f"must be a map of at most {MAX_OPERATOR_TAGS} tags")
    for key, text in tags.items():
        if not (
            isinstance(key, str) and TAG_KEY.fullmatch(key) and isinstance(text, str) and TAG_VALUE.fullmatch(text)
        ):
            raise invalid(
                f"s3bucket_tags[{ascii(key)[1:-1]}]", "is not a tag that AWS allows: letters, digits, _.:/=+-@"
            )
        # In any case, as the command line refuses them.
        if key.lower().startswith(("aws:", owner.PREFIX, _UNSAFE_KEY_PREFIX)):
            reserved = f"the prefixes aws:, {owner.PREFIX} and {_UNSAFE_KEY_PREFIX} are reserved"
            raise invalid(f"s3bucket_tags[{key}]", reserved)
    return dict(tags)


def _tags(value: Any, is_deleting: bool, most: int) -> dict[str, str]:
    if is_deleting:
        return {}
    tags = _mapping(value, "spec.tags")
    if len(tags) > most:
        raise invalid("spec.tags", f"has {len(tags)} tags: at most {most} fit beside the operator's own")
    for key, text in tags.items():
        if not isinstance(text, str):
            raise invalid(f"spec.tags[{key}]", "must be a string: put it in quotes")
        problem = text_problem(key) or text_problem(text)
        if problem:
            raise invalid(f"spec.tags[{ascii(key)[1:-1]}]", f"holds {problem}")
        if key.lower().startswith("aws:") or key.startswith(owner.PREFIX):
            raise invalid(f"spec.tags[{key}]", f"the prefixes aws: and {owner.PREFIX} are reserved")
        if key.startswith(_UNSAFE_KEY_PREFIX):
            raise invalid(f"spec.tags[{key}]", f"the prefix {_UNSAFE_KEY_PREFIX} is reserved")
    return dict(tags)


def _unmanaged(value: Any) -> frozenset[str]:
    names = value if isinstance(value, list) else [None]
    if any(name not in UNMANAGED_FIELDS for name in names):
        raise invalid("spec.unmanagedFields", f"must be a list of {', '.join(UNMANAGED_FIELDS)}")
    return frozenset(names)


def _mapping(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(field, "is missing" if value is None else "must be an object")
    return value


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise invalid(field, "must be a string: put it in quotes")
    problem = text_problem(value)
    if problem:
        raise invalid(field, f"holds {problem}")
    return value


def _flag(values: dict[str, Any], name: str, parent: str = "") -> bool:
    value = values.get(name)
    if not isinstance(value, bool):
        raise invalid(f"spec.{parent}{name}", "must be true or false")
    return value
