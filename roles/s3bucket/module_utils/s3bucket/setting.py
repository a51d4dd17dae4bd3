# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The type of a bucket setting. Each file of ``settings/`` holds one :class:`Setting` that states everything about it.

Derived from the settings, and not repeated anywhere: what is read, compared and written, and in which order; the plan;
``status.effective``; the role's defaults; the values of a new bucket; the actions that a bucket policy must not deny;
the operator's least-privilege policy; and the rights that the gate in front of moto requires.

A setting only describes. ``read`` does the reading, and the module ``s3bucket_settings`` the writing, in the role's
run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .errors import UNSUPPORTED_CODES, ReconcileError, code_of
from .json_types import ApiObject, AwsClient
from .outcome import Reason

if TYPE_CHECKING:
    from .spec import Wanted

Value: TypeAlias = Any
"""The value of a setting: each file of ``settings/`` has its own type."""

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: the value of a setting is refused.
_REFUSAL_CODES = (
    "CrossLocationLoggingProhibited",
    "InvalidArgument",
    "InvalidBucketAclWithObjectOwnership",
    "InvalidBucketState",
    "InvalidRequest",
    "MalformedXML",
)


class Operation(NamedTuple):
    """An operation of the S3 API: the method of boto3's client, and the IAM action that allows it."""

    method: str
    action: str

    @property
    def name(self) -> str:
        """The operation's name in the S3 API, for example GetBucketAcl."""
        return "".join(part.capitalize() for part in self.method.split("_"))


class Call(NamedTuple):
    """A request that writes; bucket and expected owner are added to the arguments."""

    operation: Operation
    arguments: ApiObject


@dataclass(frozen=True)
class Read:
    """How a setting is read.

    ``take`` extracts the value from the answer. ``unset_codes`` are the error codes that mean that nothing is set, and
    ``unset`` is the value for them. An answer with one of ``unsupported_codes`` makes the value UNSUPPORTED.
    ``is_needed`` decides from the settings before it in the order whether a request is necessary. Without a request the
    value is ``unset``. ``fetch`` replaces the plain call, for example to read several pages: it gets the client and the
    arguments that name the bucket.
    """

    operation: Operation
    take: Callable[[ApiObject], Value]
    unset_codes: tuple[str, ...] = ()
    unset: Value = None
    unsupported_codes: tuple[str, ...] = UNSUPPORTED_CODES
    is_needed: Callable[[ApiObject], bool] = lambda found: True
    fetch: Callable[[AwsClient, dict[str, str]], ApiObject] | None = None


class Parsed(NamedTuple):
    """The content of a spec for all settings: the value by the setting's name, and the fields that are given.

    ``spec`` is the spec with the operator's defaults, for a value that takes more than one field.
    """

    values: ApiObject
    given: frozenset[str]
    spec: ApiObject


@dataclass(frozen=True)
class Comparison:
    """The current state of a bucket, and the wanted state.

    :param found: the value by the setting's name, as read; and ``policy_record`` (see ``policy.record_of``)
    :param is_adopted: whether the bucket was adopted; only the fields that the spec gives are managed in such a bucket
    :param recorded: what the bucket's tag records as written (:meth:`Setting.written_parts`)
    """

    wanted: Wanted
    found: ApiObject = field(default_factory=dict)
    is_adopted: bool = False
    recorded: frozenset[str] = frozenset()


