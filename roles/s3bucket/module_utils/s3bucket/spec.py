# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an S3 object requests: its spec with the role's defaults, validated as far as possible without requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as field_of

from . import allowed, grants, metadata, owner, user_tags, verification
from .access import FIRST, NO_USER_NAME, USER_NAME, WantedUser, secret_name_of, users_of
from .json_types import ApiObject
from .metadata import Metadata
from .policy import POLICY_ACTIONS, locks_out, text_problem
from .regions import is_known, partition_of
from .roles import WantedRole, role_of
from .rotation import KEEP_OLD_KEY, ROTATE_KEY, digest_of, is_kept_by
from .secrets import WantedSecret
from .setting import Comparison, Parsed, Setting
from .settings import ALL as ALL_SETTINGS
from .user_tags import TAG_KEY, TAG_VALUE
from .users import policy_name_of
from .values import UNSAFE_KEY_PREFIX, choice_of, flag_of, mapping_of, text_of
from .values import invalid as invalid  # used as spec.invalid too

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
MAX_POLICY_NAME = 128
# What botocore can sign a request for (botocore.utils.validate_region_name). Which regions exist, only botocore, or the
# endpoint that an operator sets, knows.
REGION = re.compile(r"(?![0-9]+$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/gpbucketnamespaces.html
ACCOUNT_REGIONAL = re.compile(r".+-(\d{12})-([a-z0-9-]+)-an", re.ASCII)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html
MAX_BUCKET_TAGS = 50
# The most keys that fit the record of the tags (owner.encode_tag_record). The CRD admits fewer, which always fit beside
# the operator's own tags. An object that was stored under an earlier CRD may have this many.
MAX_TAGS = 42
# The key in wanted_of's defaults for the tags of the operator's settings.
OPERATOR_TAGS = "operatorTags"
MAX_OPERATOR_TAGS = 20
# The keys in wanted_of's defaults for the labels and annotations of every Secret, Service and ConfigMap.
OPERATOR_LABELS, OPERATOR_ANNOTATIONS = "operatorLabels", "operatorAnnotations"
# The fields that spec.unmanagedFields may name.
UNMANAGED_FIELDS = tuple(sorted([*(item.field for item in ALL_SETTINGS if item.may_be_unmanaged), "tags"]))
# The actions that every check needs on a bucket, in addition to those of its settings.
_BUCKET_ACTIONS = ("s3:ListBucket", "s3:GetBucketTagging")


@dataclass(frozen=True)
class Wanted:
    """What one S3 object requests.

    ``users``: the first one is that of ``spec.iamUser``. ``settings`` holds the wanted value of each bucket setting by
    its name; it is empty for an object that is being deleted. ``given`` names the spec fields that the CR itself sets.
    ``rotate_key`` is a digest of the annotation that requests a new key, and ``keeps_old_key`` whether the one that
    keeps the old key is set.
    """

    identity: owner.Identity
    generation: int
    is_deleting: bool
    is_live: bool
    region: str
    bucket: str
    users: tuple[WantedUser, ...]
    settings: ApiObject
    tags: dict[str, str]
    deletion_policy: str
    force_delete: bool
    adoption_policy: str
    drift_policy: str
    verify: str
    service: bool
    given: frozenset[str]
    service_metadata: Metadata = metadata.NONE
    unmanaged: frozenset[str] = frozenset()
    rotate_key: str = ""
    keeps_old_key: bool = False
    operator_tags: dict[str, str] = field_of(default_factory=dict)
    overridden_tags: tuple[str, ...] = ()
    role: WantedRole | None = None
    is_aws: bool = True

    @property
    def policy(self) -> ApiObject | None:
        """The bucket policy; None for no policy."""
        document: ApiObject | None = self.settings.get("policy")
        return document

    @property
    def object_lock(self) -> bool:
        """Whether the bucket is created with object lock."""
        return bool(self.settings.get("object_lock"))

    @property
    def username(self) -> str:
        """The first user, which claims the bucket's name in IAM; empty for none."""
        return self.users[0].username if self.users else ""

    @property
    def policy_name(self) -> str:
        """The name of the first user's inline policy."""
        return policy_name_of(self.username, self.bucket)

    @property
    def secret_name(self) -> str:
        """The name of the first user's Secret, or of the one that an object without users would have."""
        return self.users[0].secret.name if self.users else secret_name_of(self.identity.name)

    @property
    def former_users(self) -> tuple[WantedUser, ...]:
        """The users for a deletion. An object without users may still have a Secret, so it has one without a name."""
        return self.users or (WantedUser("", FIRST, WantedSecret(self.secret_name)),)

    @property
    def partition(self) -> str:
        """The ARN partition that the region is in."""
        return partition_of(self.region).name

    @property
    def home_region(self) -> str:
        """A region of the partition that every account has, for requests to IAM and for those without a region."""
        return partition_of(self.region).home

    @property
    def namespace(self) -> tuple[str, str] | None:
        """Account and region of the account regional namespace of the bucket's name; None for most names."""
        found = ACCOUNT_REGIONAL.fullmatch(self.bucket)
        return (found[1], found[2]) if found and (is_known(found[2]) or found[2] == self.region) else None

    @property
    def bucket_arn(self) -> str:
        """The bucket's ARN."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    def policy_of(self, user: WantedUser) -> ApiObject:
        """The inline policy of one of the users."""
        return grants.document(grants.statements(self.bucket_arn, user.mode, user.prefixes, is_aws=self.is_aws))

    @property
    def user_policy(self) -> ApiObject:
        """The Go operator's inline policy: all actions on the bucket and its objects, nothing else."""
        return grants.document(grants.statements(self.bucket_arn, grants.FULL, ()))

    def role_policy(self, role: WantedRole) -> ApiObject:
        """The inline policy of the role."""
        return grants.document(grants.statements(self.bucket_arn, role.mode, role.prefixes, is_aws=self.is_aws))

    @property
    def bucket_tags(self) -> dict[str, str]:
        """The tags that the bucket should have for this object."""
        record = {owner.TAG_RECORD: owner.encode_tag_record(list(self.tags))} if self.tags else {}
        return {**self.tags, **record, **self.identity.tags, **self.settings_record(is_adopted=False)}

    @property
    def creation_tags(self) -> dict[str, str]:
        """The tags in the call that creates the bucket. They record that unmanaged fields are to be applied once."""
        # The CR's tags are in that call, too.
        chosen = [item for item in ALL_SETTINGS if item.field in self.unmanaged]
        new = Comparison(self, {item.name: item.of_new_bucket(self) for item in ALL_SETTINGS} if chosen else {})
        initial = " ".join(sorted(item.field for item in chosen if item.differs(new)))
        return {**self.bucket_tags, owner.INITIAL: initial} if initial else self.bucket_tags

    def tags_of(self, user: WantedUser) -> dict[str, str]:
        """The tags in the call that creates an IAM user. With them the user claims the bucket's name."""
        given = user_tags.in_force(user.tags, self.operator_tags)
        return {**user_tags.with_record(given), **self.own_tags_of(user)}

    @property
    def overridden(self) -> list[str]:
        """The tags of the spec that the operator's own tags override, as fields."""
        of_users = [
            f"spec.{user.field}.tags[{key}]"
            for user in self.users
            for key in sorted(user.tags.keys() - user_tags.in_force(user.tags, self.operator_tags).keys())
        ]
        return [*(f"spec.tags[{key}]" for key in self.overridden_tags), *of_users]

    def own_tags_of(self, user: WantedUser) -> dict[str, str]:
        """The tags of an IAM user, whatever the spec gives.

        Those of the first user record the names of the others, so that those that the spec no longer has are found.
        """
        record = owner.users_record(self.additional_names) if user.is_first else {}
        return {**self.own_tags, **record}

    @property
    def own_tags(self) -> dict[str, str]:
        """The tags of every IAM user, and of the IAM role, whatever the spec gives."""
        return {**self.operator_tags, **self.identity.tags, owner.BUCKET: self.bucket}

    @property
    def role_tags(self) -> dict[str, str]:
        """The tags in the call that creates the IAM role. They record ServiceAccounts."""
        role = self.role
        annotated = role.service_accounts if role and role.annotate else ()
        associated = role.service_accounts if role and role.pod_identity else ()
        return {
            **self.own_tags,
            **owner.names_record(owner.SERVICE_ACCOUNTS, annotated),
            **owner.names_record(owner.ASSOCIATIONS, associated),
        }

    @property
    def additional_names(self) -> list[str]:
        """The names of the users after the first one."""
        return [user.username for user in self.users[1:]]

    def effective(self, is_adopted: bool) -> ApiObject:
        """The values in effect, for status: given values and defaults; for an adopted bucket no defaults."""
        shown: ApiObject = {}
        for setting in ALL_SETTINGS:
            if not setting.is_unmanaged(self, self.unmanaged):
                shown |= setting.effective(self, is_adopted)
        names = [item.field for item in self._optional(is_adopted)]
        return {
            **shown,
            **({"managedSettings": sorted(names)} if names else {}),
            "deletionPolicy": self.deletion_policy_for(is_adopted),
            "forceDelete": self.force_delete,
            "adoptionPolicy": self.adoption_policy,
            "driftPolicy": self.drift_policy,
            "verify": self.verify,
            "unmanagedFields": sorted(self.unmanaged),
            "service": {"enabled": self.service},
        }

    def settings_record(self, is_adopted: bool) -> dict[str, str]:
        """The tag that records which optional settings are written to the bucket; empty for none."""
        parts = [part for item in self._optional(is_adopted) for part in item.written_parts(self)]
        return {owner.SETTINGS: " ".join(sorted(parts))} if parts and not self.is_deleting else {}

    def _optional(self, is_adopted: bool) -> list[Setting]:
        """The optional settings that have a value and are managed."""
        given = [item for item in ALL_SETTINGS if item.is_optional and self.settings.get(item.name) is not None]
        return [item for item in given if item.is_managed(self, is_adopted)]

    def deletion_policy_for(self, is_adopted: bool) -> str:
        """Delete or Retain. An adopted bucket is retained unless the CR gives a policy."""
        if is_adopted and "deletionPolicy" not in self.given:
            return "Retain"
        return self.deletion_policy


def wanted_of(cr: ApiObject, cluster: str, defaults: ApiObject, *, is_aws: bool = True) -> Wanted:
    """Read a CR.

    :param cr: the S3 object, as Kubernetes or a file holds it
    :param cluster: the cluster's name in owner tags
    :param defaults: the role's ``s3bucket_defaults``: a value for each optional spec field; and, as ``operatorTags``,
        tags for every bucket and user, which override the CR's tags with the same keys; and, as ``allowedSettings``,
        the optional settings that the CR may give; and what :func:`metadata_defaults` returns
    :param is_aws: False for a store, which may not know all actions of the policies of users
    :raises ReconcileError: InvalidSpec naming the field. For an object being deleted only what deletion needs is
        checked, so that a bad spec can always be deleted.
    """
    head = mapping_of(cr.get("metadata"), "metadata")
    spec = mapping_of(cr.get("spec"), "spec")
    is_deleting = bool(head.get("deletionTimestamp"))
    identity = _identity_of(head, cluster)
    given = {name for name, value in spec.items() if value is not None}
    given |= _given_below(spec)
    common = {} if is_deleting else operator_tags_of(defaults.get(OPERATOR_TAGS) or {})
    tags = _tags(spec.get("tags") or defaults["tags"], is_deleting, MAX_TAGS - len(common))
    value = {name: spec[name] if name in given else default for name, default in defaults.items()}
    if not is_deleting:
        allowed.check({**spec, **value}, defaults.get(allowed.KEY, allowed.DEFAULT))
    service = {**defaults["service"], **mapping_of(value["service"], "spec.service")}
    both = metadata.NONE if is_deleting else common_metadata(defaults)
    wanted = Wanted(
        identity=identity,
        generation=int(head.get("generation") or 0),
        is_deleting=is_deleting,
        is_live=bool(head.get("uid")),
        region=text_of(spec.get("region", ""), "spec.region"),
        bucket=text_of(spec.get("bucketName", ""), "spec.bucketName"),
        users=users_of(spec, identity.name, None if is_deleting else both),
        settings={} if is_deleting else _settings_of({**spec, **value}, frozenset(given)),
        tags={**tags, **common},
        deletion_policy=text_of(value["deletionPolicy"], "spec.deletionPolicy"),
        force_delete=flag_of(value["forceDelete"], "spec.forceDelete"),
        adoption_policy=text_of(value["adoptionPolicy"], "spec.adoptionPolicy"),
        drift_policy=text_of(value["driftPolicy"], "spec.driftPolicy"),
        verify=text_of(value["verify"], "spec.verify"),
        service=flag_of(service.get("enabled"), "spec.service.enabled"),
        service_metadata=metadata.NONE if is_deleting else metadata.metadata_of(service, "spec.service", both),
        given=frozenset(given),
        unmanaged=_unmanaged(value["unmanagedFields"]),
        rotate_key=digest_of(_annotation(head, ROTATE_KEY)),
        keeps_old_key=is_kept_by(_annotation(head, KEEP_OLD_KEY)),
        operator_tags=common,
        role=role_of(spec, is_deleting=is_deleting),
        is_aws=is_aws,
        overridden_tags=tuple(sorted(key for key in common if tags.get(key, common[key]) != common[key])),
    )
    _check_identity(wanted)
    if not is_deleting:
        if "secret" in given and "iamUser" not in given:
            raise invalid("spec.secret", "needs spec.iamUser, of which it holds the access key")
        _check(wanted, "iamUser" in given)
    return wanted


def _identity_of(head: ApiObject, cluster: str) -> owner.Identity:
    return owner.Identity(
        cluster,
        text_of(head.get("namespace", "default"), "metadata.namespace"),
        text_of(head.get("name", ""), "metadata.name"),
        text_of(head.get("uid", ""), "metadata.uid"),
    )


def metadata_defaults(labels: Mapping[str, str], annotations: Mapping[str, str]) -> ApiObject:
    """The part of :func:`wanted_of`'s defaults for the labels and annotations of the operator's settings."""
    return {OPERATOR_LABELS: dict(labels), OPERATOR_ANNOTATIONS: dict(annotations)}


def common_metadata(defaults: ApiObject) -> Metadata:
    """The labels and annotations of the operator's settings, checked.

    :raises ReconcileError: InvalidSpec
    """
    most = metadata.MAX_DEFAULTS
    return Metadata(
        metadata.labels_of(defaults.get(OPERATOR_LABELS), "s3bucket_resource_labels", most),
        metadata.annotations_of(defaults.get(OPERATOR_ANNOTATIONS), "s3bucket_resource_annotations", most),
    )


def _annotation(head: ApiObject, name: str) -> str:
    # Of a CR file, the value may be anything.
    found = head.get("annotations")
    value = found.get(name, "") if isinstance(found, dict) else ""
    return value if isinstance(value, str) else ""


def _check_identity(wanted: Wanted) -> None:
    if not wanted.identity.name:
        raise invalid("metadata.name", "is missing")


def _check(wanted: Wanted, has_user: bool) -> None:
    # The CRD refuses all of these. Objects that were stored before the CRD had the rule, and CR files, are checked
    # here.
    if not wanted.region:
        raise invalid("spec.region", "is missing")
    if not REGION.fullmatch(wanted.region):
        raise invalid(
            "spec.region", "is not the name of a region: 1 to 63 letters, digits and '-', for example eu-west-1"
        )
    if not BUCKET_NAME.fullmatch(wanted.bucket):
        raise invalid("spec.bucketName", "is not a name that S3 allows: 3 to 63 of a-z, 0-9, '.' and '-'")
    _check_users(wanted, has_user)
    _check_role(wanted)
    for field, value, choices in (
        ("deletionPolicy", wanted.deletion_policy, ("Delete", "Retain")),
        ("adoptionPolicy", wanted.adoption_policy, ("Never", "IfExists", "Required")),
        ("driftPolicy", wanted.drift_policy, ("Correct", "Report")),
        ("verify", wanted.verify, verification.MODES),
    ):
        choice_of(value, f"spec.{field}", choices)
    if wanted.verify == verification.READ_WRITE and wanted.object_lock:
        raise invalid(
            "spec.verify", "must not be ReadWrite with enableObjectLock: what is written may never be deleted"
        )
    for setting in ALL_SETTINGS:
        setting.check(wanted)
    check_lockout(wanted)


def _check_users(wanted: Wanted, has_user: bool) -> None:
    if has_user and not USER_NAME.fullmatch(wanted.username):
        raise invalid("spec.iamUser.username", NO_USER_NAME)
    for user in wanted.users:
        if len(policy_name_of(user.username, wanted.bucket)) > MAX_POLICY_NAME:
            raise invalid(
                f"spec.{user.field}.username",
                "together with spec.bucketName it may have at most 113 characters: the policy is named after both",
            )
        grants.check_size(wanted.policy_of(user), grants.MAX_USER_POLICY, f"spec.{user.field}.prefixes")
        more = len(owner.users_record(wanted.additional_names)) if user.is_first else 0
        user_tags.check_room(user.tags, wanted.operator_tags, more, f"spec.{user.field}.tags")


def _check_role(wanted: Wanted) -> None:
    if wanted.role is not None and len(policy_name_of(wanted.role.name, wanted.bucket)) > MAX_POLICY_NAME:
        raise invalid(
            "spec.iamRole.name",
            "together with spec.bucketName it may have at most 113 characters: the policy is named after both",
        )


def check_lockout(wanted: Wanted, account: str = "") -> None:
    """Refuse a policy that would prevent the operator from managing the bucket.

    :param account: the operator's account, once it is known: a policy may name all principals in it
    :raises ReconcileError: InvalidSpec
    """
    action = locks_out(wanted.policy, wanted.bucket_arn, account, read_actions(wanted))
    if action:
        so = "only the account's root user could undo it"
        if action not in POLICY_ACTIONS:
            so = "the operator could no longer read the bucket"
        raise invalid("spec.bucketPolicy", f"denies {action} to everyone without a Condition: {so}")


def check_namespace(wanted: Wanted, account: str) -> None:
    """Refuse a name in the account regional namespace of another account or region, for which AWS reserves it.

    :raises ReconcileError: InvalidSpec
    """
    if wanted.namespace is None or wanted.namespace == (account, wanted.region):
        return
    raise invalid(
        "spec.bucketName",
        f"AWS reserves the name for account {wanted.namespace[0]} in {wanted.namespace[1]}: "
        f"end it with -{account}-{wanted.region}-an, or choose one that does not end with -an",
    )


def check_tag_count(bucket: str, tags: dict[str, str]) -> None:
    """Refuse more tags than AWS allows on a bucket.

    :param tags: all tags that the bucket would have
    :raises ReconcileError: InvalidSpec
    """
    if len(tags) > MAX_BUCKET_TAGS:
        raise invalid(
            "spec.tags",
            f"bucket {bucket} would have {len(tags)} tags, and AWS allows {MAX_BUCKET_TAGS}: remove tags from the "
            "field, or remove from the bucket tags that others have set",
        )


def read_actions(wanted: Wanted) -> list[str]:
    """The actions that reading the bucket needs. Those of an optional setting are included only while it is managed."""
    managed = [item for item in ALL_SETTINGS if item.is_managed(wanted, is_adopted=False)]
    return [*_BUCKET_ACTIONS, *(item.read.operation.action for item in managed)]


def _settings_of(values: ApiObject, given: frozenset[str]) -> ApiObject:
    """The wanted value of each setting, by its name.

    :param values: the spec, with defaults
    """
    parsed = {}
    for setting in ALL_SETTINGS:
        value = values.get(setting.field)
        parsed[setting.name] = None if setting.is_optional and value is None else setting.parse(value)
    whole = Parsed(parsed, given, values)
    return {item.name: item.derive(parsed[item.name], whole) for item in ALL_SETTINGS}


def _given_below(spec: ApiObject) -> set[str]:
    """The fields of objects in the spec that are given, with the object's name before a dot."""
    objects = {name: value for name, value in spec.items() if isinstance(value, dict)}
    return {
        f"{parent}.{name}" for parent, fields in objects.items() for name, value in fields.items() if value is not None
    }


def operator_tags_of(tags: object) -> dict[str, str]:
    """The operator's tags for every bucket and user, checked.

    :raises ReconcileError: InvalidSpec for tags that AWS would refuse
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
        # Compared without regard to case, as on the command line.
        if key.lower().startswith(("aws:", owner.PREFIX, UNSAFE_KEY_PREFIX)):
            reserved = f"the prefixes aws:, {owner.PREFIX} and {UNSAFE_KEY_PREFIX} are reserved"
            raise invalid(f"s3bucket_tags[{key}]", reserved)
    return dict(tags)


def _tags(value: object, is_deleting: bool, most: int) -> dict[str, str]:
    if is_deleting:
        return {}
    tags = mapping_of(value, "spec.tags")
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
        if key.startswith(UNSAFE_KEY_PREFIX):
            raise invalid(f"spec.tags[{key}]", f"the prefix {UNSAFE_KEY_PREFIX} is reserved")
    return dict(tags)


def _unmanaged(value: object) -> frozenset[str]:
    names = value if isinstance(value, list) else [None]
    if any(name not in UNMANAGED_FIELDS for name in names):
        raise invalid("spec.unmanagedFields", f"must be a list of {', '.join(UNMANAGED_FIELDS)}")
    return frozenset(names)
