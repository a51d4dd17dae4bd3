"""The WSGI application: log, faults, holds, rules, moto, rules; and ``/_gate/`` for the tests."""

from __future__ import annotations

import copy
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from requests.structures import CaseInsensitiveDict

from . import access, bulk, configurations, eks, rules
from .answers import Answer, error
from .calls import ACCOUNT, Call, call_of
from .configurations.metadata_tables import FAILED_TABLES
from .configurations.notification import CLOSED_TARGETS
from .holds import Hold, Holds
from .rights import Right, rights_for

_StartResponse = Callable[..., Any]
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}
_MARKS: dict[str, Any] = {
    "access-points": rules.WITH_ACCESS_POINTS,
    "mfa-delete": rules.WITH_MFA_DELETE,
    "disabled-region": rules.DISABLED_REGIONS,
    "late-bucket": rules.LATE_BUCKETS,
    "unshown-bucket": rules.UNSHOWN_BUCKETS,
    "late-user": rules.LATE_USERS,
    "late-key": rules.LATE_KEYS,
    "used-quota": rules.USED_QUOTAS,
    "closed-target": CLOSED_TARGETS,
    "failed-tables": FAILED_TABLES,
    "frozen-tags": bulk.FROZEN_TAGS,
}
ADMIN = "admin"
"""The IAM user of the tests and, by default, of the operator."""
_ISSUED = re.compile(rb"<SecretAccessKey>([^<]+)<")


