# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at everything that one S3 object has, settle whose it is, and say what differs.

:func:`observe` answers for an object that should be there, :func:`observe_deletion` for one that goes.
Both only read. What may not be touched is refused here, before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from . import aspects, children, owner
from .closing import is_closing
from .errors import Forbidden, NoSuchNamespace, NoSuchRegion, Refused, Unknown, code_of, is_nowhere
from .keys import KeyPlan, Pair, plan_keys
from .policy import find_replaced, is_same
from .read import find_bucket, find_bucket_policy, get_account, is_proven, read_settings
from .regions import own_region, partition_of
from .setting import Comparison
from .spec import BUCKET_NAME, USER_NAME, Wanted, check_lockout, check_namespace
from .state import BucketState, UserState
from .users import NO_RULES, UserRules, claims, due_tags, is_quarantine, may_use

# What STS answers to a key that it does not know.
_UNKNOWN_KEY = ("InvalidClientTokenId", "UnrecognizedClientException")


# So long after its user was made, a bucket without tags may be one of ours that is being created.
_CREATION = timedelta(minutes=5)


# The order in which aspects of a user and of Kubernetes are listed, after those of the bucket.
_ORDER = ("user", "user_policy", "access_key", "secret", "service")
# Of the names in a message so many are shown.
_MAX_NAMED = 2


class Users(Protocol):
    """Where IAM users are read: each by itself (``read.PerUserReader``), or all at once (``read.BulkUserReader``)."""

    def find(self, name: str) -> UserState | None: ...

    def read_rights(self, name: str, user: UserState) -> None: ...


