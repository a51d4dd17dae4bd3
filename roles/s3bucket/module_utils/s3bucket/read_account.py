# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads all users, or all roles, of the account with their policies.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from .errors import AWS_ERRORS, unknown
from .json_types import ApiObject, AwsClient

_PAGE_SIZE = 1000


def iterate_account(iam: AwsClient, kind: str, naming: Collection[str] = ()) -> Iterator[ApiObject]:
    """Every user or role of the account, as IAM returns it with its policies, one page after the other.

    :param kind: ``User`` or ``Role``
    :param naming: names of buckets, users or roles. A page on which none of them occurs (upper and lower case are the
        same) has nothing that the caller needs, and is not parsed: parsing 1,000 users takes 0.15 s of CPU, half as
        much as a whole run. Empty: all are returned
    :raises UnknownStateError: when AWS does not return the state
    """
    pages = iam.get_paginator("get_account_authorization_details").paginate(
        Filter=[kind], PaginationConfig={"PageSize": _PAGE_SIZE}
    )
    try:
        with _skipping_pages(iam, kind, naming):
            for page in pages:
                yield from page[f"{kind}DetailList"]
    except AWS_ERRORS as error:
        raise unknown(f"read all IAM {kind.lower()}s (iam:GetAccountAuthorizationDetails)", error) from error


@contextmanager
def _skipping_pages(iam: AwsClient, kind: str, naming: Collection[str]) -> Iterator[None]:
    """Let the client return no user or role of a page without any of the names. Thread: the only one of the client."""
    # No character of a bucket's, user's or role's name is encoded in the XML of a name or of a tag.
    texts = [name.lower().encode() for name in naming]
    opening, closing = (f"<{slash}{kind}DetailList>".encode() for slash in ("", "/"))

    def skip(response_dict: ApiObject, **_: object) -> None:
        body: bytes = response_dict["body"]
        lower = body.lower()
        start, end = body.find(opening), body.rfind(closing)
        if 0 <= start < end and not any(text in lower for text in texts):
            # What follows states whether there is another page.
            response_dict["body"] = body[: start + len(opening)] + body[end:]

    event = "before-parse.iam.GetAccountAuthorizationDetails"
    if texts:
        iam.meta.events.register(event, skip)
    try:
        yield
    finally:
        iam.meta.events.unregister(event, skip)