class Gate:
    """One AWS account behind moto's application. Threads: any; its own state is behind one lock."""

    def __init__(self, moto: Any, reset: Callable[[], None]) -> None:
        self._moto = moto
        self._reset = reset
        self._lock = threading.RLock()
        self._requests: list[dict[str, Any]] = []
        self._keeps_requests = True
        # By access key, then by action.
        self._counts: dict[str, Counter[str]] = {}
        self._faults: list[dict[str, Any]] = []
        # Set when the faults of now are cleared.
        self._cleared = threading.Event()
        self._iam_lag_s = 0.0
        self._before_writes: list[tuple[float, Any]] = []
        # Access key -> the policy that its requests are judged by, instead of moto's own enforcement alone.
        self._policies: dict[str, dict[str, Any]] = {}
        self._holds = Holds()
        # User and secret access key of each key that was ever issued: what must be found nowhere.
        self._issued: list[tuple[str, str]] = []

    def __call__(self, environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        is_control = environ["PATH_INFO"].startswith("/_gate/")
        answer = self._control(environ) if is_control else self._aws(environ)
        reason = _REASONS.get(answer.status, "Status")
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        start_response(f"{answer.status} {reason}", list(headers.items()))
        return [answer.body]

    def _aws(self, environ: dict[str, Any]) -> Answer:
        call = call_of(environ)
        policy = self._policies.get(call.access_key)
        # Judged before the request is done: afterwards a deleted bucket has no owner any more.
        rights = rights_for(call) if policy is not None else []
        refusal = access.refuse(call, rights, policy) if policy is not None else None
        refusal = refusal or access.refuse_bucket_of_other_account(call) or access.refuse_by_bucket_policy(call)
        answer = self._fault(call) or refusal or self._held(call, environ)
        self._log(call, answer, rights)
        return answer

    def _log(self, call: Call, answer: Answer, rights: list[Right]) -> None:
        with self._lock:
            self._counts.setdefault(call.access_key, Counter())[call.action] += 1
            if call.action == "CreateAccessKey":
                self._issued += [(call.user, secret.decode()) for secret in _ISSUED.findall(answer.body)]
            if not self._keeps_requests:
                return
            self._requests.append(
                {
                    "service": call.service,
                    "action": call.action,
                    "write": call.is_write,
                    "bucket": call.bucket,
                    "user": call.user,
                    "access_key": call.access_key,
                    "status": answer.status,
                    "rights": sorted({right.action for right in rights}),
                }
            )

    def _held(self, call: Call, environ: dict[str, Any]) -> Answer:
        when = self._holds.find(call.action, {call.bucket, call.user, call.role} - {""}) if call.is_write else ""
        if when == "before" and self._holds.stay(call.action):
            return error(call, 500, "InternalFailure", "dropped by the test")
        answer = self._answer(call, environ)
        if when == "after":
            self._holds.stay(call.action)
        return answer

    def _answer(self, call: Call, environ: dict[str, Any]) -> Answer:
        for rule in (*rules.BEFORE, *configurations.BEFORE, eks.answer_association, bulk.answer_resources):
            answer = rule(call)
            if answer is not None:
                return answer
        if call.service != "iam":
            return self._pass(call, environ)
        # IAM's models are read and swapped as a whole, so IAM requests go one by one.
        with self._lock:
            return self._lagging(call, environ) if self._iam_lag_s else self._pass(call, environ)

    def _pass(self, call: Call, environ: dict[str, Any]) -> Answer:
        seen: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            seen["status"], seen["headers"] = int(status.split()[0]), dict(headers)

        chunks = self._moto(environ, start_response)
        body = b"".join(chunks)
        getattr(chunks, "close", lambda: None)()
        headers = {name: value for name, value in seen["headers"].items() if name.lower() != "content-length"}
        if call.action.startswith("Head"):
            headers["Content-Length"] = dict(seen["headers"]).get("Content-Length", "0")
        answer = Answer(seen["status"], body, headers)
        # moto refuses what a bucket policy denies with no body; S3 has one for everything but HEAD:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        if answer.status == 403 and not body and not call.action.startswith("Head"):
            return error(call, 403, "AccessDenied", "Access Denied")
        if answer.status < 300:
            for rule in (*rules.AFTER, bulk.list_in_pages):
                rule(call, answer)
            if call.action == "DeleteBucket":
                configurations.forget(call.bucket)
        return answer

    def _lagging(self, call: Call, environ: dict[str, Any]) -> Answer:
        """IAM reads show the state before each write that is younger than the lag.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
        Simplified: all readers lag alike, and by the same time. The administrator who signs is never lagging.
        """
        backend, now = iam_backends[ACCOUNT]["aws"], time.monotonic()
        self._before_writes = [item for item in self._before_writes if item[0] > now - self._iam_lag_s]
        if call.is_write:
            self._before_writes.append((now, copy.deepcopy(backend.users)))
            return self._pass(call, environ)
        if not self._before_writes:
            return self._pass(call, environ)
        current, backend.users = backend.users, self._before_writes[0][1]
        try:
            return self._pass(call, environ)
        finally:
            backend.users = current

    def _fault(self, call: Call) -> Answer | None:
        with self._lock:
            fault = next((item for item in self._faults if _fits(item, call) and _is_over_rate(item)), None)
            if fault is None:
                return None
            if fault.get("times"):
                fault["times"] -= 1
                if not fault["times"]:
                    self._faults.remove(fault)
            cleared = self._cleared
        # A delay ends when the faults are cleared.
        cleared.wait(fault.get("delay_s", 0))
        if "body" in fault:
            return Answer(200, fault["body"].encode(), {"Content-Type": "text/xml"})
        if "code" not in fault:
            return None
        return error(call, fault.get("status", 400), fault["code"], fault.get("message", "injected by the test"))

    def _control(self, environ: dict[str, Any]) -> Answer:
        name, method = environ["PATH_INFO"].removeprefix("/_gate/"), environ["REQUEST_METHOD"]
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(length)) if length else {}
        if name == "held":
            # Not under the lock: it waits.
            return _json(self._holds.wait(body["timeout_s"]))
        with self._lock:
            commands: dict[tuple[str, str], Callable[[], Any]] = {
                ("GET", "ready"): dict,
                ("GET", "requests"): lambda: list(self._requests),
                ("DELETE", "requests"): self._requests.clear,
                ("GET", "counts"): lambda: {key: dict(counts) for key, counts in self._counts.items()},
                ("POST", "log"): lambda: self._set_log(body["keeps_requests"]),
                ("POST", "faults"): lambda: self._faults.append(body),
                ("DELETE", "faults"): self._clear_faults,
                ("POST", "lag"): lambda: self._set_lag(body["iam_lag_s"]),
                ("POST", "bucket-elsewhere"): lambda: make_bucket_elsewhere(**body),
                ("POST", "user-elsewhere"): lambda: make_user_elsewhere(**body),
                ("POST", "marks"): lambda: set_marks(**body),
                ("POST", "fill"): lambda: fill_bucket(**body),
                ("POST", "root-delete-policy"): lambda: delete_policy_as_root(body["bucket"]),
                ("POST", "forget-users"): lambda: forget_users(body["kept_prefix"]),
                ("POST", "forget-buckets"): forget_buckets,
                ("POST", "policy"): lambda: self._policies.update({body["access_key"]: body["policy"]}),
                ("GET", "all-held"): self._holds.held,
                ("POST", "hold"): lambda: self._holds.arm(Hold(**body)),
                ("POST", "association"): lambda: eks.change_association(**body),
                ("POST", "let-go"): lambda: self._holds.let_go(**body),
                ("DELETE", "hold"): lambda: self._holds.disarm(**body),
                ("GET", "issued"): lambda: list(self._issued),
                ("GET", "leftovers"): self._leftovers,
                ("POST", "reset"): self._reset_all,
            }
            found = commands[method, name]()
        return _json(found or ([] if name in ("requests", "issued", "leftovers") else {}))

    def _leftovers(self) -> list[str]:
        marks = [f"{kind} {name}" for kind, marked in _MARKS.items() for name in marked]
        lag = [f"iam_lag_s {self._iam_lag_s:g}"] if self._iam_lag_s else []
        return [*(f"fault {json.dumps(fault)}" for fault in self._faults), *marks, *lag]

    def _set_log(self, keeps_requests: bool) -> None:
        self._keeps_requests = keeps_requests

    def _clear_faults(self) -> None:
        self._faults.clear()
        self._cleared.set()
        self._cleared = threading.Event()

    def _set_lag(self, seconds: float) -> None:
        self._iam_lag_s, self._before_writes = seconds, []

    def _reset_all(self) -> None:
        self._requests.clear()
        self._counts.clear()
        self._clear_faults()
        self._policies.clear()
        self._holds.disarm()
        self._set_lag(0.0)
        for marked in (rules.OPEN_BUCKETS, *_MARKS.values()):
            marked.clear()
        configurations.forget()
        eks.forget()
        self._reset()


