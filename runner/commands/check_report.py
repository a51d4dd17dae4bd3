"""Checks that run once, for a person or for Helm: ``s3-operator check`` and ``warn-uninstall``.

Reads only. One thread. Every problem is reported with its remedy; no output ever holds a key.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runner.commands import store_report
from runner.control.stored import HINT
from runner.drift.aws_clients import Client, home_region
from runner.drift.event_queue import KMS_REMEDY, MAX_TIMES, is_of_kms
from runner.kube.client import Kube, KubeError
from runner.kube.leader import Election
from runner.kube.schema import unstored_fields
from runner.queue_url import QueueURL
from runner.settings import default_project_dir
from s3bucket.capabilities import is_absent, is_aws_endpoint, probe
from s3bucket.errors import ReconcileError
from s3bucket.role_settings import RoleSettings

_CONFIG = Config(connect_timeout=5, read_timeout=15, retries={"max_attempts": 2})
_POLL_S = 1.0
_SHOWN = 20
Check = tuple[str, Callable[[], str]]
_QUEUE_ATTRIBUTES = ("ApproximateNumberOfMessages", "MessageRetentionPeriod")
_REDRIVE = "RedrivePolicy"
_NO_SUCH_MESSAGE = ("ReceiptHandleIsInvalid", "InvalidParameterValue")
_INDENT = " " * 8
_OTHER = "give --provider Other (PROVIDER; aws.provider of the chart)"
_PROJECT = Path(os.environ.get("PROJECT_DIR") or default_project_dir())


class CheckError(Exception):
    """The problem and its remedy."""


def checks(kube: Kube, election: Election, wait_s: float, role: RoleSettings) -> Iterator[Check]:
    """Each check by name. A call of it returns what it found.

    :param wait_s: seconds in which an operator must have acquired its Lease
    :param role: the settings that name the provider
    """
    for namespace in kube.namespaces:
        place = f"namespace {namespace}" if namespace else "all namespaces"
        yield place, partial(_check_namespace, kube, namespace)
    yield "CRD", partial(_check_crd, kube)
    yield _check_of_endpoint(role)
    yield "operator", lambda: _check_operator(election, wait_s)
    yield "other operators", lambda: _check_overlapping(election)


def checks_without_cluster(problem: str, role: RoleSettings) -> Iterator[Check]:
    """The same checks when no cluster can be reached. The Kubernetes checks fail with the given problem."""

    def fail() -> str:
        raise CheckError(problem)

    yield "Kubernetes", fail
    yield _check_of_endpoint(role)


def check_of_queue(url: QueueURL | None, *, is_sharded: bool) -> Iterator[Check]:
    """The check of the queue of events, if there is one."""
    if url is not None:
        yield "event queue", partial(_check_queue, url, is_sharded)


def uninstall_warning(kube: Kube) -> str:
    """What to consider before an uninstall of the operator; empty when no S3 object exists."""
    names = list(_names(kube))
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (
        f"WARNING: S3 objects are still there ({len(names)}): {', '.join(names[:_SHOWN])}{more}.\n"
        "They, their buckets, users and Secrets stay. Without an operator nothing repairs them, and deleting one of\n"
        "them, its namespace or the CRD waits for ever at the finalizer agill.apps.s3.\n"
        "To go on with them: install again. To remove them: install again, kubectl delete s3 in each namespace, and\n"
        "then uninstall."
    )


def _names(kube: Kube) -> Iterator[str]:
    for namespace in kube.namespaces:
        for s3 in kube.iterate_objects(namespace):
            yield f"{s3.namespace}/{s3.name}"


def _check_namespace(kube: Kube, namespace: str | None) -> str:
    try:
        if namespace and not kube.has_namespace(namespace):
            raise CheckError(f"namespace {namespace} does not exist; the others are served")
        count = sum(1 for _ in kube.iterate_objects(namespace))
        for kind in ("Secret", "Service"):
            # Read to the end, because each page is a separate request.
            deque(kube.iterate_children(kind, namespace), maxlen=0)
    except KubeError as error:
        advice = "is the CRD installed, and has the ServiceAccount its rights?"
        if error.is_denied and namespace:
            advice = f"namespace {namespace} is missing, or the operator's RoleBinding in it; the others are served"
        raise CheckError(f"{error}: {advice}") from error
    return f"{count} S3 objects"


def _check_crd(kube: Kube) -> str:
    try:
        missing = unstored_fields(kube.get_crd(), _PROJECT)
    except KubeError as error:
        if error.is_denied:
            return "not known: there is no right to read it"
        raise CheckError(f"{error}: install the chart with crds.install=true") from error
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise CheckError(f"does not have {', '.join(missing[:_SHOWN])}{more}: {HINT}")
    return "has all fields"


def _check_of_endpoint(role: RoleSettings) -> Check:
    return ("AWS", _check_aws) if role.is_aws else ("store", partial(_check_store, role))


def _clients() -> tuple[Client, Client, Client]:
    s3, iam, sts = (boto3.client(name, region_name=home_region(), config=_CONFIG) for name in ("s3", "iam", "sts"))
    return s3, iam, sts


def _check_store(role: RoleSettings) -> str:
    try:
        s3, iam, sts = _clients()
        found = probe(s3, iam, sts, role.account_id)
    except ReconcileError as refusal:
        raise CheckError(refusal.message) from refusal
    except (BotoCoreError, ValueError) as error:
        raise CheckError(f"the store is not reached: {error}") from error
    rows = [*store_report.rows_of(found), *store_report.rows_of_settings(s3, found)]
    account = f", account {found.account}" if found.account else ""
    return f"{s3.meta.endpoint_url}{account}\n{store_report.text_of(rows, _INDENT)}"


def _check_behavior(account: str) -> None:
    """Check that an endpoint that is not AWS's own behaves as AWS does. AWS itself gets no request.

    :raises CheckError: when it does not
    """
    s3, iam, sts = _clients()
    if is_aws_endpoint(s3):
        return
    try:
        problem = store_report.find_contradiction(s3, iam, sts, account)
    except ReconcileError as refusal:
        raise CheckError(refusal.message) from refusal
    if problem:
        raise CheckError(f"{s3.meta.endpoint_url} is not AWS, as {problem}: {_OTHER}")


def _check_aws() -> str:
    sts = boto3.client("sts", config=_CONFIG)
    try:
        found = sts.get_caller_identity()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if is_absent(error):
            raise CheckError(f"the endpoint is not AWS, as it has no STS ({code}): {_OTHER}") from error
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not is_aws_endpoint(sts):
            endpoint = f"{sts.meta.endpoint_url} is not AWS, and its STS does not answer ({status})"
            raise CheckError(f"{endpoint}: {_OTHER}") from error
        raise CheckError(
            f"AWS does not accept the operator's credentials ({code}): check the Secret or the IAM role"
        ) from error
    except BotoCoreError as error:
        raise CheckError(f"AWS is not reached or no credentials are found ({type(error).__name__})") from error
    _check_behavior(found["Account"])
    return f"account {found['Account']} as {found['Arn']}"


def _check_queue(url: QueueURL, is_sharded: bool) -> str:
    """Try each right on the queue. A message that is received stays: it is visible to the operator at once."""
    name = {"QueueUrl": url.url}
    try:
        sqs = boto3.client("sqs", region_name=url.region or home_region(), config=_CONFIG)
        found = sqs.get_queue_attributes(**name, AttributeNames=[*_QUEUE_ATTRIBUTES, _REDRIVE])["Attributes"]
        sqs.receive_message(**name, MaxNumberOfMessages=1, VisibilityTimeout=0, WaitTimeSeconds=0)
        _try_without_message(partial(sqs.delete_message, **name))
        if is_sharded:
            _try_without_message(partial(sqs.change_message_visibility, **name, VisibilityTimeout=0))
    except ClientError as error:
        raise CheckError(f"{error}: {_remedy_of_queue(error)}") from error
    except BotoCoreError as error:
        raise CheckError(f"SQS is not reached or no credentials are found ({type(error).__name__})") from error
    if is_sharded:
        _check_redrive(found.get(_REDRIVE, "{}"))
    waiting, days = (int(found[attribute]) for attribute in _QUEUE_ATTRIBUTES)
    return f"{url.name}: messages can be received and deleted; {waiting} wait, each is kept for {days / 86400:g} days"


def _check_redrive(policy: str) -> None:
    """Check that a message is not moved to a dead-letter queue before it has reached the replica that it is for."""
    times = int(json.loads(policy).get("maxReceiveCount", MAX_TIMES))
    if times < MAX_TIMES:
        raise CheckError(
            f"with shards, replicas hand messages on up to {MAX_TIMES} times, and maxReceiveCount of the queue's "
            f"redrive policy is {times}: messages are lost in the dead-letter queue. Set it to at least {MAX_TIMES}, "
            "or remove the redrive policy"
        )


def _try_without_message(request: Callable[..., object]) -> None:
    try:
        request(ReceiptHandle="s3-operator-check")
    except ClientError as error:
        # The right is checked first; there is no message with this handle.
        if error.response.get("Error", {}).get("Code") not in _NO_SUCH_MESSAGE:
            raise


def _remedy_of_queue(error: ClientError) -> str:
    if "NonExistentQueue" in str(error) or "QueueDoesNotExist" in str(error):
        return "create the queue, or correct --event-queue-url (EVENT_QUEUE_URL; eventQueueURL of the chart)"
    if is_of_kms(error):
        return KMS_REMEDY
    return (
        "give the operator the rights that s3-operator iam-policy --event-queue-url prints, with shards also with "
        "--sharding, if there is this queue"
    )


def _check_operator(election: Election, wait_s: float) -> str:
    deadline = time.monotonic() + wait_s
    try:
        while not election.is_held_by_other():
            if time.monotonic() > deadline:
                raise CheckError(
                    "no operator is at work (none holds its Lease): see kubectl get pods, and the Pod's log"
                )
            time.sleep(_POLL_S)
    except KubeError as error:
        raise CheckError(str(error)) from error
    return "at work"


def _check_overlapping(election: Election) -> str:
    try:
        found = election.find_overlapping(None)
    except KubeError as error:
        if error.is_denied:
            return "not known: there is no right to list Leases"
        raise CheckError(str(error)) from error
    if found:
        shown = "; ".join(found[:_SHOWN])
        raise CheckError(f"these watch the same namespaces: {shown}: set watchNamespaces, or uninstall one of them")
    return "none watches the same namespaces"
