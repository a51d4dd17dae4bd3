# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run of the role would change, and how it would end, predicted from reads: for check mode and plans.

Reads in addition to the observation are made for deletions only: whether a bucket can become empty. Never writes. An
error that AWS returns only for a write (a quota, a policy that it refuses) is not predicted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from .access import ADDITIONAL, FIRST, additional_user
from .capabilities import bucket_arguments
from .change import Change
from .errors import AWS_ERRORS, ReconcileError, code_of, reason_of
from .json_types import ApiObject, AwsClient
from .observe import Deletion, Observation, Sources, outcome_status
from .outcome import Outcome, Reason
from .planned_changes import changes_of, changes_of_deletion
from .spec import Wanted

# One page of versions is read. Where more are locked, the first ones are enough to predict it.
_LOCKS_READ = 100
_UNSET_LOCK = ("NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError")


@dataclass(frozen=True)
class Prediction:
    """What a run would change.

    ``changed``: the aspects that differ and that the run would repair. ``written``: the aspects that the run would
    report, which includes what comes with a new user or a new key. ``problem``: why the run would not succeed.
    """

    changed: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    problem: ReconcileError | None = None
    notes: list[str] = field(default_factory=list)
    status: ApiObject = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """The changes, for a person."""
        return [change.line for change in self.changes]


def predict(wanted: Wanted, seen: Observation, sources: Sources) -> Prediction:
    """Predict a run for an object that should be present."""
    problem = seen.deferred[0] if seen.deferred else None
    changes = changes_of(wanted, seen, sources)
    status = outcome_status(wanted, seen)
    return Prediction(list(seen.differs), seen.written, changes, problem, list(seen.notes), status)


def predict_deletion(wanted: Wanted, deletion: Deletion, sources: Sources) -> Prediction:
    """Predict a run for an object that is being deleted.

    The user is deleted first. While the bucket cannot be deleted, Secret and Service are not deleted either.
    """
    changes = changes_of_deletion(wanted, deletion)
    problem = deletion.deferred[0] if deletion.deferred else None
    blocked = find_obstacle(wanted, deletion, sources) if deletion.deletes_bucket else None
    if blocked is None:
        return Prediction(deletion.differs, deletion.differs, changes, problem, list(deletion.notes))
    removed = [aspect for aspect in deletion.differs if aspect == "user"]
    return Prediction(
        removed,
        removed,
        [change for change in changes if change.aspect == "user"],
        blocked,
        list(deletion.notes),
    )


def result_of(wanted: Wanted, prediction: Prediction) -> Outcome:
    """The role's result in check mode. Ready only when nothing differs."""
    changed = tuple(prediction.written)
    status = {} if changed else prediction.status
    if prediction.problem is not None:
        return replace(prediction.problem.outcome, changed=changed, status=status)
    notes = "; ".join(prediction.notes)
    if not changed:
        return Outcome(True, Reason.READY, notes, status=status)
    parts = [f"check mode: a run would {summary_of(wanted, prediction)}", notes]
    message = "; ".join(part for part in parts if part)
    return Outcome(False, Reason.WOULD_CHANGE, message, changed=changed, status=status)


def diff_of(wanted: Wanted, prediction: Prediction) -> ApiObject:
    """The changes in the form of Ansible's --diff: one line for each field, before and after."""
    name = f"S3 {wanted.identity.namespace}/{wanted.identity.name}"
    return {
        "before": {change.field: change.is_now for change in prediction.changes},
        "after": {change.field: change.would_be for change in prediction.changes},
        "before_header": f"{name} (as it is)",
        "after_header": f"{name} (as a run makes it)",
    }


def summary_of(wanted: Wanted, prediction: Prediction) -> str:
    """What would be created, updated and deleted, in one line."""
    found: dict[str, list[str]] = {}
    for aspect in prediction.changed:
        for name, changes in _named(wanted, aspect, prediction.changes):
            found.setdefault(_verb(aspect, changes), []).append(name)
    return ", ".join(f"{verb} {', '.join(things)}" for verb, things in found.items())


