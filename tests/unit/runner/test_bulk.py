"""Readings of many buckets: what they cost, for how long they hold, and when they are given up."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from runner.drift.bulk import BulkReading, Page

PERIOD_S, KEPT_S = 300.0, 150.0
CLIENT = object()


class Account:
    """Buckets in pages of two, each with the time at which its page was read."""

    def __init__(self, *names: str, price: int = 1) -> None:
        self.names = names
        self.now = 1000.0
        self.tokens: list[str] = []
        self.error: Exception | None = None
        self.reading = BulkReading("read them", PERIOD_S, lambda: self.now, price)

    def read_page(self, token: str) -> Page:
        self.tokens.append(token)
        if self.error:
            raise self.error
        first = int(token or 0)
        more = str(first + 2) if len(self.names) > first + 2 else ""
        return Page(dict.fromkeys(self.names[first : first + 2], f"{self.now:g}"), more)

    def find(self, name: str = "a", not_before: float = 0, client: object = CLIENT) -> str | None:
        return self.reading.find(name, client, self.read_page, not_before)


def denied() -> ClientError:
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetResources")


def test_each_check_reads_one_page_and_all_are_used_when_the_last_is_read() -> None:
    account = Account("a", "b", "c")
    assert account.find() is None
    account.now += 5
    assert [account.find("a"), account.find("c"), account.find("d")] == ["1000", "1005", None]
    assert account.tokens == ["", "2"]


def test_answer_is_renewed_before_half_of_the_period_is_over() -> None:
    account = Account("a")
    assert account.find() == "1000"
    account.now += KEPT_S
    assert account.find() == "1150"
    account.now += KEPT_S * 0.6
    assert account.find() == "1150"


def test_answer_that_cannot_be_renewed_is_not_used_for_longer() -> None:
    account = Account("a")
    assert account.find() == "1000"
    account.error = denied()
    account.now += KEPT_S
    assert account.find() == "1000"
    account.now += 1
    assert account.find() is None


def test_answer_from_before_the_requested_time_is_not_used() -> None:
    account = Account("a")
    assert account.find(not_before=1000) == "1000"
    assert account.find(not_before=1001) is None


def test_time_of_an_answer_is_that_of_the_first_page() -> None:
    account = Account("a", "b", "c")
    account.find()
    account.now += 10
    assert account.find("c", not_before=1000) == "1010"
    assert account.find("c", not_before=1005) is None


def test_page_is_read_when_the_checks_before_it_are_worth_it() -> None:
    account = Account("a", price=13)
    assert [account.find() for _ in range(13)] == [None] * 12 + ["1000"]
    account.now += KEPT_S + 1
    assert [account.find() for _ in range(13)] == [None] * 12 + ["1151"]
    assert len(account.tokens) == 2


def test_account_too_large_to_be_worth_it_is_tried_once_an_hour() -> None:
    """It has 40 pages, of which 26 checks in half of a period pay for two."""
    account = Account(*(str(number) for number in range(80)), price=13)
    for _ in range(6 * 26):
        account.now += KEPT_S / 26
        assert account.find("1") is None
    # The first page, and two more until the reading takes too long.
    assert len(account.tokens) == 3
    account.now += 3600
    for _ in range(13):
        account.find("1")
    assert len(account.tokens) > 3


@pytest.mark.parametrize(
    ("error", "pause_s"),
    [(denied(), 3600), (ConnectTimeoutError(endpoint_url="u"), PERIOD_S), (KeyError("x"), PERIOD_S)],
)
def test_refused_request_is_tried_again_later_and_logged_once(
    caplog: pytest.LogCaptureFixture, error: Exception, pause_s: float
) -> None:
    account = Account("a")
    account.error = error
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert account.find() is None
        assert len(account.tokens) == 1
        account.now += pause_s
        assert account.find() is None
    assert len(account.tokens) == 2
    assert [record.getMessage() for record in caplog.records] == ["buckets are read one by one"]
    account.error = None
    account.now += 3600
    assert account.find() is not None


def test_answers_for_other_credentials_are_not_used() -> None:
    account, other = Account("a"), object()
    assert account.find() == "1000"
    account.error = denied()
    assert account.find(client=other) is None
    account.error = None
    assert account.find(client=object()) == "1000"


def test_check_does_not_wait_for_another_one_that_reads() -> None:
    account = Account("a")
    seen: list[str | None] = []

    def read_while_another_asks(token: str) -> Page:
        seen.append(account.find())
        return account.read_page(token)

    ask: Callable[[str], Page] = read_while_another_asks
    assert account.reading.find("a", CLIENT, ask, 0) == "1000"
    assert seen == [None]
