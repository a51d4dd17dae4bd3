"""What ACK and Crossplane have for each bucket setting of this operator, for the table of the reference.

As of 2026-11: the Bucket of ACK's s3-controller 1051f76, and the kinds of Crossplane's provider-upjet-aws 2.6.
"""

from __future__ import annotations

from typing import NamedTuple


class Peers(NamedTuple):
    """The field of ACK's Bucket, and the kind of Crossplane; empty for none."""

    ack: str
    crossplane: str


PEERS = {
    "abac": Peers("abac", "BucketAbac"),
    "acceleration": Peers("accelerate", "BucketAccelerateConfiguration"),
    "acl": Peers("acl", "BucketACL"),
    "analytics": Peers("analytics", "BucketAnalyticsConfiguration"),
    "cors": Peers("cors", "BucketCorsConfiguration"),
    "encryption": Peers("encryption", "BucketServerSideEncryptionConfiguration"),
    "intelligent_tiering": Peers("intelligentTiering", "BucketIntelligentTieringConfiguration"),
    "inventory": Peers("inventory", "BucketInventory"),
    "lifecycle": Peers("lifecycle", "BucketLifecycleConfiguration"),
    "logging": Peers("logging", "BucketLogging"),
    "metadata_tables": Peers("", ""),
    "metrics": Peers("metrics", "BucketMetric"),
    "notifications": Peers("notification", "BucketNotification"),
    "object_lock": Peers("objectLockEnabledForBucket", "Bucket"),
    "object_lock_retention": Peers("objectLockConfiguration", "BucketObjectLockConfiguration"),
    "ownership": Peers("ownershipControls", "BucketOwnershipControls"),
    "policy": Peers("policy", "BucketPolicy"),
    "public_access_block": Peers("publicAccessBlock", "BucketPublicAccessBlock"),
    "replication": Peers("replication", "BucketReplicationConfiguration"),
    "requester_pays": Peers("requestPayment", "BucketRequestPaymentConfiguration"),
    "versioning": Peers("versioning", "BucketVersioning"),
    "website": Peers("website", "BucketWebsiteConfiguration"),
}
