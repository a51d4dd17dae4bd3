"""The queue and the rules of the guide about events: CloudFormation and Terraform are valid and ask for the same.

moto carries the CloudFormation out: an event in the shape that AWS documents arrives in the queue, as the operator
reads it, and what the operator would ignore does not.
"""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import hcl2
import pytest
from cfnlint.api import lint_all
from cfnlint.decode import decode_str
from moto import mock_aws

from runner.drift.cloudtrail import Change, change_in
from tests.support.cloudtrail import ACCOUNT, bucket_event, user_event
from tests.support.docs import blocks

PAGE = "docs/guides/events.md"
REGION = "eu-central-1"
QUEUE, FORWARD = (text for text in blocks(PAGE, "yaml") if text.startswith("AWSTemplate"))
(TERRAFORM,) = blocks(PAGE, "hcl")
PARAMETERS = [{"ParameterKey": "QueueRegion", "ParameterValue": REGION}]


@pytest.mark.parametrize("template", [QUEUE, FORWARD], ids=["queue", "forward"])
def test_template_is_valid(template: str) -> None:
    # Those of the level I are advice.
    assert [str(match) for match in lint_all(template) if not match.rule.id.startswith("I")] == []


@pytest.fixture
def _moto(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


def create_stack(template: str, region: str, **more: Any) -> dict[str, str]:
    """Carry a template out. Returns its outputs."""
    client = boto3.client("cloudformation", region_name=region)
    client.create_stack(StackName="events", TemplateBody=template, **more)
    stack = client.describe_stacks(StackName="events")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def send(body: str) -> None:
    """Put an event into the default bus, as EventBridge gets it from CloudTrail."""
    event = json.loads(body)
    entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
    boto3.client("events", region_name=REGION).put_events(Entries=[entry])


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
@pytest.mark.usefixtures("_moto")
def test_queue_gets_the_changes_and_nothing_that_changes_nothing() -> None:
    url = create_stack(QUEUE, REGION)["QueueURL"]
    changes = [bucket_event("PutBucketPolicy", "photos"), user_event("CreateAccessKey", "alice")]
    others = [
        bucket_event("GetBucketPolicy", "photos", readOnly=True),
        bucket_event("PutBucketPolicy", "photos", errorCode="AccessDenied"),
        bucket_event("PutObject", "photos", managementEvent=False, eventCategory="Data"),
        bucket_event("PutBucketPolicy", "photos", eventSource="s3-outposts.amazonaws.com"),
    ]
    for body in (*others, *changes):
        send(body)
    found = boto3.client("sqs", region_name=REGION).receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    read = [change_in(message["Body"], ACCOUNT) for message in found]
    assert all(isinstance(change, Change) for change in read)
    assert read == [change_in(body, ACCOUNT) for body in changes]
    assert all(not isinstance(change_in(body, ACCOUNT), Change) for body in others[:3])


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
@pytest.mark.usefixtures("_moto")
def test_only_the_rule_may_send_and_the_other_region_forwards_what_the_rule_takes() -> None:
    create_stack(QUEUE, REGION)
    create_stack(FORWARD, "us-east-1", Parameters=PARAMETERS, Capabilities=["CAPABILITY_IAM"])
    # moto does not carry out the queue's policy.
    (statement,) = decode_str(QUEUE)[0]["Resources"]["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    rules = {region: boto3.client("events", region_name=region) for region in (REGION, "us-east-1")}
    rule, forwarding = (client.describe_rule(Name="s3-operator-events") for client in rules.values())
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]}}}
    assert json.loads(rule["EventPattern"]) == json.loads(forwarding["EventPattern"])
    (target,) = rules["us-east-1"].list_targets_by_rule(Rule="s3-operator-events")["Targets"]
    assert target["Arn"] == f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    role = target["RoleArn"].rpartition("/")[2]
    policy = str(boto3.client("iam").get_role_policy(RoleName=role, PolicyName="forward")["PolicyDocument"])
    assert "events:PutEvents" in policy
    assert target["Arn"] in policy


def test_terraform_is_valid_and_asks_for_the_same() -> None:
    found = hcl2.loads(TERRAFORM)
    kinds = sorted(kind.strip('"') for item in found["resource"] for kind in item)
    assert kinds == sorted([
        "aws_sqs_queue", "aws_sqs_queue_policy", "aws_cloudwatch_event_rule", "aws_cloudwatch_event_target",
        "aws_cloudwatch_event_rule", "aws_cloudwatch_event_target", "aws_iam_role", "aws_iam_role_policy",
    ])  # fmt: skip
    # Both have the same words: those of the pattern, the policies and the queue.
    words = set(re.findall(r"\b(?:aws\.(?:s3|iam)|\w+\.amazonaws\.com|\w+:\w*[A-Z]\w+|\d{4,})\b", QUEUE + FORWARD))
    assert {"aws.iam", "iam.amazonaws.com", "events:PutEvents", "sqs:SendMessage", "aws:SourceArn", "3600"} <= words
    assert {word for word in words if word not in TERRAFORM} <= {"2010"}
    for field in ("source", "detail-type", "eventSource", "managementEvent", "readOnly", "errorCode"):
        assert field in TERRAFORM
        assert f"{field}:" in QUEUE