class Cluster(Protocol):
    """Where Secrets and Services are read: the API server, or the operator's watch caches.

    ``is_wanted`` False: there should be none, so one that a cache does not show need not be asked for.
    """

    def find_secret(self, namespace: str, name: str, *, is_wanted: bool = True) -> dict[str, Any] | None: ...

    def find_service(self, namespace: str, name: str, *, is_wanted: bool = True) -> dict[str, Any] | None: ...

    def is_terminating(self, namespace: str) -> bool: ...

    def dry_run(self, manifest: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Sources:
    """Where to look, and the role's settings that matter for it.

    ``clients_of`` makes (sts, s3) clients of the key pair in a Secret, for the proof of adoption.
    ``settle_s``: for so long IAM may not show what we made; ``external_name``: the Service's target,
    or empty for one that the region tells;
    ``rules``: what the cluster forces on users; ``read_users``: reads all users of the account, for the check of who
    else claims the bucket's name; None skips that check, for a caller that changes nothing. Without a ``cluster``
    Secret and Service are taken to be in order. ``try_policy`` is called with the text of the bucket's policy before
    it is parsed. ``sts_of`` makes an STS client of another region.
    """

    s3: Any
    users: Users
    sts: Any
    cluster: Cluster | None
    clients_of: Callable[[dict[str, Any]], tuple[Any, Any]]
    now: datetime
    settle_s: float
    external_name: str
    rules: UserRules = NO_RULES
    read_users: Callable[[], dict[str, UserState]] | None = None
    try_policy: Callable[[str], None] | None = None
    sts_of: Callable[[str], Any] | None = None


@dataclass
class Observation:
    """What is to be done, for the role's tasks. Of secrets only the Secret as it was read, which goes nowhere.

    ``service_host`` is empty where there is to be no Service.
    ``origin``: owner.CREATED_ORIGIN or ADOPTED_ORIGIN, as the user's tags are to record it; empty where it is unknown.
    ``settings`` and ``tags`` (as they are, as they should be) of a bucket that is missing are those of a new one.
    ``deferred``: problems that keep some steps from being done. What those steps would repair is not in ``differs``;
    everything else of the object is maintained, and the object is not Ready.
    """

    account: str
    differs: list[str] = field(default_factory=list)
    bucket_exists: bool = False
    bucket_arguments: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    tags: tuple[dict[str, str], dict[str, str]] = ({}, {})
    is_adopted: bool = False
    origin: str = ""
    unmanaged: frozenset[str] = frozenset()
    recorded: frozenset[str] = frozenset()
    user_exists: bool = False
    user: UserState | None = None
    user_arn: str = ""
    user_tags: dict[str, str] = field(default_factory=dict)
    puts_policy: bool = False
    keys: KeyPlan = field(default_factory=KeyPlan)
    notes: list[str] = field(default_factory=list)
    secret: dict[str, Any] | None = None
    service: dict[str, Any] | None = None
    service_host: str = ""
    has_key: bool = True
    deferred: list[Refused] = field(default_factory=list)

    def defer(self, problem: Refused, *aspects: str) -> None:
        """Record a problem, and leave out the aspects whose steps it prevents."""
        self.deferred.append(problem)
        self.differs = [aspect for aspect in self.differs if aspect not in aspects]

    def defer_key(self, problem: Refused) -> None:
        """Record a problem that keeps key and Secret as they are."""
        self.defer(problem, "access_key", "secret")
        self.keys = replace(self.keys, issue=False, is_issuing=False, delete_first=[], delete_after=[])

    def comparison_with(self, wanted: Wanted) -> Comparison:
        """The bucket's settings beside what is wanted."""
        return Comparison(wanted, self.settings, self.is_adopted)

    @property
    def written(self) -> list[str]:
        """The aspects that a run writes: those that differ, and what a new user or a new access key brings with it.

        A bucket is written together with its settings and tags, so ``bucket`` stands for all of them.
        """
        brought = {"user_policy": self.puts_policy, "access_key": self.keys.issue, "secret": self.keys.issue}
        found = [*self.differs, *(name for name, is_written in brought.items() if is_written)]
        return sorted(dict.fromkeys(found), key=lambda name: _ORDER.index(name) if name in _ORDER else -1)

    @property
    def lacks(self) -> list[str]:
        """Without what nobody can use what there is, in words; all of it differs, too."""
        found = {"there is no bucket": self.bucket_exists, "the Secret holds no key that works": self.has_key}
        return [words for words, is_there in found.items() if not is_there]


def observe(wanted: Wanted, sources: Sources) -> Observation:
    """What differs for an object that should be there.

    :raises Refused: with the reason and what to do about it
    """
    account = ask_account(wanted, sources.sts, sources.sts_of)
    check_namespace(wanted, account)
    check_lockout(wanted, account)
    bucket = _find_bucket(wanted, sources, account)
    user = sources.users.find(wanted.username) if wanted.username else None
    secret, service = _children(wanted, sources)
    host = children.service_host(wanted, sources.external_name)
    _check_children(wanted, secret, service if host else None)
    if user is not None:
        sources.users.read_rights(wanted.username, user)
    proof = _seed_proof(wanted, sources, account, bucket, user, secret)
    _wait_for_s3(wanted, sources, bucket, user)
    is_adopting = _settle_bucket(wanted, bucket, user, proof)
    _settle_user(wanted, user, proof)
    _check_claims(wanted, sources, bucket, user)
    _wait_for_iam(wanted, sources, user, secret)

    seen = Observation(account=account, secret=secret, service=service, service_host=host)
    seen.origin = _new_origin(bucket, is_adopting) or _origin(wanted, user, proof)
    seen.user_arn = user.arn if user else sources.rules.arn_of(wanted.partition, account, wanted.username)
    _see_bucket(wanted, sources, seen, bucket, _policy_record(wanted, bucket, user))
    seen.notes += [
        f"spec.tags[{key}] is not in force: the operator's own tag of this key is" for key in wanted.overridden_tags
    ]
    if wanted.username:
        _see_user(wanted, sources, seen, user, proof)
    if user is not None:
        problem = _rights_problem(wanted, sources.rules, user)
        if problem:
            seen.defer_key(problem)
    _see_service(wanted, sources, seen)
    makes_children = ("secret" in seen.differs and secret is None) or (
        "service" in seen.differs and bool(seen.service_host)
    )
    if makes_children and sources.cluster and sources.cluster.is_terminating(wanted.identity.namespace):
        raise Refused("Pending", f"namespace {wanted.identity.namespace} is being deleted: nothing is made in it")
    if sources.cluster is not None:
        _try_children(wanted, sources.cluster, seen)
    return seen


def outcome_status(wanted: Wanted, seen: Observation) -> dict[str, Any]:
    """What the object's status tells of what was seen."""
    effective = {**wanted.effective(seen.is_adopted), "service": {"enabled": bool(seen.service_host)}}
    status: dict[str, Any] = {"bucketARN": wanted.bucket_arn, "effective": effective}
    if wanted.username:
        status["userARN"] = seen.user_arn
        # While there is no key in a Secret, and none will be in this run, the status shows the last one.
        if seen.has_key or not seen.deferred:
            status |= {"accessKeyID": seen.keys.live, "secretName": wanted.secret_name}
    return status


def writes_secret(wanted: Wanted, seen: Observation) -> bool:
    """Whether the Secret is to be written, with a new key pair or without."""
    return bool(wanted.username) and ("secret" in seen.differs or seen.keys.issue)


def _try_children(wanted: Wanted, cluster: Cluster, seen: Observation) -> None:
    """Ask the API server whether it would store what is to be written, before anything is.

    A key whose Secret cannot be stored would be lost, and every further try would issue another one.

    :raises NoSuchNamespace: before bucket and user are created for a namespace that does not exist
    """
    if "service" in seen.differs and seen.service_host:
        try:
            cluster.dry_run(children.service_manifest(wanted, seen.service, seen.service_host))
        except NoSuchNamespace:
            raise
        except Refused as rejection:
            seen.defer(rejection, "service")
    if writes_secret(wanted, seen):
        try:
            _try_secret(wanted, cluster, seen)
        except NoSuchNamespace:
            raise
        except Refused as rejection:
            seen.defer_key(rejection)


def _try_secret(wanted: Wanted, cluster: Cluster, seen: Observation) -> None:
    manifest = children.secret_manifest(wanted, seen.secret)
    is_replaced = seen.secret is not None and children.is_new(manifest)
    finalizers = (seen.secret or {}).get("metadata", {}).get("finalizers")
    if is_replaced and finalizers:
        raise Refused(
            "KubernetesError",
            f"Secret {wanted.secret_name} is immutable and cannot be replaced while it has finalizers "
            f"({', '.join(map(str, finalizers))}): remove them",
        )
    if seen.keys.issue:
        manifest = children.with_example_pair(manifest)
    cluster.dry_run(children.beside(manifest) if is_replaced else manifest)


def differing_settings(wanted: Wanted, s3: Any, account: str) -> dict[str, Any]:
    """The arguments of the tasks in bucket.yml for a bucket that was made just now."""
    case = Comparison(wanted, read_settings(s3, wanted.bucket, account, aspects.due_settings(wanted, {})))
    found = aspects.arguments(case, aspects.differing(case))
    if owner.INITIAL in wanted.creation_tags:
        found |= {"tags": wanted.bucket_tags, "purge_tags": True}
    return found


@dataclass
class Deletion:
    """What of an object's things is ours and there, for the role's tasks of deletion.

    ``bucket_tags``: all tags that the bucket needs before the user is deleted, if it does not have them.
    ``reopens_bucket``: an earlier run closed the bucket to writers, and now it is not to be emptied after all.
    ``deferred``: why the bucket is not known. Everything else goes, and the object is not done.
    """

    account: str
    deletes_bucket: bool = False
    reopens_bucket: bool = False
    retained_tags: dict[str, str] | None = None
    deletes_user: bool = False
    bucket_tags: dict[str, str] | None = None
    user_tags: dict[str, str] | None = None
    secret_uid: str = ""
    service_uid: str = ""
    notes: list[str] = field(default_factory=list)
    deferred: list[Refused] = field(default_factory=list)

    @property
    def differs(self) -> list[str]:
        """The aspects that there still are."""
        found = {
            "bucket": self.deletes_bucket or self.retained_tags is not None,
            "user": self.deletes_user,
            "secret": bool(self.secret_uid),
            "service": bool(self.service_uid),
        }
        return [name for name, is_there in found.items() if is_there]


def observe_deletion(wanted: Wanted, sources: Sources) -> Deletion:
    """What is to be removed. Only what carries our tags with this object's uid, or is proven to be the
    Go operator's work for it, is.

    :raises Refused: when AWS does not say what is there; NoSuchRegion: ask again where there is a region
    """
    account = ask_account(wanted, sources.sts, sources.sts_of)
    # A name that AWS does not allow cannot be there, and asking would fail for ever.
    has_bucket = bool(BUCKET_NAME.fullmatch(wanted.bucket))
    has_user = bool(USER_NAME.fullmatch(wanted.username))
    gone = Deletion(account=account)
    bucket = _find_if_shown(wanted, sources, account, gone) if has_bucket else None
    user = sources.users.find(wanted.username) if has_user else None
    secret, service = _children_of_deletion(wanted, sources)
    ours = secret if secret is not None and children.is_ours(secret, wanted) else None
    if user is not None:
        sources.users.read_rights(wanted.username, user)
    proof = _seed_proof(wanted, sources, account, bucket, user, ours)
    if has_user and user is None:
        # A user that is there goes, whatever the Secret says of its key: a tenant writes that.
        _wait_for_iam(wanted, sources, user, ours)
    if bucket is not None:
        _see_bucket_deletion(wanted, gone, bucket, proof, _origin(wanted, user, proof))
        is_kept = gone.retained_tags is not None or (gone.deletes_bucket and not wanted.force_delete)
        gone.reopens_bucket = is_kept and _is_closed(wanted, sources, account)
    if user is not None:
        if proof is not None and not owner.has_owner_tag(user.tags):
            gone.user_tags = wanted.identity.tags
        gone.deletes_user = gone.user_tags is not None or wanted.identity.is_same_life(user.tags)
        if not gone.deletes_user:
            hint = wanted.identity.cluster_hint(user.tags)
            gone.notes.append(f"IAM user {wanted.username} is not this object's and was left alone{hint}")
    gone.secret_uid = ours["metadata"].get("uid", "") if ours else ""
    if service is not None and children.is_ours(service, wanted):
        gone.service_uid = service["metadata"].get("uid", "")
    return gone


def _find_if_shown(wanted: Wanted, sources: Sources, account: str, gone: Deletion) -> BucketState | None:
    try:
        return _find_bucket(wanted, sources, account)
    except Refused as refusal:
        if refusal.reason == "BucketNameTaken":
            gone.notes.append(refusal.message)
        elif refusal.reason == "AccessDenied":
            # Who holds the key can write a policy that denies us the bucket: that must not keep the key alive.
            gone.deferred.append(refusal)
        else:
            raise
        return None


def _see_bucket_deletion(wanted: Wanted, gone: Deletion, bucket: BucketState, proof: Pair | None, origin: str) -> None:
    is_seed = proof is not None and not owner.has_owner_tag(bucket.tags)
    if not is_seed and not wanted.identity.is_same_life(bucket.tags):
        hint = wanted.identity.cluster_hint(bucket.tags)
        gone.notes.append(f"bucket {wanted.bucket} is not this object's and was left alone{hint}")
        return
    is_adopted = _is_adopted(origin, bucket)
    tags = {key: value for key, value in bucket.tags.items() if key != owner.ADOPTED or is_adopted}
    if is_adopted:
        tags.setdefault(owner.ADOPTED, "true")
    if wanted.deletion_policy_for(is_adopted) == "Retain":
        kept = owner.without_owner_tags(bucket.tags)
        gone.retained_tags = {**kept, owner.RETAINED_FROM: str(wanted.identity)}
        gone.notes.append(f"bucket {wanted.bucket} was retained")
    else:
        gone.deletes_bucket = True
        if is_seed:
            tags |= wanted.identity.tags
    # The user goes first, and what IAM records with it: the next run, if one is needed, has the bucket's tags only.
    gone.bucket_tags = tags if tags != bucket.tags else None


def _is_closed(wanted: Wanted, sources: Sources, account: str) -> bool:
    """Whether an earlier run began to empty the bucket, before the spec said to keep it or its contents."""
    try:
        text = find_bucket_policy(sources.s3, wanted.bucket, account)
    except Unknown as refusal:
        if refusal.reason == "AccessDenied":
            # The policy that closes a bucket does not deny this.
            return False
        raise
    if sources.try_policy and text is not None:
        sources.try_policy(text)
    return is_closing(text, wanted.bucket_arn)


def ask_account(wanted: Wanted, sts: Any, sts_of: Callable[[str], Any] | None = None) -> str:
    """The account that our credentials belong to.

    :param sts_of: makes an STS client of a region; None never takes the region for the cause
    :raises Refused: NoSuchRegion, or when AWS does not say
    """
    try:
        return get_account(sts)
    except Unknown as refusal:
        _blame_region(wanted, refusal)
        if sts_of is not None and code_of(refusal.__cause__ or refusal) in _UNKNOWN_KEY:
            _blame_unknown_key(wanted, refusal, sts_of)
        raise


def _blame_unknown_key(wanted: Wanted, refusal: Unknown, sts_of: Callable[[str], Any]) -> None:
    """STS of a region that the account has not enabled, or of another partition, answers as if the key did not exist.

    A home region, which cannot be disabled, tells that from a key that does not exist.
    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    own = partition_of(own_region())
    for home in dict.fromkeys((wanted.home_region, own.home)):
        if home == wanted.region:
            continue
        try:
            account = get_account(sts_of(home))
        except Unknown:
            # Not known there either, or no answer: it stays what it was.
            continue
        if home == wanted.home_region:
            why = f"is not enabled in this account ({account}), or the session token is not valid there: enable it"
        else:
            why = f"is in the partition {wanted.partition}, and this operator's credentials are of {own.name}"
        raise NoSuchRegion(
            f"spec.region: {wanted.region} {why}; or, as it cannot be changed, delete the object and create it again "
            "in another region",
            home,
        ) from refusal


def _find_bucket(wanted: Wanted, sources: Sources, account: str) -> BucketState | None:
    try:
        return find_bucket(sources.s3, wanted.bucket, account)
    except Unknown as refusal:
        _blame_region(wanted, refusal)
        raise


def _blame_region(wanted: Wanted, refusal: Unknown) -> None:
    if is_nowhere(wanted.region, refusal.__cause__):
        raise NoSuchRegion(
            f"spec.region: {wanted.region} is not known to this operator and has no endpoint that can be reached. It "
            f"cannot be changed: delete the object and create it again in a region of AWS ({refusal.message})",
            wanted.home_region,
        ) from refusal


def _children(wanted: Wanted, sources: Sources) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if sources.cluster is None:
        return None, None
    namespace, name = wanted.identity.namespace, wanted.identity.name
    secret = sources.cluster.find_secret(namespace, wanted.secret_name, is_wanted=bool(wanted.username))
    has_service = bool(children.service_host(wanted, sources.external_name))
    return secret, sources.cluster.find_service(namespace, name, is_wanted=has_service)


def _children_of_deletion(wanted: Wanted, sources: Sources) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """As :func:`_children`. In a namespace that is being deleted, the operator's rights may be deleted first.

    Secret and Service are then deleted by Kubernetes together with the namespace, and count as absent.
    https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
    """
    try:
        return _children(wanted, sources)
    except Forbidden:
        if sources.cluster is None or not sources.cluster.is_terminating(wanted.identity.namespace):
            raise
        return None, None


def _check_children(wanted: Wanted, secret: dict[str, Any] | None, service: dict[str, Any] | None) -> None:
    if secret is not None and wanted.username and not children.is_ours(secret, wanted):
        raise _foreign("Secret", wanted.secret_name)
    if service is not None and not children.is_ours(service, wanted):
        raise _foreign("Service", wanted.identity.name)


def _foreign(kind: str, name: str) -> Refused:
    return Refused(
        "Conflict",
        f"{kind} {name} exists and does not belong to this S3 object (no controller ownerReference to it): "
        f"delete or rename the {kind}, or rename the S3 object",
    )


def _seed_proof(
    wanted: Wanted,
    sources: Sources,
    account: str,
    bucket: BucketState | None,
    user: UserState | None,
    secret: dict[str, Any] | None,
) -> Pair | None:
    """The Secret's key pair, if it proves that bucket and user are the Go operator's work for this object.

    Neither may have another owner's tag, the user must carry exactly the Go operator's policy, and the
    key pair itself must be that user and reach that bucket. Needed only while one of them is untagged.
    """
    pair = children.pair_in(secret)
    if bucket is None or user is None or secret is None or pair is None or not wanted.is_live:
        return None
    is_tagged = [owner.has_owner_tag(thing.tags) for thing in (bucket, user)]
    is_ours = [wanted.identity.is_same_life(thing.tags) for thing in (bucket, user)]
    if all(is_tagged) or any(tagged and not mine for tagged, mine in zip(is_tagged, is_ours, strict=True)):
        return None
    # A bucket that was left by, or is offered to, another object is not this one's for its key's sake.
    if (
        owner.RETAINED_FROM in bucket.tags
        or bucket.tags.get(owner.ADOPT, str(wanted.identity)) != str(wanted.identity)
        or list(user.policies) != [wanted.policy_name]
        or sources.rules.foreign_rights(user, wanted.policy_name)
    ):
        return None
    if not is_same(user.policies[wanted.policy_name], wanted.user_policy):
        return None
    sts, s3 = sources.clients_of(secret)
    return pair if is_proven(sts, s3, user.arn, wanted.bucket, account) else None


def _wait_for_s3(wanted: Wanted, sources: Sources, bucket: BucketState | None, user: UserState | None) -> None:
    """Take no bucket for somebody else's that a run of ours has created, and that S3 shows without its tags yet.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
    """
    if bucket is None or bucket.tags or user is None or not wanted.identity.is_owner(user.tags):
        return
    is_creating = user.tags.get(owner.BUCKET) == wanted.bucket and not may_use(wanted.username, user, wanted.bucket)
    if is_creating and sources.now - datetime.fromisoformat(user.created) < _CREATION:
        raise Refused("Pending", f"bucket {wanted.bucket} was created, and S3 does not show its tags yet")


def _is_planted(wanted: Wanted, bucket: BucketState, user: UserState | None) -> bool:
    """Whether nothing but tags says that a bucket is this object's: it may be one that another tenant has prepared.

    Whoever had a key for it may have written any tags on it, and rules that delete or copy what is stored later. What
    the tags of a bucket that we made for this object have, and nobody else knows, is its uid. A re-created object has
    another one, and its user, which claims the bucket's name in IAM. Of an object without a user only tags can tell.
    """
    if not wanted.username or not wanted.is_live or bucket.tags.get(owner.UID) == wanted.identity.uid:
        return False
    is_claimed = (
        user is not None and wanted.identity.is_owner(user.tags) and claims(wanted.username, user, wanted.bucket)
    )
    return wanted.identity.is_owner(bucket.tags) and not is_claimed


def _settle_bucket(wanted: Wanted, bucket: BucketState | None, user: UserState | None, proof: Pair | None) -> bool:
    """Whether the bucket is adopted now. Returns only if it may be made, changed or adopted."""
    identity, name = wanted.identity, wanted.bucket
    if bucket is None:
        if wanted.adoption_policy == "Required":
            raise Refused("BucketNotFound", f"bucket {name} does not exist, and adoptionPolicy is Required: create it")
        return False
    if bucket.region and wanted.region != bucket.region and (identity.is_owner(bucket.tags) or proof):
        raise Refused("WrongRegion", f"bucket {name} is in {bucket.region}, spec.region says {wanted.region}")
    is_planted = _is_planted(wanted, bucket, user)
    is_ours = identity.is_owner(bucket.tags) and not is_planted
    if is_ours or (proof is not None and not owner.has_owner_tag(bucket.tags)):
        return False
    other = identity.owner_of(bucket.tags)
    if other and not is_planted:
        hint = identity.cluster_hint(bucket.tags)
        raise Refused("Conflict", f"bucket {name} belongs to S3 object {other}: choose another bucketName{hint}")
    if _origin(wanted, user, proof) == owner.CREATED_ORIGIN:
        raise _created_before(wanted)
    if wanted.adoption_policy == "Never" or not identity.consents_to_adoption(bucket.tags):
        what = "with owner tags that nothing in IAM confirms" if is_planted else "without this operator's owner tags"
        raise Refused(
            "Conflict",
            f"bucket {name} exists in this AWS account {what}: choose another bucketName, "
            f"or, to hand it to this object, tag it {owner.ADOPT}={identity} and set spec.adoptionPolicy: IfExists",
        )
    if bucket.region and wanted.region != bucket.region:
        raise Refused("WrongRegion", f"bucket {name} is in {bucket.region}, spec.region says {wanted.region}")
    return True


def _created_before(wanted: Wanted) -> Refused:
    """The refusal to adopt a bucket under the name of one that the operator created for the object.

    The key that the object's user has could delete that bucket, create another one and offer it; or write an offer on
    the bucket itself, whose unset fields would no longer be managed. So a person with rights in IAM decides.
    """
    return Refused(
        "Conflict",
        f"bucket {wanted.bucket} no longer has this object's owner tags, and IAM user {wanted.username} records that "
        f"the operator created it: remove the bucket's tags that begin with {owner.PREFIX}, and the operator puts "
        f"its own back; or, to adopt the bucket as it is, take the tag {owner.ORIGIN} off the user, tag the bucket "
        f"{owner.ADOPT}={wanted.identity} and set spec.adoptionPolicy: IfExists",
    )


def _settle_user(wanted: Wanted, user: UserState | None, proof: Pair | None) -> None:
    if user is None:
        return
    name, identity = wanted.username, wanted.identity
    if not identity.is_owner(user.tags) and (proof is None or owner.has_owner_tag(user.tags)):
        other = identity.owner_of(user.tags)
        whose = f"belongs to S3 object {other}" if other else "exists and was not made for this S3 object"
        hint = identity.cluster_hint(user.tags)
        raise Refused("Conflict", f"IAM user {name} {whose}: choose another iamUser.username{hint}")


def _rights_problem(wanted: Wanted, rules: UserRules, user: UserState) -> Refused | None:
    """Why no key may be issued for a user of ours: it has other rights, or AWS has put it under quarantine."""
    name = wanted.username
    quarantine = [arn for arn in user.attached if is_quarantine(arn)]
    if quarantine:
        return Refused(
            "KeyLeaked",
            f"AWS found an access key of IAM user {name} in public and attached {', '.join(quarantine)}: find out what "
            "was done with the key, delete it, and detach the policy; then a new key is issued",
        )
    foreign = rules.foreign_rights(user, wanted.policy_name)
    if not foreign:
        return None
    return Refused(
        "Conflict",
        f"IAM user {name} has rights that the operator did not give ({', '.join(foreign)}): remove them, or allow them "
        "with --allowed-policy and --allowed-group of the operator (iam.allowedPolicies and iam.allowedGroups of its "
        "chart), or s3bucket_allowed_policies and s3bucket_allowed_groups of the role",
    )


def _check_claims(wanted: Wanted, sources: Sources, bucket: BucketState | None, user: UserState | None) -> None:
    """Refuse a bucket name that another IAM user claims, and a user name that IAM would not allow.

    Nothing is created or taken over while another user's key would reach it. The bucket itself proves nothing: who has
    a key for it may delete it, create it again, and write any tags on it. Our own user's policy was put when the bucket
    was ours, so with bucket and policy in place no other user is read.
    """
    is_in_use = bucket is not None and user is not None and may_use(wanted.username, user, wanted.bucket)
    if sources.read_users is None or is_in_use:
        return
    users = sources.read_users()
    if wanted.username and user is None:
        _check_case(wanted, users)
    others = {
        name: other
        for name, other in users.items()
        if name != wanted.username and claims(name, other, wanted.bucket) and not _yields(wanted, user, name, other)
    }
    if others:
        raise _claimed(wanted, others)


def _yields(wanted: Wanted, user: UserState | None, name: str, other: UserState) -> bool:
    """Whether another user's claim counts for less than ours: it has no rights, and ours has them or is older.

    Two who create at the same time, in two clusters, may each have missed the other's claim. S3 gives the bucket to
    one of them, who then gets rights.
    """
    if user is None or may_use(name, other, wanted.bucket):
        return False
    if may_use(wanted.username, user, wanted.bucket):
        return True
    is_claiming = user.tags.get(owner.BUCKET) == wanted.bucket
    return is_claiming and (user.created, user.arn) < (other.created, other.arn)


def _claimed(wanted: Wanted, others: dict[str, UserState]) -> Refused:
    named = [f"{name} of S3 object {wanted.identity.owner_of(user.tags) or 'unknown'}" for name, user in others.items()]
    hint = next((text for user in others.values() if (text := wanted.identity.cluster_hint(user.tags))), "")
    return Refused(
        "Conflict",
        f"bucket name {wanted.bucket} is claimed by IAM user {', '.join(sorted(named))}: delete that S3 object first "
        f"(or the IAM user, if its S3 object no longer exists), or choose another bucketName{hint}",
    )


def _check_case(wanted: Wanted, users: dict[str, UserState]) -> None:
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html: names are not distinguished by case.
    same = next((name for name in users if name.lower() == wanted.username.lower() and name != wanted.username), "")
    if same:
        raise Refused(
            "Conflict",
            f"IAM user {same} exists, and IAM does not distinguish user names by case: choose another iamUser.username",
        )


def _wait_for_iam(wanted: Wanted, sources: Sources, user: UserState | None, secret: dict[str, Any] | None) -> None:
    # IAM is eventually consistent: what we made within settle_s and is not to be seen is not gone.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    # A time in the future is what somebody wrote, or another clock's: it must not hold up the object until then.
    ago = children.issued_ago_s(secret, sources.now)
    if ago is None or abs(ago) >= sources.settle_s:
        return
    pair = children.pair_in(secret)
    recorded = Pair.parse(user.tags.get(owner.KEY, "")) if user else None
    if user is None or recorded != pair or (pair is not None and pair.id not in user.keys):
        raise Refused("WaitingForIAM", f"IAM does not show user {wanted.username} and its new key everywhere yet")


def _origin(wanted: Wanted, user: UserState | None, proof: Pair | None) -> str:
    """How the bucket came to be this object's, as IAM shows it, where no key that we issue can write.

    An empty string where IAM does not: there is no user, or it was made before the record existed.
    """
    if user is None:
        return ""
    if proof is not None and not owner.has_owner_tag(user.tags):
        # Of the Go operator, taken over now: so this operator has adopted nothing for it.
        return owner.CREATED_ORIGIN
    return owner.origin_in(user.tags, wanted.bucket) if wanted.identity.is_owner(user.tags) else ""


def _new_origin(bucket: BucketState | None, is_adopting: bool) -> str:
    """What this run makes of the bucket's origin; empty where it leaves it as it is."""
    if bucket is None:
        return owner.CREATED_ORIGIN
    return owner.ADOPTED_ORIGIN if is_adopting else ""


def _is_adopted(origin: str, bucket: BucketState) -> bool:
    """Whether a bucket was adopted. Its tag, which a tenant may write, counts only where IAM has no record."""
    return origin == owner.ADOPTED_ORIGIN if origin else owner.ADOPTED in bucket.tags


def _origin_tags(wanted: Wanted, seen: Observation) -> dict[str, str]:
    return {owner.ORIGIN: owner.origin_record(seen.origin, wanted.bucket)} if seen.origin else {}


def _policy_record(wanted: Wanted, bucket: BucketState | None, user: UserState | None) -> str:
    """The record of what AWS made of the policy. Of an object with a user never the bucket's tag: its key writes it."""
    place = user if wanted.username else bucket
    return place.tags.get(owner.POLICY, "") if place else ""


def _see_bucket(wanted: Wanted, sources: Sources, seen: Observation, bucket: BucketState | None, record: str) -> None:
    if bucket is None:
        seen.differs.append("bucket")
        seen.settings, seen.tags = aspects.new_bucket(wanted), ({}, wanted.tags)
        # Only to refuse in time what a new bucket could not have either.
        aspects.differing(seen.comparison_with(wanted))
        return
    seen.bucket_exists = True
    seen.is_adopted = _is_adopted(seen.origin, bucket)
    due = aspects.due_settings(wanted, bucket.tags)
    seen.settings = {**read_settings(sources.s3, wanted.bucket, seen.account, due), "policy_record": record}
    if sources.try_policy and isinstance(seen.settings["policy"], str):
        sources.try_policy(seen.settings["policy"])
    seen.unmanaged = aspects.unmanaged_now(wanted, bucket.tags)
    seen.recorded = owner.recorded_settings(bucket.tags)
    case = seen.comparison_with(wanted)
    seen.differs += aspects.differing(case, seen.unmanaged, seen.recorded)
    if "policy" in seen.differs:
        _leave_replaced_principals(wanted, seen)
    seen.bucket_arguments = aspects.arguments(case, seen.differs)
    tags = aspects.wanted_tags(wanted, bucket, seen.is_adopted)
    seen.tags = bucket.tags, tags
    if tags != bucket.tags:
        seen.differs.append("tags")
        purges = any(key not in tags for key in bucket.tags)
        seen.bucket_arguments |= {"tags": tags, "purge_tags": purges}


def _leave_replaced_principals(wanted: Wanted, seen: Observation) -> None:
    """Keep a policy as it is whose only difference is that somebody whom it names was deleted.

    Written again it would give access to a later user or role of that name, who may be anybody's. The object's own
    user is made again by the operator, and has the access that the spec gives it.
    """
    settings = seen.settings
    arns, ids = find_replaced(settings["policy"], wanted.policy, settings["policy_record"])
    others = [arn for arn in arns if arn != seen.user_arn]
    if not others:
        return
    message = (
        f"spec.bucketPolicy: {', '.join(others[:_MAX_NAMED])} was deleted after the policy was written: AWS shows "
        f"{', '.join(ids[:_MAX_NAMED])} in its place. The policy is left as it is, since a later user or role of that "
        "name would get the access. Take the name out; or, if the present one is to have the access, change the "
        "policy in any other way too, for example its Id or a Sid"
    )
    seen.defer(Refused("InvalidSpec", message), "policy")


def _see_user(wanted: Wanted, sources: Sources, seen: Observation, user: UserState | None, proof: Pair | None) -> None:
    if user is None:
        seen.differs.append("user")
        seen.has_key = False
        seen.user_tags = {**wanted.user_tags, **_origin_tags(wanted, seen)}
        seen.puts_policy = True
        seen.keys = KeyPlan(issue=True)
        return
    seen.user_exists, seen.user = True, user
    tags = wanted.user_tags
    if not wanted.identity.uid:
        tags.pop(owner.UID)
    if any(user.tags.get(key) != value for key, value in due_tags(user, tags).items()) or sources.rules.differ(user):
        seen.differs.append("user")
    seen.notes += sources.rules.notes_on(wanted.username, user)
    seen.puts_policy = not is_same(user.policies.get(wanted.policy_name), wanted.user_policy)
    if seen.puts_policy:
        seen.differs.append("user_policy")
    recorded = proof if owner.KEY not in user.tags else Pair.parse(user.tags[owner.KEY])
    foreign_tag = user.tags.get(owner.FOREIGN_KEYS)
    # An immutable Secret that needs a change is made anew, and its pair, which never passes through here, with it.
    is_spent = (
        seen.secret is not None and bool(seen.secret.get("immutable")) and not children.has_labels(seen.secret, wanted)
    )
    in_secret = recorded if sources.cluster is None else None if is_spent else children.pair_in(seen.secret)
    too_many: Refused | None = None
    try:
        seen.keys = plan_keys(user.keys, recorded, foreign_tag, in_secret)
    except Refused as refusal:
        too_many = refusal
    is_key_sound = recorded is not None and user.keys.get(recorded.id) == "Active"
    seen.has_key = is_key_sound and recorded in (in_secret, children.pair_in(seen.secret))
    if (
        (seen.keys.differs and not is_key_sound)
        or seen.keys.is_issuing
        or (seen.keys.delete_after and not seen.keys.issue)
    ):
        seen.differs.append("access_key")
    has_secret = seen.secret is not None and children.has_labels(seen.secret, wanted)
    if in_secret != recorded or (sources.cluster and not has_secret):
        seen.differs.append("secret")
    if seen.keys.foreign:
        seen.notes.append(
            f"IAM user {wanted.username} has keys that the operator did not issue: {', '.join(seen.keys.foreign)}"
        )
    seen.user_tags = {**user.tags, **tags, **_origin_tags(wanted, seen)}
    if recorded is not None and recorded == in_secret and seen.keys.live:
        seen.user_tags[owner.KEY] = str(recorded)
    if too_many is not None:
        seen.defer_key(too_many)


def _see_service(wanted: Wanted, sources: Sources, seen: Observation) -> None:
    service = seen.service
    if wanted.service and not seen.service_host:
        seen.notes.append(
            f"there is no Service: the endpoint {sources.external_name} is an IP address, which no Service of type "
            "ExternalName can point to"
        )
    if sources.cluster is None:
        return
    if not seen.service_host:
        if service is not None and children.is_ours(service, wanted):
            seen.differs.append("service")
    elif service is None or not children.is_service_same(service, wanted, seen.service_host):
        seen.differs.append("service")