def _named(wanted: Wanted, aspect: str, changes: list[Change]) -> list[tuple[str, list[Change]]]:
    """What an aspect is of, in words, with its changes: for that of users, each user that has changes."""
    names = {"bucket": f"bucket {wanted.bucket}", "service": f"Service {wanted.identity.name}"}
    names |= {"role": f"IAM role {wanted.role.name}"} if wanted.role else {}
    of_users = {
        "user": "IAM user {0}",
        "user_policy": "the policy of IAM user {0}",
        "access_key": "the access key of IAM user {0}",
        "secret": "Secret {1}",
    }
    if aspect not in of_users:
        return [(names.get(aspect, f"{aspect} of the bucket"), changes)]
    own: dict[str, list[Change]] = {}
    for change in changes:
        own.setdefault(_user_field_of(change), []).append(change)
    users = {user.field: user for user in wanted.former_users}
    concerned = [name for name, mine in own.items() if any(change.aspect == aspect for change in mine)] or [FIRST]
    found = []
    for name in concerned:
        user = users.get(name) or additional_user(name.removeprefix(f"{ADDITIONAL}[")[:-1], wanted.identity.name)
        found.append((of_users[aspect].format(user.username, user.secret.name), own.get(name, changes)))
    return found


def _user_field_of(change: Change) -> str:
    """The field of the user that a change is of. The fields of the first user's key and Secret have no prefix."""
    return f"{change.field.partition(']')[0]}]" if change.field.startswith(f"{ADDITIONAL}[") else FIRST


def _verb(aspect: str, changes: list[Change]) -> str:
    values = [(change.is_now, str(change.would_be)) for change in changes if change.aspect == aspect]
    if any(before == "missing" and after == "created" for before, after in values[:1]):
        return "create"
    if any(after.startswith("retained") for _, after in values):
        return "retain"
    is_deleted = any(before == "there" and "deleted" in after for before, after in values)
    return "delete" if is_deleted else "update"


def find_obstacle(wanted: Wanted, deletion: Deletion, sources: Sources) -> ReconcileError | None:
    """Why the bucket of an object that is being deleted could not be deleted; None when reads show no reason."""
    s3, bucket = sources.s3, bucket_arguments(wanted.bucket, sources.owner_of(deletion.account))
    try:
        if not wanted.force_delete:
            page = s3.list_object_versions(**bucket, MaxKeys=1)
            return _not_empty(wanted.bucket) if page.get("Versions") or page.get("DeleteMarkers") else None
        return _find_lock(s3, bucket)
    except AWS_ERRORS as error:
        # The run itself needs fewer rights: without the right to list, it can delete an empty bucket.
        if reason_of(code_of(error), str(error)) is not Reason.ACCESS_DENIED:
            deletion.notes.append(f"whether bucket {wanted.bucket} can be deleted is not known: {error}")
        return None


def _not_empty(bucket: str) -> ReconcileError:
    return ReconcileError(
        Reason.BUCKET_NOT_EMPTY,
        f"bucket {bucket} is not empty, and spec.forceDelete is false: empty it, set spec.forceDelete: true, or set "
        "spec.deletionPolicy: Retain",
    )


def _find_lock(s3: AwsClient, bucket: dict[str, str]) -> ReconcileError | None:
    """Find object versions that are locked. Governance retention is included: the role never bypasses it."""
    try:
        lock = s3.get_object_lock_configuration(**bucket).get("ObjectLockConfiguration", {})
    except AWS_ERRORS as error:
        if code_of(error) in _UNSET_LOCK:
            return None
        raise
    if lock.get("ObjectLockEnabled") != "Enabled":
        return None
    versions = s3.list_object_versions(**bucket, MaxKeys=_LOCKS_READ).get("Versions", [])
    dates = [date for item in versions if (date := _locked_until(s3, bucket, item)) is not None]
    if not dates:
        return None
    until = max(dates).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ReconcileError(
        Reason.OBJECT_LOCKED, f"bucket {bucket['Bucket']} has object versions that are locked until {until}"
    )


def _locked_until(s3: AwsClient, bucket: dict[str, str], item: ApiObject) -> datetime | None:
    try:
        answer = s3.get_object_retention(**bucket, Key=item["Key"], VersionId=item["VersionId"])
    except AWS_ERRORS as error:
        if code_of(error) in _UNSET_LOCK:
            return None
        raise
    date: datetime | None = answer.get("Retention", {}).get("RetainUntilDate")
    return date if date is not None and date > datetime.now(UTC) else None
