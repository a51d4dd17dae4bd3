# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The account of the credentials, and whether an AWS error is caused by the object's region."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import aspects
from ..capabilities import AWS, Capabilities
from ..errors import NoSuchRegionError, UnknownStateError, code_of, is_nowhere
from ..json_types import AwsClient
from ..outcome import Reason
from ..read import find_bucket as read_bucket
from ..read import get_account, get_bucket_tags
from ..regions import is_name_at_aws, own_region, partition_of
from ..spec import Wanted
from ..state import BucketState
from .sources import Sources

# The codes that STS returns for an access key that it does not know.
_UNKNOWN_KEY = ("InvalidClientTokenId", "UnrecognizedClientException")


def ask_account(
    wanted: Wanted, sts: AwsClient, sts_of: Callable[[str], Any] | None = None, capabilities: Capabilities = AWS
) -> str:
    """The account of the operator's credentials. For a store it is known from the probe.

    :param sts_of: makes an STS client of a region; with None the region is never considered as the cause of an error
    :raises ReconcileError: NoSuchRegionError, or when AWS does not return the account
    """
    if capabilities.is_aws and not is_name_at_aws(wanted.region):
        raise NoSuchRegionError(
            f"spec.region: {wanted.region} is not the name of a region of AWS: at most 32 of a-z, 0-9 and '-', for "
            "example eu-west-1. It cannot be changed: delete the object and create it again with another one",
            wanted.home_region,
        )
    try:
        return get_account(sts, capabilities)
    except UnknownStateError as refusal:
        _check_region(wanted, refusal)
        if sts_of is not None and code_of(refusal.__cause__ or refusal) in _UNKNOWN_KEY:
            _check_enabled(wanted, refusal, sts_of)
        raise


def find_bucket(wanted: Wanted, sources: Sources, account: str) -> BucketState | None:
    """The object's bucket with its region and tags; None when there is none.

    What ``sources.buckets`` knows saves requests for a bucket that is as it should be.

    :raises ReconcileError: BucketNameTaken, NoSuchRegionError, or when AWS does not return the state
    """
    known = _find_known(wanted, sources, account)
    if known is not None:
        return known
    try:
        return read_bucket(sources.s3, wanted.bucket, sources.owner_of(account), is_aws=sources.capabilities.is_aws)
    except UnknownStateError as refusal:
        _check_region(wanted, refusal)
        raise


def find_bucket_of_deletion(wanted: Wanted, sources: Sources, account: str) -> BucketState | None:
    """The object's bucket with its tags, and without its region: a deletion does not depend on it. None for no bucket.

    On AWS one request shows both: S3 answers NoSuchBucket, NoSuchTagSet or the tags. Only where it denies the request,
    other requests find out whether the bucket is another account's.

    :raises ReconcileError: as :func:`find_bucket`
    """
    if not sources.capabilities.is_aws:
        return find_bucket(wanted, sources, account)
    try:
        tags = get_bucket_tags(sources.s3, wanted.bucket, sources.owner_of(account))
    except UnknownStateError as refusal:
        if refusal.reason == Reason.ACCESS_DENIED:
            return find_bucket(wanted, sources, account)
        _check_region(wanted, refusal)
        raise
    return None if tags is None else BucketState("", tags)


def _find_known(wanted: Wanted, sources: Sources, account: str) -> BucketState | None:
    """The bucket without the request for its existence and region; None when that request has to be made.

    The request for its tags confirms the existence, and the owner of the bucket (``ExpectedBucketOwner``).
    """
    if sources.buckets is None:
        return None
    known = sources.buckets.find(lambda bucket: aspects.has_wanted_tags(wanted, bucket))
    if known is not None:
        return known
    region = sources.buckets.find_region()
    if region != wanted.region:
        return None
    try:
        tags = get_bucket_tags(sources.s3, wanted.bucket, sources.owner_of(account))
    except UnknownStateError:
        return None
    return None if tags is None else BucketState(region, tags)


def _check_region(wanted: Wanted, refusal: UnknownStateError) -> None:
    if is_nowhere(wanted.region, refusal.__cause__):
        raise NoSuchRegionError(
            f"spec.region: {wanted.region} is not known to this operator and has no endpoint that can be reached. It "
            f"cannot be changed: delete the object and create it again in a region of AWS ({refusal.message})",
            wanted.home_region,
        ) from refusal


def _check_enabled(wanted: Wanted, refusal: UnknownStateError, sts_of: Callable[[str], Any]) -> None:
    """Find out whether the access key is unknown in this region only.

    In a region that the account has not enabled, or of another partition, STS answers as if the key did not exist. A
    home region cannot be disabled, so its answer decides.
    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    own = partition_of(own_region())
    for home in dict.fromkeys((wanted.home_region, own.home)):
        if home == wanted.region:
            continue
        try:
            account = get_account(sts_of(home))
        except UnknownStateError:
            # The key is not known there either, or there is no answer: the first error is reported.
            continue
        if home == wanted.home_region:
            why = f"is not enabled in this account ({account}), or the session token is not valid there: enable it"
        else:
            why = f"is in the partition {wanted.partition}, and this operator's credentials are of {own.name}"
        raise NoSuchRegionError(
            f"spec.region: {wanted.region} {why}; or, as it cannot be changed, delete the object and create it again "
            "in another region",
            home,
        ) from refusal
