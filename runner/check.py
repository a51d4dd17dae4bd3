"""Questions that are asked once, for a person or for Helm: ``s3-operator check`` and ``warn-uninstall``.

Reads only. One thread. What is wrong is said with what to do; no key is ever in what is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runner.kube import Kube, KubeError
from runner.leader import Election

_CONFIG = Config(connect_timeout=5, read_timeout=15, retries={"max_attempts": 2})
_POLL_S = 1.0
_SHOWN = 20


class CheckError(Exception):
    """What is wrong, and what to do."""


def checks(kube: Kube, election: Election, wait_s: float) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each check by name; a call tells what was found.

    :param wait_s: for so long an operator may take to begin its work
    """
    yield "Kubernetes", lambda: _check_kubernetes(kube)
    yield "AWS", _check_aws
    yield "operator", lambda: _check_operator(election, wait_s)


def checks_without_cluster(problem: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """The same where no cluster can be asked, for the reason given."""

    def fail() -> str:
        raise CheckError(problem)

    yield "Kubernetes", fail
    yield "AWS", _check_aws


def uninstall_warning(kube: Kube) -> str:
    """What to think of before the operator goes; empty when no S3 object is there."""
    names = [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in _objects(kube)]
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


def _objects(kube: Kube) -> list[dict[str, Any]]:
    return [item for namespace in kube.namespaces for item in kube.list_objects(namespace)[0]]


def _check_kubernetes(kube: Kube) -> str:
    try:
        missing = kube.find_missing_namespaces()
        if missing:
            raise CheckError(f"namespace {missing[0]} does not exist: create it, or leave it out of --watch-namespace")
        count = len(_objects(kube))
        for namespace in kube.namespaces:
            for kind in ("Secret", "Service"):
                kube.list_children(kind, namespace)
    except KubeError as error:
        raise CheckError(f"{error}: is the CRD installed, and has the ServiceAccount its rights?") from error
    return f"{count} S3 objects in {', '.join(namespace or 'all namespaces' for namespace in kube.namespaces)}"


def _check_aws() -> str:
    try:
        found = boto3.client("sts", config=_CONFIG).get_caller_identity()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise CheckError(f"AWS does not accept the operator's credentials ({code}): mend them") from error
    except BotoCoreError as error:
        raise CheckError(f"AWS is not reached or no credentials are found ({type(error).__name__})") from error
    return f"account {found['Account']} as {found['Arn']}"


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
