"""The tests' side of the gate."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OTHER_ACCOUNT = "999999999999"


class Gate:
    """Talks to a running gate."""

    def __init__(self, endpoint_url: str) -> None:
        self._url = f"{endpoint_url}/_gate/"

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            self._ask("GET", "ready")
        except (OSError, urllib.error.URLError):
            return False
        return True

    def requests(self) -> list[dict[str, Any]]:
        """All AWS requests since the last clear: service, action, write, bucket, user, access_key, status, rights."""
        return list(self._ask("GET", "requests"))

    def writes(self) -> list[str]:
        """The actions of the requests that change something."""
        return [item["action"] for item in self.requests() if item["write"]]

    def clear_requests(self) -> None:
        """Forget the requests."""
        self._ask("DELETE", "requests")

    def keep_requests(self, is_kept: bool) -> None:
        """Whether requests are kept from now on, or only counted, for a test that makes 100,000s of them."""
        self._ask("POST", "log", {"keeps_requests": is_kept})

    def counts(self, access_key: str) -> dict[str, int]:
        """How many requests of each action came with this key so far. Clearing the requests does not touch it."""
        return dict(self._ask("GET", "counts").get(access_key, {}))

    def add_fault(  # noqa: PLR0913 - keywords that describe one fault
        self,
        action: str,
        code: str = "",
        *,
        status: int = 400,
        times: int | None = None,
        delay_s: float = 0.0,
        spares_per_s: float = 0.0,
        message: str = "",
        body: str | None = None,
        **match: str,
    ) -> None:
        """Answer an action (``*``: any) with an error, ``times`` times (None: always), and/or after a delay.

        :param spares_per_s: requests a second that pass, as AWS throttles
        :param body: answer 200 with this instead, and do nothing
        :param match: only for this ``service``, ``bucket``, ``user`` or ``access_key``
        """
        fault: dict[str, Any] = {"action": action, "status": status, "times": times, "delay_s": delay_s, "match": match}
        fault["spares_per_s"] = spares_per_s
        given = {"code": code or None, "message": message or None, "body": body}
        self._ask("POST", "faults", {**fault, **{name: value for name, value in given.items() if value is not None}})

    def clear_faults(self) -> None:
        """No more injected errors. Requests that are delayed now are answered."""
        self._ask("DELETE", "faults")

    def set_iam_lag(self, seconds: float) -> None:
        """For so long IAM's reads do not show a write."""
        self._ask("POST", "lag", {"iam_lag_s": seconds})

    def make_bucket_elsewhere(self, name: str, tags: dict[str, str] | None = None, *, is_open: bool = False) -> None:
        """A bucket of another account. Its policy lets the tests' account in or not."""
        body = {"name": name, "account": OTHER_ACCOUNT, "tags": tags, "is_open": is_open}
        self._ask("POST", "bucket-elsewhere", body)

    def make_user_elsewhere(self, name: str) -> dict[str, str]:
        """A user of another account. Returns its key, as a client's arguments."""
        return dict(self._ask("POST", "user-elsewhere", {"name": name, "account": OTHER_ACCOUNT}))

    def change_association(self, account: str, role_arn: str) -> None:
        """Give the EKS Pod Identity association of a ServiceAccount another role."""
        self._ask("POST", "association", {"account": account, "role_arn": role_arn})

    @contextmanager
    def marked(self, kind: str, name: str) -> Iterator[None]:
        """While the block runs: a bucket with ``access-points`` or ``mfa-delete``, or a ``disabled-region``.

        Or a bucket, which need not exist yet: its first reads are stale (``late-bucket``), or its tags are not
        shown (``unshown-bucket``), or AWS could not create its metadata tables (``failed-tables``); a user whom S3
        does not know at first (``late-user``), or with keys that S3 does not know (``late-key``); a quota of the
        account (``used-quota``); a bucket that the Tagging API shows as it is now (``frozen-tags``).
        """
        self._ask("POST", "marks", {"kind": kind, "name": name, "is_set": True})
        try:
            yield
        finally:
            self._ask("POST", "marks", {"kind": kind, "name": name, "is_set": False})

    def fill_bucket(
        self, bucket: str, *, versions: int = 0, markers: int = 0, keys: Sequence[str] = (), uploads: Sequence[str] = ()
    ) -> None:
        """Fill a bucket with numbers of versions and delete markers, with objects and with uploads, in one request."""
        names = {"keys": list(keys), "uploads": list(uploads)}
        self._ask("POST", "fill", {"bucket": bucket, "versions": versions, "markers": markers, **names})

    def delete_policy_as_root(self, bucket: str) -> None:
        """Take a bucket's policy away as the account's root user, who alone may do it where it denies everyone."""
        self._ask("POST", "root-delete-policy", {"bucket": bucket})

    def forget_users(self, kept_prefix: str) -> None:
        """Remove all users but those with this prefix. Reading all users takes 1.5 ms of CPU for each of them."""
        self._ask("POST", "forget-users", {"kept_prefix": kept_prefix})

    def forget_buckets(self) -> None:
        """Remove all buckets. A check reads the tags of 100 of them in one request, and gives up after some pages."""
        self._ask("POST", "forget-buckets")

    def judge(self, access_key: str, policy: dict[str, Any]) -> None:
        """From now on requests with this key need rights that the policy gives; ``rights`` in the log names them."""
        self._ask("POST", "policy", {"access_key": access_key, "policy": policy})

    def arm(self, *about: str, action: str = "*", number: int = 0, when: str = "before") -> None:
        """Hold writes about these buckets, users and roles (:class:`dev.awsgate.holds.Hold`)."""
        self._ask("POST", "hold", {"about": about, "action": action, "number": number, "when": when})

    def wait_held(self, timeout_s: float) -> str:
        """Wait until a request is held. Returns the action of the one held longest; empty when none is."""
        return str(self._ask("GET", "held", {"timeout_s": timeout_s}))

    def held(self) -> list[str]:
        """The actions of all requests that are held now, the one held longest first."""
        return [str(action) for action in self._ask("GET", "all-held")]

    def let_go(self) -> None:
        """Release the request that :meth:`wait_held` named; the others and the hold stay."""
        self._ask("POST", "let-go", {})

    def disarm(self, *, is_dropped: bool = False) -> None:
        """Hold nothing any more; let go what is held, or drop it."""
        self._ask("DELETE", "hold", {"is_dropped": is_dropped})

    def issued(self) -> list[tuple[str, str]]:
        """User and secret access key of every key that was ever issued."""
        return [(user, secret) for user, secret in self._ask("GET", "issued")]

    def leftovers(self) -> list[str]:
        """Faults, marks and a lag that are in force, as texts."""
        return list(self._ask("GET", "leftovers"))

    def reset(self) -> None:
        """An empty account; the administrator's key stays."""
        self._ask("POST", "reset", {})

    def _ask(self, method: str, name: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(
            urllib.request.Request(self._url + name, data=data, method=method), timeout=30
        ) as answer:
            return json.loads(answer.read() or b"null")


def write_key(path: Path, key_id: str, secret: str) -> None:
    """Write an AWS credentials file with one key."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n")
