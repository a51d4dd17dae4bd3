"""The CRD on the real API server: what it takes, what it refuses and in which words, and what stays writable."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config import load_kube_config

from dev.binaries import find_binaries
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from dev.wait import wait_until
from runner.yaml_file import read_yaml
from s3bucket.api import API_VERSION, GROUP, PLURAL, VERSION
from s3bucket.spec import MAX_TAGS, UNMANAGED_FIELDS
from tests.support.world import PROJECT, World

CRD = read_yaml(PROJECT / "crds" / "s3s.agill.apps.yaml")
EXAMPLES = sorted((PROJECT / "examples").glob("*.yaml"))
GOOD: dict[str, Any] = {"region": "eu-west-1", "bucketName": "good-bucket", "iamUser": {"username": "good"}}
NAME = "name"
ROLE = "arn:aws:iam::111122223333:role/replication"
TO = {"bucketARN": "arn:aws:s3:::replica"}
RULE = {"id": "a", "destination": TO}
EVENT = "s3:ObjectAcl:Put"
# Ansible, which gets the object as JSON, takes an object with this key for something else.
UNSAFE = {"__ansible_unsafe": "x"}


def tier(name: str, days: int) -> dict[str, Any]:
    return {"accessTier": name, "days": days}


REPORTS = "arn:aws:s3:::reports"
# The lists of configurations: the fields that each needs beside its id.
LISTED: dict[str, dict[str, Any]] = {
    "metrics": {},
    "analytics": {},
    "intelligentTiering": {"tierings": [tier("ARCHIVE_ACCESS", 90)]},
    "inventory": {
        "schedule": "Daily",
        "includedObjectVersions": "All",
        "destination": {"bucketARN": REPORTS, "format": "CSV"},
    },
}


def rule_with(**parts: Any) -> dict[str, Any]:
    return {"lifecycleRules": [{"id": "a", **parts}]}


def routed(**rule: Any) -> dict[str, Any]:
    return {"website": {"indexDocument": "i", "routingRules": [rule]}}


# Where a spec shapes what the operator writes to Kubernetes.
SHAPED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "secret.": lambda shape: {"secret": shape},
    "service.": lambda shape: {"service": shape},
    "additionalUsers[].secret.": lambda shape: {"additionalUsers": [{"username": "other", "secret": shape}]},
}
KEYS_OF_METADATA = ["a", "A.b_c-d", "example.com/a", f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}/{'e' * 63}"]
METADATA = {
    "labels": dict.fromkeys(KEYS_OF_METADATA, "Value_1.2-3"),
    "annotations": dict.fromkeys(KEYS_OF_METADATA, "{{ lookup('pipe', 'id') }} {% raw %}"),
}


def rotated(**durations: object) -> dict[str, Any]:
    return {"username": "good", "keyRotation": durations}


# What is changed in a good object -> a part of the message. None removes a field; NAME sets metadata.name.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "name-long": ({NAME: "a" * 64}, "at most 63 characters: the Service"),
    "name-dot": ({NAME: "a.b"}, "no dot: the Service"),
    "name-digit": ({NAME: "1a"}, "must begin with a letter"),
    "no-region": ({"region": None}, "spec.region: Required"),
    "region-words": ({"region": "West Europe"}, "must be the name of a region"),
    "region-number": ({"region": "12"}, "must be the name of a region"),
    "region-long": ({"region": "a" * 64}, "may not be more than 63"),
    "region-dash": ({"region": "eu-west-"}, "must be the name of a region"),
    "no-bucket": ({"bucketName": None}, "spec.bucketName: Required"),
    "bucket-short": ({"bucketName": "ab"}, "at least 3"),
    "bucket-long": ({"bucketName": "a" * 64}, "may not be more than 63"),
    "bucket-upper": ({"bucketName": "Bucket"}, "only a-z, 0-9"),
    "bucket-underscore": ({"bucketName": "a_b"}, "only a-z, 0-9"),
    "bucket-dash-end": ({"bucketName": "bucket-"}, "begin and end with a letter or a digit"),
    "bucket-dot-begin": ({"bucketName": ".bucket"}, "begin and end with a letter or a digit"),
    "bucket-dots": ({"bucketName": "a..b"}, "two dots in a row"),
    "bucket-ip": ({"bucketName": "10.0.0.1"}, "look like an IP address"),
    "bucket-xn": ({"bucketName": "xn--bucket"}, "must not begin with xn--"),
    "bucket-sthree": ({"bucketName": "sthree-bucket"}, "must not begin with xn--"),
    "bucket-demo": ({"bucketName": "amzn-s3-demo-b"}, "must not begin with xn--"),
    "bucket-s3alias": ({"bucketName": "b-s3alias"}, "must not end with -s3alias"),
    "bucket-ol": ({"bucketName": "b--ol-s3"}, "must not end with -s3alias"),
    "bucket-mrap": ({"bucketName": "b.mrap"}, "must not end with -s3alias"),
    "bucket-x": ({"bucketName": "b--x-s3"}, "must not end with -s3alias"),
    "bucket-table": ({"bucketName": "b--table-s3"}, "must not end with -s3alias"),
    "acl": ({"bucketACL": "log-delivery-write"}, "Unsupported value"),
    "user-empty": ({"iamUser": {"username": ""}}, "must be 1 to 64"),
    "user-space": ({"iamUser": {"username": "a b"}}, "must be 1 to 64"),
    "user-long": ({"iamUser": {"username": "a" * 65}}, "may not be more than 64"),
    "user-none": ({"iamUser": {}}, "spec.iamUser.username: Required"),
    **{
        f"user-{name}": ({"iamUser": {"username": "good", **given}}, message)
        for name, given, message in (
            ("mode", {"accessMode": "Admin"}, 'spec.iamUser.accessMode: Unsupported value: "Admin"'),
            ("prefix-empty", {"prefixes": [""]}, "spec.iamUser.prefixes[0] in body should be at least 1 chars"),
            ("prefix-slash", {"prefixes": ["logs"]}, "must end with /: logs would also give access to logs-private"),
            ("prefix-star", {"prefixes": ["a*/"]}, "a prefix may have only A-Z"),
            ("prefix-question-mark", {"prefixes": ["a?/"]}, "a prefix may have only A-Z"),
            ("prefix-variable", {"prefixes": ["${aws:username}/"]}, "a prefix may have only A-Z"),
            ("prefix-twice", {"prefixes": ["a/", "a/"]}, 'spec.iamUser.prefixes[1]: Duplicate value: "a/"'),
            ("prefix-long", {"prefixes": ["a" * 256 + "/"]}, "may not be more than 256"),
            ("prefixes", {"prefixes": [f"{at}/" for at in range(11)]}, "must have at most 10 items"),
            ("tag-owner", {"tags": {"Agill.Apps/name": "1"}}, "must not begin with aws:, agill.apps/ or __ansible"),
            ("tag-aws", {"tags": {"AWS:x": "1"}}, "must not begin with aws:, agill.apps/ or __ansible"),
            ("tag-key", {"tags": {"a*": "1"}}, "a key of iamUser.tags must have 1 to 128 letters"),
            ("tag-value", {"tags": {"a": "*"}}, "a value of iamUser.tags may have only letters"),
            ("tags", {"tags": {f"k{at}": "" for at in range(21)}}, "must have at most 20 items"),
        )
    },
    **{
        f"role-{name}": ({"iamRole": {"name": "good", "serviceAccounts": ["web"], **given}}, message)
        for name, given, message in (
            ("name", {"name": "a/b"}, "iamRole.name must be 1 to 64 of A-Z"),
            ("name-long", {"name": "a" * 65}, "may not be more than 64"),
            ("accounts-none", {"serviceAccounts": []}, "should have at least 1 items"),
            ("accounts", {"serviceAccounts": [f"web{at}" for at in range(11)]}, "must have at most 10 items"),
            ("account-of-another-namespace", {"serviceAccounts": ["other:web"]}, "without a namespace"),
            ("account-star", {"serviceAccounts": ["*"]}, "without a namespace"),
            ("account-twice", {"serviceAccounts": ["a", "a"]}, 'serviceAccounts[1]: Duplicate value: "a"'),
            ("annotate-pod-identity", {"annotate": True, "podIdentity": True}, "which needs no annotation"),
            ("annotate", {"annotate": "yes"}, "spec.iamRole.annotate: Invalid value"),
            ("mode", {"accessMode": "Admin"}, 'spec.iamRole.accessMode: Unsupported value: "Admin"'),
            ("prefix", {"prefixes": ["logs"]}, "must end with /: logs would also give access to logs-private"),
            ("prefix-star", {"prefixes": ["*/"]}, "a prefix may have only A-Z"),
        )
    },
    "role-sum": (
        {"iamRole": {"name": "a" * 64, "serviceAccounts": ["web"]}, "bucketName": "b" * 50},
        "iamRole.name and bucketName may have at most 113 characters together",
    ),
    "rotation-words": ({"iamUser": rotated(interval="90 days")}, "interval must be a number of at most 5 digits"),
    "rotation-zero": ({"iamUser": rotated(gracePeriod="0h")}, "gracePeriod must be a number of at most 5 digits"),
    "rotation-sum": (
        {"iamUser": rotated(maxGracePeriod="1d12h")}, "maxGracePeriod must be a number of at most 5 digits",
    ),
    "rotation-number": ({"iamUser": rotated(interval=90)}, "must be of type string"),
    "rotation-short": ({"iamUser": rotated(interval="59m")}, "interval must be 1h to 3650d"),
    "rotation-long": ({"iamUser": rotated(gracePeriod="2161h")}, "gracePeriod must be 1m to 90d"),
    "rotation-longest": ({"iamUser": rotated(maxGracePeriod="366d")}, "maxGracePeriod must be 1m to 365d"),
    "rotation-order": (
        {"iamUser": rotated(gracePeriod="25h", maxGracePeriod="1d")}, "maxGracePeriod must not be shorter",
    ),
    "names-sum": ({"iamUser": {"username": "a" * 64}, "bucketName": "b" * 50}, "at most 113 characters together"),
    "also-namespace": (
        {"iamUser": {"username": "u", "alsoUses": [{"name": "other/logs"}]}}, "must be the name of an S3 object",
    ),
    "also-twice": ({"iamUser": {"username": "u", "alsoUses": [{"name": "a"}, {"name": "a"}]}}, "Duplicate value"),
    "also-mode": (
        {"iamUser": {"username": "u", "alsoUses": [{"name": "a", "accessMode": "All"}]}}, "Unsupported value",
    ),
    "also-many": (
        {"iamUser": {"username": "u", "alsoUses": [{"name": f"a{number}"} for number in range(9)]}}, "at most 8 items",
    ),
    "also-itself": (
        {NAME: "a", "iamUser": {"username": "u", "alsoUses": [{"name": "a"}]}}, "must not name the object itself",
    ),
    "users-twice": ({"additionalUsers": [{"username": "bob"}, {"username": "bob"}]}, "Duplicate value"),
    "users-of-first": (
        {"iamUser": {"username": "Bob"}, "additionalUsers": [{"username": "bob"}]}, "must not name the user of iamUser",
    ),
    "users-alone": ({"iamUser": None, "additionalUsers": [{"username": "bob"}]}, "additionalUsers needs iamUser"),
    "users-upper": ({"additionalUsers": [{"username": "Bob"}]}, "it is part of the name of a Secret"),
    "users-tag-key": (
        {"additionalUsers": [{"username": "bob", "tags": {"a*b": "c"}}]}, "a key of additionalUsers[].tags must have",
    ),
    "users-tag-owner": (
        {"additionalUsers": [{"username": "bob", "tags": {"agill.apps/name": "c"}}]},
        "a key of additionalUsers[].tags must not begin with",
    ),
    "users-tag-value": (
        {"additionalUsers": [{"username": "bob", "tags": {"a": "*"}}]}, "a value of additionalUsers[].tags may",
    ),
    "users-same-secret": (
        {"additionalUsers": [{"username": "a", "secret": {"name": "x"}}, {"username": "b", "secret": {"name": "x"}}]},
        "must not be the name of another user's Secret",
    ),
    "users-secret-of-first": (
        {"secret": {"name": "x"}, "additionalUsers": [{"username": "a", "secret": {"name": "x"}}]},
        "must not be the name of another user's Secret",
    ),
    "users-none": ({"additionalUsers": [{}]}, "username: Required"),
    "users-many": ({"additionalUsers": [{"username": f"u{number}"} for number in range(11)]}, "at most 10 items"),
    "users-sum": (
        {"additionalUsers": [{"username": "a" * 64}], "bucketName": "b" * 50}, "at most 113 characters together",
    ),
    "lock-without-versions": ({"enableObjectLock": True, "enableVersioning": False}, "object lock needs versions"),
    "retention-without-lock": (
        {"objectLockRetention": {"mode": "GOVERNANCE", "days": 1}}, "objectLockRetention needs enableObjectLock: true",
    ),
    "retention-of-no-time": (
        {"enableObjectLock": True, "objectLockRetention": {"mode": "GOVERNANCE"}}, "must have either days or years",
    ),
    "retention-twice": (
        {"enableObjectLock": True, "objectLockRetention": {"mode": "GOVERNANCE", "days": 1, "years": 1}},
        "must have either days or years",
    ),
    "retention-long": (
        {"enableObjectLock": True, "objectLockRetention": {"mode": "GOVERNANCE", "days": 36501}},
        "should be less than or equal to 36500",
    ),
    "ownership-without-acls": (
        {"objectOwnership": "BucketOwnerEnforced", "bucketACL": "public-read"},
        "objectOwnership must not be BucketOwnerEnforced with a bucketACL other than private",
    ),
    "logging-without-bucket": ({"logging": {"targetPrefix": "a"}}, "spec.logging.targetBucket: Required"),
    "acceleration-dot": (
        {"enableTransferAcceleration": True, "bucketName": "a.b.c"},
        "does not work for a bucketName with a dot",
    ),
    "acl-blocked": (
        {"bucketACL": "public-read", "publicAccessBlock": {"blockPublicACLs": True}},
        "publicAccessBlock.blockPublicACLs must not be true",
    ),
    "policy-list": ({"bucketPolicy": "[]"}, "must be a JSON object"),
    "policy-words": ({"bucketPolicy": "public"}, "must be a JSON object"),
    "policy-open": ({"bucketPolicy": '{"a": 1'}, "must be a JSON object"),
    "policy-large": ({"bucketPolicy": "{" + " " * 20480 + "}"}, "may not be more than 20480"),
    "tag-aws": ({"tags": {"aws:x": "1"}}, "must not begin with aws: or agill.apps/"),
    "tag-aws-upper": ({"tags": {"AWS:x": "1"}}, "must not begin with aws: or agill.apps/"),
    "tag-owner": ({"tags": {"agill.apps/name": "1"}}, "must not begin with aws: or agill.apps/"),
    "tag-ansible": ({"tags": {"__ansible_unsafe": "1"}}, "must not begin with __ansible"),
    "tag-key-empty": ({"tags": {"": "1"}}, "1 to 128 characters"),
    "tag-key-long": ({"tags": {"a" * 129: "1"}}, "1 to 128 characters"),
    "tag-key-brace": ({"tags": {"{{a}}": "1"}}, "a key of tags may have only letters"),
    "tag-value-brace": ({"tags": {"a": "{{ x }}"}}, "a value of tags may have only letters"),
    "tag-value-long": ({"tags": {"a": "1" * 257}}, "may not be more than 256"),
    "tag-count": ({"tags": {f"k{n}": "" for n in range(41)}}, "must have at most 40 items"),
    "deletion-policy": ({"deletionPolicy": "Orphan"}, "Unsupported value"),
    "adoption-policy": ({"adoptionPolicy": "Always"}, "Unsupported value"),
    "unmanaged-fields": ({"unmanagedFields": ["region"]}, 'spec.unmanagedFields[0]: Unsupported value: "region"'),
    "unmanaged-fields-twice": (
        {"unmanagedFields": ["tags", "tags"]}, 'spec.unmanagedFields[1]: Duplicate value: "tags"',
    ),
    "drift-policy": ({"driftPolicy": "Ignore"}, 'spec.driftPolicy: Unsupported value: "Ignore"'),
    "verify": ({"verify": "Write"}, 'spec.verify: Unsupported value: "Write"'),
    "verify-with-lock": ({"verify": "ReadWrite", "enableObjectLock": True}, "verify must not be ReadWrite with"),
    "encryption-key": (
        {"encryption": {"type": "AES256", "kmsKeyID": "alias/a"}},
        "encryption.kmsKeyID needs type aws:kms or aws:kms:dsse",
    ),
    "encryption-key-space": (
        {"encryption": {"type": "aws:kms", "kmsKeyID": "my key"}},
        "encryption.kmsKeyID must be the ARN, the id or the alias of a KMS key",
    ),
    "encryption-bucket-key": (
        {"encryption": {"type": "aws:kms:dsse", "bucketKeyEnabled": True}},
        "encryption.bucketKeyEnabled must not be true",
    ),
    "encryption-blocked": (
        {"encryption": {"type": "AES256", "blockedEncryptionTypes": ["NONE"]}}, 'Unsupported value: "NONE"',
    ),
    "lifecycle-size": (
        {"lifecycleMinimumObjectSize": "varies_by_storage_class"}, "lifecycleMinimumObjectSize needs lifecycleRules",
    ),
    "lifecycle-rules": (
        {"lifecycleRules": [{"id": f"{at}", "expiration": {"days": 1}} for at in range(1001)]},
        "must have at most 1000 items",
    ),
    "lifecycle-id-twice": (
        {"lifecycleRules": 2 * [{"id": "a", "expiration": {"days": 1}}]},
        'spec.lifecycleRules[1]: Duplicate value: {"id":"a"}',
    ),
    "lifecycle-action": (rule_with(expiration={"expiredObjectDeleteMarker": False}), "lifecycleRules needs an action"),
    "lifecycle-tags-uploads": (
        rule_with(filter={"tags": {"a": "1"}}, abortIncompleteMultipartUploadDays=1),
        "expiredObjectDeleteMarker must not be given with a filter for tags or sizes",
    ),
    "lifecycle-size-marker": (
        rule_with(filter={"objectSizeLessThan": 1}, expiration={"expiredObjectDeleteMarker": True}),
        "expiredObjectDeleteMarker must not be given with a filter for tags or sizes",
    ),
    "lifecycle-mixed": (
        rule_with(transitions=[{"days": 1, "storageClass": "GLACIER"}], expiration={"date": "2030-01-01"}),
        "must have either days or dates in transitions and expiration",
    ),
    "lifecycle-expires-first": (
        rule_with(transitions=[{"days": 9, "storageClass": "GLACIER"}], expiration={"days": 9}),
        "expiration must be later than all transitions of its rule",
    ),
    "lifecycle-expires-first-by-date": (
        rule_with(transitions=[{"date": "2030-01-02", "storageClass": "GLACIER"}], expiration={"date": "2030-01-01"}),
        "expiration must be later than all transitions of its rule",
    ),
    "lifecycle-versions-expire-first": (
        rule_with(
            noncurrentVersionTransitions=[{"noncurrentDays": 9, "storageClass": "GLACIER"}],
            noncurrentVersionExpiration={"noncurrentDays": 9},
        ),
        "noncurrentVersionExpiration must be later than all noncurrentVersionTransitions",
    ),
    "lifecycle-sizes": (
        rule_with(filter={"objectSizeGreaterThan": 2, "objectSizeLessThan": 2}, expiration={"days": 1}),
        "filter.objectSizeLessThan must be more than filter.objectSizeGreaterThan",
    ),
    "lifecycle-tag-key-empty": (
        rule_with(filter={"tags": {"": "1"}}),
        "a key of filter.tags must have 1 to 128 characters",
    ),
    "lifecycle-tag-ansible": (rule_with(filter={"tags": UNSAFE}), "a key of filter.tags must not begin with __ansible"),
    "lifecycle-tag-key": (rule_with(filter={"tags": {"{a}": "1"}}), "a key of filter.tags may have only letters"),
    "lifecycle-tag-value": (
        rule_with(filter={"tags": {"a": "{1}"}}),
        "spec.lifecycleRules[0].filter.tags.a in body should match",
    ),
    "lifecycle-tags": (rule_with(filter={"tags": {f"{at}": "" for at in range(11)}}), "must have at most 10 items"),
    "lifecycle-expiration": (
        rule_with(expiration={"days": 1, "date": "2030-01-01"}),
        "expiration must have one of days, date and expiredObjectDeleteMarker",
    ),
    "lifecycle-date": (
        rule_with(expiration={"date": "2030-02-30"}),
        "spec.lifecycleRules[0].expiration.date in body must be of type date",
    ),
    "lifecycle-order": (
        rule_with(transitions=[{"days": 30, "storageClass": name} for name in ("GLACIER", "STANDARD_IA")]),
        "transitions must be in the order STANDARD_IA",
    ),
    "lifecycle-class-twice": (
        rule_with(transitions=[{"days": days, "storageClass": "GLACIER"} for days in (1, 2)]),
        'spec.lifecycleRules[0].transitions[1]: Duplicate value: {"storageClass":"GLACIER"}',
    ),
    "lifecycle-transition": (
        rule_with(transitions=[{"storageClass": "GLACIER"}]),
        "each of transitions must have either days or date",
    ),
    "lifecycle-early": (
        rule_with(transitions=[{"days": 29, "storageClass": "ONEZONE_IA"}]),
        "transitions to STANDARD_IA and ONEZONE_IA need 30 days or more",
    ),
    "lifecycle-versions-order": (
        rule_with(noncurrentVersionTransitions=[
            {"noncurrentDays": 30, "storageClass": name} for name in ("GLACIER", "STANDARD_IA")]),
        "noncurrentVersionTransitions must be in the order STANDARD_IA",
    ),
    "lifecycle-versions-early": (
        rule_with(noncurrentVersionTransitions=[{"noncurrentDays": 29, "storageClass": "ONEZONE_IA"}]),
        "noncurrentVersionTransitions to STANDARD_IA and ONEZONE_IA need 30 noncurrentDays or more",
    ),
    "metadata-tables-inventory": (
        {"metadataTables": {"journal": {"enabled": False}, "inventory": {"enabled": True}}},
        "inventory.enabled must not be true without the journal table, which it needs",
    ),
    "metadata-tables-days": (
        {"metadataTables": {"journal": {"enabled": False, "recordExpirationDays": 7}}},
        "recordExpirationDays must not be given without the journal table",
    ),
    "metadata-tables-too-early": (
        {"metadataTables": {"journal": {"recordExpirationDays": 6}}},
        "spec.metadataTables.journal.recordExpirationDays in body should be greater than or equal to 7",
    ),
    "replication-without-versions": ({"replication": {"role": ROLE, "rules": [RULE]}}, "needs enableVersioning: true"),
    **{
        f"replication-{name}": ({"enableVersioning": True, "replication": {"role": ROLE, "rules": rules}}, message)
        for name, rules, message in (
            ("no-rules", [], "should have at least 1 items"),
            ("one-priority", [RULE, {**RULE, "id": "b"}], "each rule must have a priority of its own"),
            ("one-id", [RULE, {**RULE, "priority": 1}], 'rules[1]: Duplicate value: {"id":"a"}'),
            ("delete-markers", [{**RULE, "deleteMarkers": True, "filter": {"tags": {"a": "b"}}}],
             "deleteMarkers must not be true with tags"),
            ("tag-key", [{**RULE, "filter": {"tags": {"{a}": "1"}}}], "a key of replication filter.tags must have"),
            ("tag-ansible", [{**RULE, "filter": {"tags": UNSAFE}}], "a key of replication filter.tags must not begin"),
            ("tag-value", [{**RULE, "filter": {"tags": {"a": "{1}"}}}], ".filter.tags.a in body should match"),
            ("kms", [{**RULE, "replicateKMSObjects": True}], "replicateKMSObjects and destination.kmsKeyID need each"),
            ("kms-key", [{**RULE, "destination": {**TO, "kmsKeyID": "k"}}], "need each other"),
            ("owner", [{**RULE, "destination": {**TO, "ownerOverride": True}}], "account is missing: with ownerOverr"),
            ("time", [{**RULE, "destination": {**TO, "replicationTime": True, "metrics": False}}],
             "metrics must not be false with replicationTime"),
            ("bucket", [{**RULE, "destination": {"bucketARN": "replica"}}], "bucketARN must be the ARN of a bucket"),
            ("account", [{**RULE, "destination": {**TO, "account": "1"}}], "in body should match '^[0-9]{12}$'"),
        )
    },
    "replication-role": (
        {"enableVersioning": True, "replication": {"role": "photos", "rules": [RULE]}},
        "role must be the ARN of an IAM role",
    ),
    "notifications-one-id": (
        {"notifications": {kind: [{"id": "a", "arn": f"arn:aws:{service}:eu-west-1:1:a", "events": [EVENT]}]
                           for kind, service in (("topics", "sns"), ("functions", "lambda"))}},
        "each of the queues, topics and functions must have an id of its own",
    ),
    "notifications-id-twice": (
        {"notifications": {"queues": [
            {"id": "a", "arn": "arn:aws:sqs:eu-west-1:1:a", "events": [event]}
            for event in ("s3:ObjectAcl:Put", "s3:IntelligentTiering")
        ]}},
        'spec.notifications.queues[1]: Duplicate value: {"id":"a"}',
    ),
    "notifications-too-many": (
        {"notifications": {kind: [
            {"id": f"{kind}{at}", "arn": f"arn:aws:{service}:eu-west-1:1:a", "events": ["s3:ObjectAcl:Put"]}
            for at in range(51)] for kind, service in (("queues", "sqs"), ("topics", "sns"))}},
        "at most 100 queues, topics and functions in all",
    ),
    "notifications-arn": (
        {"notifications": {"queues": [{"id": "a", "arn": "arn:aws:sns:eu-west-1:1:a", "events": [EVENT]}]}},
        "arn must be the ARN of an SQS queue",
    ),
    "notifications-arn-of-topic": (
        {"notifications": {"topics": [{"id": "a", "arn": "arn:aws:sqs:eu-west-1:1:a", "events": [EVENT]}]}},
        "arn must be the ARN of an SNS topic",
    ),
    "notifications-arn-of-function": (
        {"notifications": {"functions": [{"id": "a", "arn": "arn:aws:sqs:eu-west-1:1:a", "events": [EVENT]}]}},
        "arn must be the ARN of a Lambda function",
    ),
    "notifications-fifo": (
        {"notifications": {"topics": [
            {"id": "a", "arn": "arn:aws:sns:eu-west-1:1:a.fifo", "events": ["s3:ObjectAcl:Put"]}]}},
        "arn must not be that of a FIFO queue or topic",
    ),
    "notifications-event": (
        {"notifications": {"topics": [{"id": "a", "arn": "arn:aws:sns:eu-west-1:1:a", "events": ["s3:Created"]}]}},
        'spec.notifications.topics[0].events[0]: Unsupported value: "s3:Created"',
    ),
    "website-empty": ({"website": {}}, "website must have either indexDocument or redirectAllRequestsTo"),
    "website-redirect": (
        {"website": {"redirectAllRequestsTo": {"hostName": "a"}, "errorDocument": "e"}},
        "website.redirectAllRequestsTo excludes all other fields",
    ),
    "website-index": ({"website": {"indexDocument": "a/i"}}, "website.indexDocument must have no slash"),
    "website-rules": (
        {"website": {"indexDocument": "i", "routingRules": 51 * [{"redirect": {"hostName": "a"}}]}},
        "must have at most 50 items",
    ),
    "website-error-code": (
        routed(condition={"httpErrorCodeReturnedEquals": "302"}, redirect={"hostName": "a"}),
        "httpErrorCodeReturnedEquals must be an HTTP code from 400 to 599",
    ),
    "website-condition": (routed(condition={}, redirect={"hostName": "a"}), "condition: Invalid value: 0"),
    "website-nowhere": (routed(redirect={}), "redirect: Invalid value: 0"),
    "website-keys": (
        routed(redirect={"replaceKeyWith": "a", "replaceKeyPrefixWith": "b"}),
        "redirect must have either replaceKeyWith or replaceKeyPrefixWith",
    ),
    "website-code": (
        routed(redirect={"httpRedirectCode": "300"}), "httpRedirectCode must be an HTTP code from 301 to 399",
    ),
    **{
        f"{field}-{name}": ({field: [{"id": "a", **LISTED[field], **parts}]}, message)
        for field, name, parts, message in (
            *(row for field in LISTED for row in (
                (field, "id", {"id": "a b"}, f"{field}.id may have only A-Z"),
                (field, "id-long", {"id": "a" * 65}, "may not be more than 64"),
            )),
            *(row for field in ("metrics", "analytics", "intelligentTiering") for row in (
                (field, "tag-key", {"filter": {"tags": {"{a}": "1"}}}, f"a key of {field}.filter.tags must have"),
                (field, "tag-key-empty", {"filter": {"tags": {"": "1"}}}, f"a key of {field}.filter.tags must have"),
                (field, "tag-ansible", {"filter": {"tags": UNSAFE}}, f"a key of {field}.filter.tags must not begin"),
                (field, "tag-value", {"filter": {"tags": {"a": "{1}"}}}, f"a value of {field}.filter.tags may have"),
                (field, "tags", {"filter": {"tags": {f"{at}": "" for at in range(11)}}}, "must have at most 10 items"),
            )),
            ("metrics", "point", {"filter": {"accessPointARN": "photos"}}, "metrics.filter.accessPointARN must be the"),
            ("analytics", "bucket", {"export": {"bucketARN": "b"}}, "analytics.export.bucketARN must be the ARN of"),
            ("analytics", "account", {"export": {"bucketARN": REPORTS, "account": "1"}},
             "analytics.export.account must be the 12 digits"),
            ("analytics", "format", {"export": {"bucketARN": REPORTS, "format": "ORC"}}, 'Unsupported value: "ORC"'),
            ("analytics", "no-bucket", {"export": {}}, "export.bucketARN: Required"),
            ("intelligentTiering", "none", {"tierings": []}, "should have at least 1 items"),
            ("intelligentTiering", "early", {"tierings": [tier("ARCHIVE_ACCESS", 89)]}, "greater than or equal to 90"),
            ("intelligentTiering", "late", {"tierings": [tier("ARCHIVE_ACCESS", 731)]}, "less than or equal to 730"),
            ("intelligentTiering", "deep-early", {"tierings": [tier("DEEP_ARCHIVE_ACCESS", 179)]},
             "must be at least 180 for DEEP_ARCHIVE_ACCESS"),
            ("intelligentTiering", "deep-first",
             {"tierings": [tier("DEEP_ARCHIVE_ACCESS", 180), tier("ARCHIVE_ACCESS", 180)]},
             "the days of DEEP_ARCHIVE_ACCESS must be more than those of ARCHIVE_ACCESS"),
            ("intelligentTiering", "twice", {"tierings": 2 * [tier("ARCHIVE_ACCESS", 90)]},
             'tierings[1]: Duplicate value: {"accessTier":"ARCHIVE_ACCESS"}'),
            ("inventory", "bucket", {"destination": {"bucketARN": "b", "format": "CSV"}},
             "inventory.destination.bucketARN must be the ARN of a bucket"),
            ("inventory", "account", {"destination": {"bucketARN": REPORTS, "format": "CSV", "account": "1"}},
             "inventory.destination.account must be the 12 digits"),
            ("inventory", "encryption",
             {"destination": {"bucketARN": REPORTS, "format": "CSV", "encryption": {"sseS3": True, "kmsKeyID": "a"}}},
             "inventory.destination.encryption must have only one of sseS3 and kmsKeyID"),
            ("inventory", "field", {"optionalFields": ["Name"]}, 'Unsupported value: "Name"'),
            ("inventory", "field-twice", {"optionalFields": ["Size", "Size"]}, 'Duplicate value: "Size"'),
            ("inventory", "no-schedule", {"schedule": None}, "schedule: Required"),
        )
    },
    "secret-without-user": ({"iamUser": None, "secret": {"layout": "Env"}}, "secret needs iamUser"),
    **{
        f"{place.rstrip('.')}-{name}": (given(value), message.format(place))
        for place, given in SHAPED.items()
        for name, value, message in (
            ("label-key", {"labels": {"a b": "c"}}, "a key of {}labels must be a name of at most 63"),
            ("label-key-long", {"labels": {"a" * 64: "c"}}, "a key of {}labels must be a name of at most 63"),
            ("label-domain", {"labels": {f"{'a' * 254}/b": "c"}}, "a key of {}labels must be a name of at most 63"),
            ("label-own", {"labels": {"agill.apps/s3": "a"}}, "a key of {}labels must not be app"),
            ("label-manager", {"labels": {"app.kubernetes.io/managed-by": "a"}}, "a key of {}labels must not be app"),
            ("label-value", {"labels": {"a": "b c"}}, "a value of {}labels must be empty, or letters"),
            ("label-long", {"labels": {"a": "b" * 64}}, "may not be more than 63"),
            ("labels", {"labels": {f"a{at}": "" for at in range(17)}}, "must have at most 16 items"),
            ("annotation-key", {"annotations": {"{{ a }}": "c"}}, "a key of {}annotations must be a name"),
            ("annotation-own", {"annotations": {"agill.apps/key": "a"}}, "a key of {}annotations must not be app"),
            ("annotation-long", {"annotations": {"a": "b" * 1025}}, "may not be more than 1024"),
        )
    },
    **{
        f"{place.rstrip('.')}-{name}": (SHAPED[place](value), message.format(place))
        for place in ("secret.", "additionalUsers[].secret.")
        for name, value, message in (
            ("name", {"name": "A"}, "{}name must have only a-z, 0-9"),
            ("name-long", {"name": "a" * 254}, "may not be more than 253"),
            ("layout", {"layout": "Vault"}, 'Unsupported value: "Vault"'),
            ("source", {"keys": {"a": "password"}}, 'Unsupported value: "password"'),
            ("key", {"keys": {"__ansible_unsafe": "arn"}}, "a key of {}keys must be at most 253"),
            ("keys", {"keys": {f"a{at}": "arn" for at in range(17)}}, "must have at most 16 items"),
            ("lost-key", {"keys": {"AWS_SECRET_ACCESS_KEY": "arn"}}, "{}keys must name accessKeyID"),
            ("lost-file", {"layout": "File", "keys": {"credentials": "arn"}}, "{}keys must not have credentials"),
            ("lost-info", {"layout": "COSI", "keys": {"BucketInfo": "arn"}}, "{}keys must not have BucketInfo"),
        )
    },
    "metrics-id-twice": ({"metrics": 2 * [{"id": "a"}]}, 'spec.metrics[1]: Duplicate value: {"id":"a"}'),
    "metrics-too-many": ({"metrics": [{"id": f"{at}"} for at in range(101)]}, "must have at most 100 items"),
    "versioning-word": ({"enableVersioning": "yes"}, "must be of type boolean"),
    "unknown-field": ({"bucketNmae": "a"}, "unknown field"),
}  # fmt: skip

# An object with the first spec; its change to the second is refused with the message.
IMMUTABLE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "bucket": ({}, {"bucketName": "another"}, "bucketName cannot be changed"),
    "region": ({}, {"region": "us-east-1"}, "region cannot be changed"),
    "user": ({}, {"iamUser": {"username": "another"}}, "iamUser.username cannot be changed"),
    "role": (
        {"iamRole": {"name": "a", "serviceAccounts": ["web"]}}, {"iamRole": {"name": "b", "serviceAccounts": ["web"]}},
        "iamRole.name cannot be changed",
    ),
    "role-removed": (
        {"iamRole": {"name": "a", "serviceAccounts": ["web"]}}, {"iamRole": None}, "iamRole cannot be removed",
    ),
    "user-removed": ({}, {"iamUser": None}, "iamUser cannot be removed"),
    "lock-off": ({"enableObjectLock": True}, {"enableObjectLock": False}, "enableObjectLock cannot be removed"),
    "lock-removed": ({"enableObjectLock": True}, {"enableObjectLock": None}, "enableObjectLock cannot be removed"),
}  # fmt: skip

FULL: dict[str, Any] = {
    **GOOD,
    "iamUser": {
        "username": "good",
        "accessMode": "ReadWrite",
        "prefixes": ["in/", "A-Z0-9 !'()&@:,=+;._-/"],
        "tags": {"Ünïcode key/1": "a b_.:/=+-@", "empty": ""},
    },
    "iamRole": {
        "name": "good",
        "serviceAccounts": ["web", "a.b"],
        "annotate": True,
        "podIdentity": False,
        "accessMode": "ReadOnly",
        "prefixes": ["in/"],
    },
    "bucketACL": "private",
    "enableObjectLock": True,
    "enableVersioning": True,
    "enableTransferAcceleration": True,
    "bucketPolicy": '\n{"Statement": [{"Sid": "{{ lookup(\'pipe\', \'id\') }} {% raw %} !unsafe __ansible_unsafe"}]}\n',
    "publicAccessBlock": dict.fromkeys(
        ("blockPublicACLs", "ignorePublicACLs", "blockPublicPolicy", "restrictPublicBuckets"), True
    ),
    "tags": {"Ünïcode key/1": "a b_.:/=+-@", "empty": ""},
    "deletionPolicy": "Retain",
    "forceDelete": False,
    "adoptionPolicy": "IfExists",
    "driftPolicy": "Report",
    "verify": "Access",
    "unmanagedFields": ["bucketPolicy", "tags"],
    "service": {"enabled": False, **METADATA},
    "secret": {
        "name": "own.name",
        "layout": "OBC",
        "keys": {"AWS_ACCESS_KEY_ID": "accessKeyID", "id": "accessKeyID", "host": "host", "a.b_c-d": "arn"},
        **METADATA,
    },
}


def build(name: str, change: dict[str, Any], base: dict[str, Any] = GOOD) -> dict[str, Any]:
    spec = {**base, **change}
    name = spec.pop(NAME, name)
    kept = {field: value for field, value in spec.items() if value is not None}
    return {"apiVersion": API_VERSION, "kind": "S3", "metadata": {"name": name}, "spec": kept}


def create(world: World, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    return dict(
        world.custom.create_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, body, field_validation="Strict")
    )


@pytest.fixture(scope="module")
def room(world: World, new_name: Callable[[str], str]) -> str:
    name = new_name("crd")
    world.make_namespace(name)
    return name


@pytest.mark.parametrize("row", REFUSED)
def test_crd_refuses_with_a_message(world: World, room: str, row: str) -> None:
    change, message = REFUSED[row]
    with pytest.raises(ApiException) as refused:
        create(world, room, build("bad", change))
    assert refused.value.status in (400, 422)
    assert message in json.loads(refused.value.body)["message"]


@pytest.mark.parametrize(
    "region",
    ["eusc-de-east-1", "us-isob-east-1", "us-gov-west-1", "garage", "default", "fr-par", "RegionOne", "a" * 63],
)
def test_crd_admits_regions_of_all_partitions_and_of_stores(world: World, room: str, region: str) -> None:
    create(world, room, build(f"in-{region}"[:40].lower(), {"region": region}))


@pytest.mark.parametrize("row", IMMUTABLE)
def test_crd_refuses_a_change(world: World, room: str, row: str) -> None:
    first, change, message = IMMUTABLE[row]
    create(world, room, build(row, first))
    with pytest.raises(ApiException) as refused:
        world.custom.patch_namespaced_custom_object(GROUP, VERSION, room, PLURAL, row, {"spec": change})
    assert message in json.loads(refused.value.body)["message"]


def test_object_lock_can_be_enabled_later(world: World, room: str) -> None:
    create(world, room, build("unlocked", {"enableObjectLock": False}))
    patch = {"spec": {"enableObjectLock": True, "objectLockRetention": {"mode": "COMPLIANCE", "years": 1}}}
    found = world.custom.patch_namespaced_custom_object(GROUP, VERSION, room, PLURAL, "unlocked", patch)
    assert found["spec"]["enableObjectLock"]


def test_unmanaged_fields_are_those_of_the_settings() -> None:
    schema = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    field = schema["unmanagedFields"]
    assert (tuple(field["items"]["enum"]), field["maxItems"]) == (UNMANAGED_FIELDS, len(UNMANAGED_FIELDS))


def test_every_rule_of_the_crd_has_a_row() -> None:
    messages = [message for *_, message in (*REFUSED.values(), *IMMUTABLE.values())]
    rules = list(find_rules(CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
    assert len(rules) > 20
    assert [rule for rule in rules if not any(part in rule for part in messages)] == []


def test_each_map_refuses_keys_that_ansible_would_interpret() -> None:
    spec = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    maps = [(path, field) for path, field in find_fields(spec["properties"]) if "additionalProperties" in field]
    assert len(maps) > 5
    rules = {path: [item["rule"] for item in field.get("x-kubernetes-validations", [])] for path, field in maps}
    assert [path for path, found in rules.items() if not any(map(refuses_ansible_keys, found))] == []


def refuses_ansible_keys(rule: str) -> bool:
    """Whether a CEL rule names the prefix, or has a pattern that no such key matches."""
    patterns = re.findall(r"key[.]matches\('([^']*)'\)", rule)
    return "startsWith('__ansible')" in rule or any(
        not re.match(pattern, "__ansible_unsafe") for pattern in patterns if "\\p" not in pattern
    )


def find_rules(schema: dict[str, Any]) -> Iterator[str]:
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
    for child in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from find_rules(child)


def test_every_field_is_described_and_none_has_a_default_but_what_was_not_seen_yet() -> None:
    schema = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    fields = dict(find_fields({name: schema[name] for name in ("spec", "status")}))
    assert "spec.publicAccessBlock.blockPublicACLs" in fields
    assert [name for name, field in fields.items() if "description" not in field] == []
    found = {name: field["default"] for name, field in fields.items() if "default" in field}
    assert found == {"status": {"observedGeneration": -1}}


def test_kubectl_explain_prints_every_field_and_the_text_of_a_leaf(world: World) -> None:
    schema = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    names = {name.rpartition(".")[2] for name, _ in find_fields(schema["properties"])}
    # The API server publishes the schema of a new CRD some moments later.
    shown = wait_until(lambda: explain(world, "s3.spec", "--recursive"), "the schema")
    assert names - set(shown.split()) == set()
    leaf = schema["properties"]["replication"]["properties"]["role"]["description"]
    assert " ".join(leaf.split()) in " ".join(explain(world, "s3.spec.replication.role").split())


def explain(world: World, *arguments: str) -> str:
    command = [str(find_binaries()["kubectl"]), f"--kubeconfig={world.kubeconfig}", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def find_fields(properties: dict[str, Any], parent: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in properties.items():
        yield parent + name, field
        nested = field.get("properties") or field.get("items", {}).get("properties") or {}
        yield from find_fields(nested, f"{parent}{name}.")


def test_printer_columns_are_the_go_operators() -> None:
    columns = [column["name"] for column in CRD["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert columns == ["bucket-name", "IAM-User", "Status", "Age"]


def test_full_object_is_stored_and_read_back_unchanged(world: World, room: str) -> None:
    stored = create(world, room, build("whole", {}, FULL))
    assert stored["spec"] == FULL


def test_iam_user_can_be_added_later(world: World, room: str) -> None:
    create(world, room, build("later", {"iamUser": None}))
    patch = {"spec": {"iamUser": {"username": "later"}}}
    found = world.custom.patch_namespaced_custom_object(GROUP, VERSION, room, PLURAL, "later", patch)
    assert found["spec"]["iamUser"] == {"username": "later"}


def test_retain_can_be_set_while_the_object_is_being_deleted(world: World, room: str) -> None:
    body = build("going", {})
    body["metadata"]["finalizers"] = ["agill.apps.s3"]
    create(world, room, body)
    api = (GROUP, VERSION, room, PLURAL, "going")
    world.custom.delete_namespaced_custom_object(*api)
    found = world.custom.patch_namespaced_custom_object(*api, {"spec": {"deletionPolicy": "Retain"}})
    assert found["metadata"]["deletionTimestamp"]
    world.custom.patch_namespaced_custom_object(*api, {"metadata": {"finalizers": None}})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_accepted(world: World, room: str, path: Path) -> None:
    create(world, room, yaml.safe_load(path.read_text()))


def go_crd() -> dict[str, Any]:
    """The CRD of the Go operator, as apiextensions v1: its fields, no rules; and tags, as an earlier release had."""
    crd = copy.deepcopy(CRD)
    text, flag = {"type": "string"}, {"type": "boolean"}
    fields = {
        "region": text, "bucketName": text, "bucketACL": text, "bucketPolicy": text,
        "enableObjectLock": flag, "enableVersioning": flag, "enableTransferAcceleration": flag,
        "iamUser": {"type": "object", "properties": {"username": text}},
        "tags": {"type": "object", "additionalProperties": text},
    }  # fmt: skip
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": fields},
            "status": {"type": "object", "properties": {"status": text}},
        },
    }
    return crd


# Objects that the Go operator, or an earlier release, stored and that the CRD rejects today.
STORED: dict[str, dict[str, Any]] = {
    "name.with.dots": {},
    "n" * 70: {},
    "upper-bucket": {"bucketName": "Old_Bucket"},
    "long-names": {"iamUser": {"username": "u" * 64}, "bucketName": "b" * 60},
    "no-username": {"iamUser": {"username": ""}},
    "bad-policy": {"bucketPolicy": "not json"},
    "old-acl": {"bucketACL": "log-delivery-write"},
    "lock-without-versions": {"enableObjectLock": True, "enableVersioning": False},
    "many-tags": {"tags": {f"k{n}": "" for n in range(MAX_TAGS)}},
}


def test_objects_stored_before_stay_writable_in_status_and_finalizers(tmp_path: Path) -> None:
    with ControlPlane(tmp_path) as plane:
        api_client = client.ApiClient(_configuration(plane))
        crds, custom = client.ApiextensionsV1Api(api_client), client.CustomObjectsApi(api_client)
        crds.create_custom_resource_definition(go_crd())
        at = (GROUP, VERSION, "default", PLURAL)
        for name, change in STORED.items():
            _when_served(
                lambda name=name, change=change: custom.create_namespaced_custom_object(*at, build(name, change))
            )
            custom.patch_namespaced_custom_object_status(*at, name, {"status": {"status": "Ready"}})
        install_crd(plane.kubeconfig)
        for name in STORED:
            status = {"status": "Failed", "conditions": [], "lastSyncTime": "2026-01-01T00:00:00Z"}
            custom.patch_namespaced_custom_object_status(*at, name, {"status": status})
            custom.patch_namespaced_custom_object(*at, name, {"metadata": {"finalizers": ["agill.apps.s3"]}})
            # Edits of other fields go through as well; two fields that contradict each other are repaired with them.
            repaired = {"enableVersioning": True} if name == "lock-without-versions" else {}
            custom.patch_namespaced_custom_object(*at, name, {"spec": {"deletionPolicy": "Retain", **repaired}})
            custom.delete_namespaced_custom_object(*at, name)
            custom.patch_namespaced_custom_object(*at, name, {"metadata": {"finalizers": []}})
        assert custom.list_namespaced_custom_object(*at)["items"] == []


def _configuration(plane: ControlPlane) -> client.Configuration:
    configuration = client.Configuration()
    load_kube_config(str(plane.kubeconfig), client_configuration=configuration)
    return configuration


def _when_served(call: Callable[[], Any]) -> None:
    """A CRD is served some moments after it is created."""
    deadline = time.monotonic() + 30
    while True:
        try:
            call()
        except ApiException as error:
            if error.status != 404 or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
