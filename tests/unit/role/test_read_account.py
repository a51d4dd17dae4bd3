"""All users are read page by page. A page that names nothing that the caller needs is not parsed."""

from __future__ import annotations

from collections.abc import Collection
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from s3bucket.errors import UnknownStateError
from s3bucket.read import read_all_users
from s3bucket.users import policy_name_of

BUCKET = "photos"


class _Raw(BytesIO):
    """A body as urllib3 has it."""

    def stream(self) -> Any:
        yield self.read()


def user(name: str, policy: str = "none", tag: str = "none") -> str:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html."""
    return f"""<member><UserId>AIDA</UserId><Path>/</Path><UserName>{name}</UserName>
      <Arn>arn:aws:iam::111122223333:user/{name}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>
      <GroupList/><AttachedManagedPolicies/>
      <UserPolicyList><member><PolicyName>{policy}</PolicyName><PolicyDocument>%7B%7D</PolicyDocument></member>
      </UserPolicyList>
      <Tags><member><Key>agill.apps/bucket</Key><Value>{tag}</Value></member></Tags></member>"""


def answer(members: str, marker: str) -> bytes:
    more = f"<IsTruncated>true</IsTruncated><Marker>{marker}</Marker>" if marker else "<IsTruncated>false</IsTruncated>"
    return f"""<GetAccountAuthorizationDetailsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
      <GetAccountAuthorizationDetailsResult>{more}<UserDetailList>{members}</UserDetailList>
      </GetAccountAuthorizationDetailsResult></GetAccountAuthorizationDetailsResponse>""".encode()


def iam_of(*pages: list[str], status: int = 200) -> Any:
    """A client. Its requests are answered here, and each page refers to the next one."""
    client = boto3.client("iam", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")

    def send(request: Any, **_: object) -> AWSResponse:
        number = int(parse_qs(request.body).get("Marker", ["0"])[0])
        text = answer("".join(pages[number]), str(number + 1) if number + 1 < len(pages) else "")
        return AWSResponse(request.url, status, {}, _Raw(text if status == 200 else b"<photos/>"))

    client.meta.events.register("before-send.iam", send)
    return client


def names(iam: Any, naming: Collection[str]) -> set[str]:
    return set(read_all_users(iam, naming=naming))


@pytest.mark.parametrize(
    "claiming",
    [user("other", policy=policy_name_of("other", BUCKET)), user("other", tag=BUCKET)],
    ids=["policy", "tag"],
)
def test_users_that_claim_a_name_are_found_on_any_page(claiming: str) -> None:
    pages = [user(f"first-{n}") for n in range(3)], [user("second"), claiming], [user("third")]
    assert names(iam_of(*pages), (BUCKET,)) == {"second", "other"}
    assert names(iam_of(*pages), (BUCKET, "nobody")) == {"second", "other"}
    assert names(iam_of(*pages), ("nobody",)) == set()


def test_users_with_a_name_are_found_in_any_case() -> None:
    iam = iam_of([user("first")], [user("Team+Photos@example.com")])
    assert names(iam, ("team+PHOTOS@example.com",)) == {"Team+Photos@example.com"}


def test_a_caller_that_needs_all_users_gets_all_also_after_one_that_did_not() -> None:
    iam = iam_of([user("first")], [user("second")])
    assert names(iam, (BUCKET,)) == set()
    assert names(iam, ()) == {"first", "second"}
    with pytest.raises(UnknownStateError):
        names(iam_of([user("first")], status=400), (BUCKET,))
