"""Lists of IAM: all pages are read, and an endpoint that returns the same page again and again is given up."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import PaginationError

from s3bucket.read import pages_of


class Iam:
    """An endpoint with these answers, by the marker of the request."""

    def __init__(self, answers: dict[str | None, dict[str, Any]]) -> None:
        self._answers = answers

    def list_users(self, *, PathPrefix: str, Marker: str | None = None) -> dict[str, Any]:  # noqa: N803 - as boto3
        assert PathPrefix == "/team/"
        return self._answers[Marker]


def page(name: str, **more: Any) -> dict[str, Any]:
    return {"Users": [name], **more}


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({None: page("a", IsTruncated=False)}, ["a"]),
        ({None: page("a", IsTruncated=True, Marker="1"), "1": page("b", IsTruncated=False)}, ["a", "b"]),
        ({None: page("a", IsTruncated=True, Marker="1"), "1": {"IsTruncated": False}}, ["a"]),
        # A store may leave either out.
        ({None: page("a")}, ["a"]),
        ({None: page("a", IsTruncated=True)}, ["a"]),
        ({None: page("a", IsTruncated=False, Marker="1")}, ["a"]),
    ],
    ids=["one", "two", "empty", "no end", "no marker", "marker after the end"],
)
def test_all_pages_are_read(answers: dict[str | None, dict[str, Any]], found: list[str]) -> None:
    assert pages_of(Iam(answers), "list_users", "Users", PathPrefix="/team/") == found


def test_same_page_again_is_an_error() -> None:
    answers = {None: page("a", IsTruncated=True, Marker="1"), "1": page("b", IsTruncated=True, Marker="1")}
    with pytest.raises(PaginationError):
        pages_of(Iam(answers), "list_users", "Users", PathPrefix="/team/")
