"""Answers that are none of the store's: a redirect, a web page, nothing. None of them is taken for a state."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from s3bucket import read, store_users
from s3bucket.answers import check_answers
from s3bucket.capabilities import OPTIONAL_READS, Capabilities, probe
from s3bucket.errors import ReconcileError
from s3bucket.outcome import Reason
from tests.support.modules import load_module
from tests.support.store_answers import StoreAnswers, answer_of
from tests.support.world import ROLE

STORE = Capabilities(is_aws=False, lacking_actions=frozenset(OPTIONAL_READS))
# botocore takes the second one, which is also XML, for an answer without content.
PAGES = ["<!DOCTYPE html><p>Back soon", "<html><body>Back soon</body></html>"]
USER = answer_of("GetUser", "<User><UserName>a</UserName><Arn>arn</Arn><Tags/></User>")


def client(service: str, answers: dict[str, tuple[int, str]]) -> Any:
    return check_answers(StoreAnswers(answers).client(service))


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirect_without_a_region_is_an_error_that_names_the_setting(status: int) -> None:
    """Botocore itself sends HeadBucket for the region, again for each redirect, until the stack is full."""
    store = StoreAnswers({"HeadBucket": (status, ""), "GetBucketTagging": (status, "<html>")})
    s3 = check_answers(store.client("s3"))
    for call in (read.find_bucket, read.get_bucket_tags):
        with pytest.raises(ReconcileError, match=r"the endpoint redirects to no address.*AWS_ENDPOINT_URL") as refused:
            call(s3, "photos", "")
        assert refused.value.retry == "transient"
    assert store.requests == ["HeadBucket", "GetBucketTagging"]


@pytest.mark.parametrize("page", ["", *PAGES], ids=["empty", "page", "XHTML"])
def test_no_answer_proves_that_a_bucket_is_of_another_account_or_without_tags(page: str) -> None:
    s3 = client("s3", {"HeadBucket": (403, ""), "ListBuckets": (200, page), "GetBucketTagging": (200, page)})
    reads: list[Callable[[], Any]] = [
        lambda: read.find_bucket(s3, "photos", ""),
        lambda: read.get_bucket_tags(s3, "photos", ""),
        lambda: probe(s3, client("iam", {}), client("sts", {})),
    ]
    for one in reads:
        with pytest.raises(ReconcileError, match="failed to") as refused:
            one()
        assert (refused.value.reason, refused.value.retry) == (Reason.AWS_ERROR, "transient")


@pytest.mark.parametrize("page", ["", *PAGES], ids=["empty", "page", "XHTML"])
def test_page_is_no_answer_of_iam_neither_to_a_read_nor_to_a_write(page: str) -> None:
    def fails(call: Callable[[], Any]) -> None:
        with pytest.raises(ReconcileError, match="the answer cannot be parsed"):
            call()

    fails(lambda: read.find_user(client("iam", {"GetUser": (200, page)}), "a", STORE))
    fails(lambda: read.read_all_users(client("iam", {"ListUsers": (200, page)}), STORE))
    fails(lambda: read.find_active_keys(client("iam", {"ListAccessKeys": (200, page)}), "a"))
    tagging = {"GetUser": USER, "TagUser": (200, page)}
    fails(lambda: store_users.write_tags(client("iam", tagging), "a", {"k": "v"}, purges=False, has_tags=True))


def test_answers_of_the_store_pass() -> None:
    tagging = (200, "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>")
    assert read.get_bucket_tags(client("s3", {"GetBucketTagging": tagging}), "photos", "") == {"k": "v"}
    moved = "<Error><Code>PermanentRedirect</Code><Region>us-west-2</Region></Error>"
    s3 = client("s3", {"GetBucketTagging": (301, moved)})
    with pytest.raises(ReconcileError, match="PermanentRedirect"):
        read.get_bucket_tags(s3, "photos", "")
    found = read.find_user(client("iam", {"GetUser": USER}), "a", STORE)
    assert found is not None


def test_modules_check_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    load_module("s3bucket_info", monkeypatch)
    from ansible.module_utils.s3bucket.clients import make_s3_client

    store = StoreAnswers({"HeadBucket": (301, "")})
    module: Any = type("Module", (), {"client": lambda *_: store.client("s3")})()
    with pytest.raises(Exception, match="the endpoint redirects to"):
        make_s3_client(module).head_bucket(Bucket="photos")


def test_all_clients_of_modules_refuse_what_is_no_answer() -> None:
    files = [*(ROLE / "library").glob("*.py"), *(ROLE / "module_utils").rglob("*.py")]
    made = [path.name for path in files for _ in re.findall(r"\bmodule\.client\(", path.read_text())]
    assert made == ["clients.py"], "only make_client makes clients"