class Setting:
    """One setting of a bucket. The defaults fit a setting that is compared and written as a whole.

    :cvar name: the aspect, as in ``status.drift``
    :cvar field: the field of the spec
    :cvar more_fields: other fields of the spec that are part of the value; :meth:`derive` adds them
    :cvar more_parts: what :meth:`written_parts` may return in addition to the name
    :cvar order: its place in the order of reading, comparing and writing; settings with the same number follow their
        names. Public access block before ACL and policy, ownership before ACL, versioning before object lock.
        :meth:`write_order` may move it.
    :cvar default: what the role's ``s3bucket_defaults`` hold for the field; None for no default
    :cvar is_optional: read, compared and written only while the spec (or the operator's defaults) gives a value, and
        cleared once it no longer does. A tag of the bucket records which of them were written (``owner.SETTINGS``).
    :cvar is_allowed_by_default: False for an optional setting that objects may use only once the administrator allows
        it (``allowed``)
    :cvar is_derived: an optional setting that is also managed while the value of a field that is not optional needs it
    :cvar new_bucket: the value of a bucket that AWS has just created, and of one where the setting was cleared
    :cvar lag_texts: parts of refusals (a code, or words) that may pass seconds after an earlier setting of the same run
        was written; the request is sent again then
    :cvar may_be_left_over: whether :meth:`is_leftover` may be true for a bucket of an earlier object
    :cvar is_in_status: whether ``status.effective`` shows the value
    :cvar passing: parts of AWS's refusals of which the spec is not the cause, each with the remedy: the run is tried
        again soon, as others may have created or changed a target by then
    :cvar denied: what AccessDenied may be about other than the request itself, with the remedy; empty for nothing
    :cvar writes: every operation that :meth:`calls` uses, and what the creation of the bucket needs for the setting
    """

    name: str
    field: str
    more_fields: tuple[str, ...] = ()
    more_parts: tuple[str, ...] = ()
    order: int = 100
    default: Value = None
    is_optional: bool = False
    is_derived: bool = False
    is_allowed_by_default: bool = True
    new_bucket: Value = None
    lag_texts: tuple[str, ...] = ()
    may_be_left_over: bool = False
    is_in_status: bool = True
    passing: Mapping[str, str] = MappingProxyType({})
    denied: str = ""
    read: Read
    writes: tuple[Operation, ...] = ()

    @property
    def may_be_unmanaged(self) -> bool:
        """Whether ``spec.unmanagedFields`` may name the field: without a value in the spec, a default is written."""
        return not self.is_optional

    def parse(self, value: object) -> Value:
        """Return the wanted value for a value of the field. Not called for an optional setting without a value.

        :raises ReconcileError: InvalidSpec naming the field
        """
        return value

    def derive(self, value: Value, parsed: Parsed) -> Value:
        """Return the wanted value where it also depends on other fields."""
        return value

    def check(self, wanted: Wanted) -> None:
        """Refuse a value that contradicts other fields.

        :raises ReconcileError: InvalidSpec naming the field
        """

    def is_asked(self, wanted: Wanted) -> bool:
        """Whether the spec requests something that an endpoint without this setting cannot provide."""
        return bool(wanted.settings[self.name])

    def is_managed(self, wanted: Wanted, is_adopted: bool) -> bool:
        """Whether the setting is compared and written."""
        if is_adopted:
            return any(name.split(".")[0] == self.field for name in wanted.given)
        return not self.is_optional or wanted.settings[self.name] is not None

    def is_unmanaged(self, wanted: Wanted, fields: frozenset[str]) -> bool:
        """Whether the setting is neither read, compared nor written now.

        :param fields: the fields of ``spec.unmanagedFields`` that the creation of the bucket has applied
        """
        return self.field in fields

    def of_new_bucket(self, wanted: Wanted) -> Value:
        """Return the value of the bucket that CreateBucket makes for this object."""
        return self.new_bucket

    def target(self, case: Comparison) -> Value:
        """Return the value that the bucket should have.

        An optional setting that is not managed is compared only to be cleared. In an adopted bucket it may have a value
        nevertheless: the operator's default, which is not applied there.
        """
        value = case.wanted.settings[self.name]
        is_cleared = self.is_optional and (value is None or not self.is_managed(case.wanted, case.is_adopted))
        return self.new_bucket if is_cleared else value

    def canonical(self, value: Value) -> Value:
        """Return a form that is equal for values that mean the same."""
        return value

    def differs(self, case: Comparison) -> bool:
        """Whether the bucket's value differs from the wanted one."""
        return bool(self.canonical(case.found[self.name]) != self.canonical(self.target(case)))

    def is_leftover(self, case: Comparison) -> bool:
        """Whether an unfinished run has left the value. It is then removed even where the setting is not managed."""
        return False

    def argument(self, case: Comparison) -> Value:
        """Return the argument for the role's module: plain data, from which :meth:`calls` makes requests."""
        return self.target(case)

    def write_order(self, value: Value) -> int:
        """Return the place in the order of writing, for the value that :meth:`argument` returned."""
        return self.order

    def calls(self, value: Value) -> list[Call]:
        """Return the requests that write, or clear, the value that :meth:`argument` returned."""
        raise NotImplementedError

    def written_parts(self, wanted: Wanted) -> tuple[str, ...]:
        """Return what the bucket's tag records once the setting is written: its name.

        Also parts that are reset by themselves when only they are taken out of the spec, each after the name and a dot.
        """
        return (self.name,)

    def unsupported(self, endpoint: str) -> ReconcileError:
        """Make the error for an endpoint that does not have the setting: reason InvalidSpec.

        :param endpoint: the URL that the requests go to
        """
        message = f"spec.{self.field}: {endpoint} does not support it ({self.name}): remove the field"
        return ReconcileError(Reason.INVALID_SPEC, message)

    def failure(self, value: Value) -> ReconcileError | None:
        """Return what AWS could not do about a value that was read, where only a later read shows it."""
        return None

    def refused(self, refusal: ReconcileError, endpoint: str) -> ReconcileError:
        """Return the error for a request of :meth:`calls` that AWS refuses. It names the field, where that helps."""
        code = code_of(refusal.__cause__ or refusal)
        if code in UNSUPPORTED_CODES:
            return self.unsupported(endpoint)
        remedy = next((text for part, text in self.passing.items() if part in refusal.message), "")
        if remedy:
            return ReconcileError(Reason.AWS_ERROR, f"spec.{self.field}: {remedy}: {refusal.message}")
        if self.denied and refusal.reason == Reason.ACCESS_DENIED:
            return ReconcileError(refusal.reason, f"spec.{self.field}: {self.denied}: {refusal.message}")
        if code in _REFUSAL_CODES and (self.is_optional or refusal.reason == Reason.INVALID_SPEC):
            return ReconcileError(Reason.INVALID_SPEC, f"spec.{self.field}: AWS refuses it: {refusal.message}")
        return refusal

    def effective(self, wanted: Wanted, is_adopted: bool) -> ApiObject:
        """Return the fields of ``status.effective``: given values and defaults; for an adopted bucket no defaults."""
        value = wanted.settings[self.name]
        is_shown = self.is_in_status and value is not None and (not is_adopted or self.field in wanted.given)
        return {self.field: value} if is_shown else {}

    def plan(self, case: Comparison) -> dict[str, tuple[Value, Value]]:
        """Return the current and the future value, for a person, by the name of the field."""
        return {self.field: (case.found[self.name], self.target(case))}