def make_bucket_elsewhere(name: str, account: str, tags: dict[str, str] | None, is_open: bool) -> None:
    """A bucket of another account, which lets us in or not."""
    if is_open:
        rules.OPEN_BUCKETS.add(name)
    backend = s3_backends[account]["aws"]
    bucket = backend.create_bucket(name, "us-east-1")
    if tags:
        backend.tagger.tag_resource(bucket.arn, [{"Key": key, "Value": value} for key, value in tags.items()])


def make_user_elsewhere(name: str, account: str) -> dict[str, str]:
    """A user of another account that may do everything there, with a key."""
    backend = iam_backends[account]["aws"]
    backend.create_user("us-east-1", name)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    backend.put_user_policy(name, "all", json.dumps(everything))
    key = backend.create_access_key(name)
    return {"aws_access_key_id": key.access_key_id, "aws_secret_access_key": key.secret_access_key}


def set_marks(kind: str, name: str, is_set: bool) -> None:
    """Mark a bucket or region as one of the sets in the rules has it, or take the mark away."""
    (_MARKS[kind].add if is_set else _MARKS[kind].discard)(name)


def fill_bucket(bucket: str, versions: int, markers: int, uploads: list[str], keys: list[str]) -> None:
    """Put objects with several versions, delete markers and uploads into a bucket, without a request for each.

    :param versions: how many in all, three an object
    :param uploads: their keys
    :param keys: one version of each; moto's web server takes no request for some of them
    """
    account, found = rules.find_bucket(bucket) or ("", None)
    assert found is not None, f"there is no bucket {bucket}"
    backend = s3_backends[account]["aws"]
    found.versioning_status = "Enabled"
    for number in range(versions):
        backend.put_object(bucket, f"many/{number // 3:05}", b"x", disable_notification=True)
    for key in keys:
        backend.put_object(bucket, key, b"x", disable_notification=True)
    for number in range(markers):
        backend.delete_object(bucket, f"many/{number:05}")
    for key in uploads:
        backend.create_multipart_upload(bucket, key, CaseInsensitiveDict(), "STANDARD", {}, None, "", "")


def delete_policy_as_root(bucket: str) -> None:
    """What the root user alone may do when a bucket's policy denies everyone.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketPolicy.html
    """
    found = rules.find_bucket(bucket)
    if found is not None:
        found[1].policy = None


def forget_users(kept_prefix: str) -> None:
    """Remove all users, with their keys and tags, but the administrator and those with this prefix."""
    backend = iam_backends[ACCOUNT]["aws"]
    for name in [name for name in backend.users if name != ADMIN and not name.startswith(kept_prefix)]:
        user = backend.users.pop(name)
        backend.tagger.delete_all_tags_for_resource(user.arn)
        for key in user.access_keys:
            backend.access_keys.pop(key.access_key_id, None)


def forget_buckets() -> None:
    """Remove all buckets of the account, with what is in them."""
    backend = s3_backends[ACCOUNT]["aws"]
    for name, bucket in list(backend.buckets.items()):
        del backend.buckets[name]
        s3_backends.bucket_accounts.pop(name, None)
        backend.tagger.delete_all_tags_for_resource(bucket.arn)
        configurations.forget(name)


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _fits(fault: dict[str, Any], call: Call) -> bool:
    match = fault.get("match", {})
    return (
        fault.get("service", call.service) == call.service
        and fault.get("action", "*") in ("*", call.action)
        and all(getattr(call, name) == value for name, value in match.items())
    )


def _is_over_rate(fault: dict[str, Any]) -> bool:
    """Whether a fault that spares a number of requests a second affects this one: a token bucket, of one second's."""
    rate = fault.get("spares_per_s")
    if not rate:
        return True
    now = time.monotonic()
    most = max(1.0, rate)
    tokens = min(most, fault.get("tokens", most) + (now - fault.get("at", now)) * rate)
    is_spared = tokens >= 1
    fault["at"], fault["tokens"] = now, tokens - is_spared
    return not is_spared
