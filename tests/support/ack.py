"""The spec of ACK's Bucket (s3-controller 1051f76): each leaf, and where the tests have what it does."""

from __future__ import annotations

import re

_SPEC = """
abac.status accelerate.status acl grant{FullControl,Read,ReadACP,Write,WriteACP} policy name namespace
objectLockEnabledForBucket objectOwnership ownershipControls.rules[].objectOwnership requestPayment.payer
versioning.status tagging.tagSet[].{key,value}
analytics[].{id,filter.{prefix,tag.{key,value},and.{prefix,tags[].{key,value}}},storageClassAnalysis.dataExport.{outputSchemaVersion,destination.s3BucketDestination.{bucket,bucketAccountID,format,prefix}}}
cors.corsRules[].{id,allowedHeaders[],allowedMethods[],allowedOrigins[],exposeHeaders[],maxAgeSeconds}
createBucketConfiguration.{locationConstraint,bucket.{dataRedundancy,type},location.{name,type}}
encryption.rules[].{applyServerSideEncryptionByDefault.{sseAlgorithm,kmsMasterKeyID},bucketKeyEnabled}
intelligentTiering[].{id,status,filter.{prefix,tag.{key,value},and.{prefix,tags[].{key,value}}},tierings[].{accessTier,days}}
inventory[].{id,isEnabled,includedObjectVersions,optionalFields[],schedule.frequency,filter.prefix,destination.s3BucketDestination.{accountID,bucket,format,prefix,encryption.sseKMS.keyID}}
lifecycle.rules[].{id,status,prefix,filter.{prefix,tag.{key,value},objectSizeGreaterThan,objectSizeLessThan,and.{prefix,tags[].{key,value},objectSizeGreaterThan,objectSizeLessThan}},expiration.{date,days,expiredObjectDeleteMarker},transitions[].{date,days,storageClass},noncurrentVersionExpiration.{noncurrentDays,newerNoncurrentVersions},noncurrentVersionTransitions[].{noncurrentDays,newerNoncurrentVersions,storageClass},abortIncompleteMultipartUpload.daysAfterInitiation}
logging.loggingEnabled.{targetBucket,targetPrefix,targetGrants[].{grantee.{displayName,emailAddress,id,type_,uRI},permission}}
metrics[].{id,filter.{prefix,tag.{key,value},accessPointARN,and.{prefix,tags[].{key,value},accessPointARN}}}
notification.{lambdaFunctionConfigurations[].{id,events[],lambdaFunctionARN,filter.key.filterRules[].{name,value}},queueConfigurations[].{id,events[],queueARN,filter.key.filterRules[].{name,value}},topicConfigurations[].{id,events[],topicARN,filter.key.filterRules[].{name,value}}}
objectLockConfiguration.rule.defaultRetention.{mode,days,years}
publicAccessBlock.{blockPublicACLs,blockPublicPolicy,ignorePublicACLs,restrictPublicBuckets}
replication.{role,roleRef.from.{name,namespace},rules[].{id,priority,prefix,status,filter.{prefix,tag.{key,value},and.{prefix,tags[].{key,value}}},deleteMarkerReplication.status,existingObjectReplication.status,sourceSelectionCriteria.{replicaModifications.status,sseKMSEncryptedObjects.status},destination.{bucket,account,storageClass,accessControlTranslation.owner,encryptionConfiguration.replicaKMSKeyID,metrics.{status,eventThreshold.minutes},replicationTime.{status,time.minutes}}}}
website.{indexDocument.suffix,errorDocument.key,redirectAllRequestsTo.{hostName,protocol},routingRules[].{condition.{httpErrorCodeReturnedEquals,keyPrefixEquals},redirect.{hostName,httpRedirectCode,protocol,replaceKeyPrefixWith,replaceKeyWith}}}
"""


def expanded(text: str) -> list[str]:
    """Expand the braces of one word, as a shell does."""
    start = text.find("{")
    if start < 0:
        return [text]
    depth, at, parts, begin = 0, start, [], start + 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0 or (depth == 1 and text[at] == ","):
            parts.append(text[begin:at])
            begin = at + 1
        if depth == 0:
            break
    return [leaf for part in parts for leaf in expanded(text[:start] + part + text[at + 1 :])]


LEAVES = tuple(leaf for word in re.findall(r"\S+", _SPEC) for leaf in expanded(word))

# The bucket setting of this operator for a field of ACK's.
SETTING_OF = {
    "abac": "abac",
    "analytics": "analytics",
    "cors": "cors",
    "encryption": "encryption",
    "intelligentTiering": "intelligent_tiering",
    "inventory": "inventory",
    "lifecycle": "lifecycle",
    "logging": "logging",
    "metrics": "metrics",
    "notification": "notifications",
    "objectLockConfiguration": "object_lock_retention",
    "objectOwnership": "object_ownership",
    "ownershipControls": "object_ownership",
    "replication": "replication",
    "requestPayment": "requester_pays",
    "website": "website",
}
# Leaves with names that differ in boto3's answer in more than their case.
NAMES = {
    "metrics[].filter.accessPointARN": "AccessPointArn",
    "metrics[].filter.and.accessPointARN": "AccessPointArn",
    "notification.lambdaFunctionConfigurations[].lambdaFunctionARN": "LambdaFunctionArn",
    "inventory[].destination.s3BucketDestination.accountID": "AccountId",
}
_DRIFT = "tests/role/test_drift.py"
# Leaves that the older settings have, and the test of each.
ELSEWHERE = {
    "accelerate.status": _DRIFT,
    "acl": _DRIFT,
    "policy": _DRIFT,
    "name": "tests/role/test_creation.py",
    "namespace": "tests/role/test_regions.py",
    "objectLockEnabledForBucket": "tests/role/test_deletion.py",
    "versioning.status": _DRIFT,
    "createBucketConfiguration.locationConstraint": "tests/role/test_regions.py",
    **{leaf: _DRIFT for leaf in LEAVES if leaf.startswith(("publicAccessBlock.", "tagging."))},
}
_ACLS = "AWS advises against ACLs: a bucket policy does the same"
_DIRECTORY = "for directory buckets, which hold no versions, tags or policies of this kind"
LEFT_OUT = {
    **{leaf: _ACLS for leaf in LEAVES if leaf.startswith(("grant", "logging.loggingEnabled.targetGrants"))},
    **{
        leaf: _DIRECTORY
        for leaf in LEAVES
        if leaf.startswith(("createBucketConfiguration.bucket", "createBucketConfiguration.location."))
    },
    "lifecycle.rules[].prefix": "the older form of filter.prefix",
    "replication.rules[].prefix": "the older form of filter.prefix",
    "replication.rules[].existingObjectReplication.status": "AWS no longer supports it: use S3 Batch Replication",
    "replication.roleRef.from.name": "a reference to another object of ACK",
    "replication.roleRef.from.namespace": "a reference to another object of ACK",
}
