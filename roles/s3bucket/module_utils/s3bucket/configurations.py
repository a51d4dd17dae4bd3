# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings that are a list of configurations, each with an id: metrics, analytics, intelligent tiering, inventory.

AWS reads them in pages, and writes or deletes one at a time. A managed setting is the whole list: a configuration that
others have added is a difference, and is deleted.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import ReconcileError, UnknownStateError
from .json_types import ApiObject, AwsClient
from .outcome import Reason
from .setting import Call, Comparison, Operation, Read, Setting, Value
from .values import flag_of, given_of, invalid, text_of

# AWS has up to 1,000 of each, on pages of 100. With 100 a check of a bucket in order is one request. The CRD has the
# same limit: its rules would use most of the API server's cost budget with 1,000.
MAX_CONFIGURATIONS = 100
_MAX_PAGES = 20
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_MetricsConfiguration.html
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BUCKET_ARN = re.compile(r"arn:aws[a-z-]*:s3:::[a-z0-9.-]{3,63}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_MAX_PREFIX = 1024


class Kind(NamedTuple):
    """One kind of configuration, as boto3 and AWS name it.

    :ivar key: the argument of the put operation, for example MetricsConfiguration; the answer to a list has it with
        "List" at the end
    """

    key: str
    list: Operation
    put: Operation
    delete: Operation


def kind_of(name: str, noun: str) -> Kind:
    """Return the kind of configuration with this name in boto3's methods.

    :param name: for example ``intelligent_tiering``
    :param noun: as in the names of IAM actions and elements, for example IntelligentTiering
    """
    put = f"s3:Put{noun}Configuration"
    return Kind(
        f"{noun}Configuration",
        Operation(f"list_bucket_{name}_configurations", f"s3:Get{noun}Configuration"),
        Operation(f"put_bucket_{name}_configuration", put),
        Operation(f"delete_bucket_{name}_configuration", put),
    )


class Configurations(Setting):
    """A list of configurations. A value is a list in the form of the spec, with what may be left out left out.

    :cvar kind: the operations
    """

    is_optional = True
    is_in_status = False
    # The destination may be another object of the same release, which is created at the same time.
    passing = {"InvalidS3DestinationBucket": "create the destination bucket, in the region of this bucket"}
    new_bucket = ()
    kind: Kind

    def __init__(self) -> None:
        self.read = Read(self.kind.list, self.take, fetch=self.fetch)
        self.writes = (self.kind.put, self.kind.delete)

    def parse_one(self, given: ApiObject, path: str) -> ApiObject:
        """Return a checked configuration without its id, in the form that :meth:`from_aws` returns.

        :param given: the fields that have a value
        :raises ReconcileError: InvalidSpec naming the field
        """
        raise NotImplementedError

    def to_aws(self, value: ApiObject) -> ApiObject:
        """Return boto3's argument for a configuration, without its id."""
        raise NotImplementedError

    def from_aws(self, found: ApiObject) -> ApiObject:
        """Return a configuration in the form of the spec, without its id."""
        raise NotImplementedError

    def parse(self, value: object) -> list[ApiObject]:
        """Return the checked configurations in the order of the spec."""
        field = f"spec.{self.field}"
        if not isinstance(value, list) or len(value) > MAX_CONFIGURATIONS:
            raise invalid(field, f"must be a list of at most {MAX_CONFIGURATIONS} configurations")
        found: dict[str, ApiObject] = {}
        for at, item in enumerate(value):
            path = f"{field}[{at}]"
            given = given_of(item, path)
            name = _id_of(given.pop("id", None), f"{path}.id")
            if name in found:
                raise invalid(f"{path}.id", f"there is another configuration with the id {name}")
            found[name] = {"id": name, **self.parse_one(given, path)}
        return list(found.values())

    def take(self, answer: ApiObject) -> list[ApiObject]:
        """Return the configurations of an answer in the form of the spec."""
        return [{"id": item["Id"], **self.from_aws(item)} for item in answer[f"{self.kind.key}List"]]

    def fetch(self, s3: AwsClient, bucket: dict[str, str]) -> ApiObject:
        """Return the configurations of all pages as one answer."""
        found: list[ApiObject] = []
        page: dict[str, str] = {}
        for _ in range(_MAX_PAGES):
            answer = getattr(s3, self.kind.list.method)(**bucket, **page)
            found += answer.get(f"{self.kind.key}List", [])
            if not answer.get("IsTruncated"):
                return {f"{self.kind.key}List": found}
            page = {"ContinuationToken": answer.get("NextContinuationToken", "")}
        raise _endless(self.kind.list)

    def canonical(self, value: Value) -> Value:
        """Return the configurations by id: their order does not count."""
        return {item["id"]: item for item in value or ()}

    def argument(self, case: Comparison) -> ApiObject:
        """Return the configurations to write, and the ids of those to delete: only those that differ."""
        changes = self._changes(case)
        return {
            "delete": [name for name, (_, wanted) in changes.items() if wanted is None],
            "put": [wanted for _, wanted in changes.values() if wanted is not None],
        }

    def calls(self, value: Value) -> list[Call]:
        """Return the deletions first: they make room below AWS's limit."""
        deletions = [Call(self.kind.delete, {"Id": name}) for name in value["delete"]]
        return deletions + [
            Call(self.kind.put, {"Id": item["id"], self.kind.key: {"Id": item["id"], **self.to_aws(item)}})
            for item in value["put"]
        ]

    def plan(self, case: Comparison) -> dict[str, tuple[Value, Value]]:
        """Return only the configurations that differ, each by its id."""
        return {f"{self.field}[{name}]": values for name, values in self._changes(case).items()}

    def _changes(self, case: Comparison) -> dict[str, tuple[ApiObject | None, ApiObject | None]]:
        """Map the id of each configuration that differs to its current and its future value; None for none."""
        found, wanted = self.canonical(case.found[self.name]), self.canonical(self.target(case))
        names = [*wanted, *(name for name in found if name not in wanted)]
        pairs = {name: (found.get(name), wanted.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def check_fields(given: ApiObject, path: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    """Check the names of an object's fields.

    :raises ReconcileError: InvalidSpec for a field that is missing or does not exist
    """
    for name in required:
        if name not in given:
            raise invalid(f"{path}.{name}", "is missing")
    for name in given:
        if name not in (*required, *optional):
            raise invalid(f"{path}.{name}", f"there is no such field: use {', '.join((*required, *optional))}")


def enabled_of(given: ApiObject, path: str) -> bool:
    """Return the field ``enabled``, true by default."""
    return flag_of(given.get("enabled", True), f"{path}.enabled")


def target_of(given: ApiObject, path: str) -> ApiObject:
    """Return the bucket that reports are written to: ``bucketARN``, ``account`` and ``prefix``.

    :raises ReconcileError: InvalidSpec
    """
    if not _BUCKET_ARN.fullmatch(text_of(given.get("bucketARN"), f"{path}.bucketARN")):
        raise invalid(f"{path}.bucketARN", "must be the ARN of a bucket, for example arn:aws:s3:::reports")
    if "account" in given and not _ACCOUNT.fullmatch(text_of(given["account"], f"{path}.account")):
        raise invalid(f"{path}.account", "must be an account id of 12 digits, in quotes")
    prefix = prefix_of(given, path)
    return {**{name: given[name] for name in ("bucketARN", "account") if name in given}, **prefix}


def prefix_of(given: ApiObject, path: str) -> ApiObject:
    """Return the field ``prefix``; nothing for an empty one, which means the same.

    :raises ReconcileError: InvalidSpec
    """
    prefix = text_of(given.get("prefix", ""), f"{path}.prefix")
    if len(prefix) > _MAX_PREFIX:
        raise invalid(f"{path}.prefix", f"may have at most {_MAX_PREFIX} characters")
    return {"prefix": prefix} if prefix else {}


def renamed(value: ApiObject, keys: dict[str, str]) -> ApiObject:
    """Return the named parts that are there and not empty, by their new names."""
    return {new: value[old] for old, new in keys.items() if value.get(old, "") != ""}


def _id_of(value: object, path: str) -> str:
    if value is None:
        raise invalid(path, "is missing")
    if not _ID.fullmatch(text_of(value, path)):
        raise invalid(path, "must be 1 to 64 of A-Z, a-z, 0-9 and ._-")
    return str(value)


def _endless(operation: Operation) -> ReconcileError:
    message = f"failed to read all configurations ({operation.action}): the endpoint returns more pages than AWS allows"
    return UnknownStateError(Reason.AWS_ERROR, message)
