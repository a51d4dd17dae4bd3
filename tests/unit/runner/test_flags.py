"""Flags with values that are in range but make no sense together, and values that mean the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from runner.cli import main
from runner.queue_url import QueueURL
from runner.settings import find_other_core
from tests.support.world import PROJECT

AT_AWS = "https://sqs.eu-central-1.amazonaws.com/123456789012/events"


def parse(*arguments: str) -> dict[str, object]:
    command = main.commands["run"]
    return dict(command.make_context("run", list(arguments)).params)


@pytest.mark.parametrize("flag", ["--sync-period", "--run-timeout", "--lease-duration", "--grace-period"])
@pytest.mark.parametrize("value", ["nan", "inf", "5m", "-1"])
def test_time_that_never_passes_is_refused_by_its_flag(flag: str, value: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        parse(flag, value)
    assert refused.value.param is not None
    assert flag in refused.value.param.opts
    assert value in refused.value.message


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/events", "eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/events", "cn-north-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/events", "us-gov-west-1"),
        ("https://sqs.us-east-1.api.aws/123456789012/events", "us-east-1"),
        ("https://vpce-0a.sqs.us-east-1.vpce.amazonaws.com/123456789012/events", "us-east-1"),
        ("https://eu-west-1.queue.amazonaws.com/123456789012/events", "eu-west-1"),
        ("http://127.0.0.1:5000/123456789012/events", ""),
        ("http://[::1]:5000/123456789012/events", ""),
    ],
)
def test_url_of_a_queue_shows_its_region(url: str, region: str) -> None:
    found = parse("--event-queue-url", url)["event_queue"]
    assert found == QueueURL(url, region, "123456789012", "events")


@pytest.mark.parametrize(
    "url",
    [
        "arn:aws:sqs:eu-central-1:123456789012:events",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/events.fifo",
        "https://sqs.eu-central-1.amazonaws.com/events",
        "https://user:password@sqs.eu-central-1.amazonaws.com/123456789012/events",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/events\n",
        "events",
    ],
)
def test_what_is_no_url_of_a_queue_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(
        click.BadParameter, match="it must be the URL of a standard SQS queue, as https://sqs"
    ) as refused:
        parse("--event-queue-url", url)
    assert "password" not in refused.value.message


def test_queue_of_events_needs_aws() -> None:
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/events"
    done = CliRunner().invoke(main, ["run", "--event-queue-url", url, "--provider", "Other"])
    assert done.exit_code == 2
    assert "--event-queue-url needs AWS" in done.output


@pytest.mark.parametrize(
    ("delay", "url", "is_refused"),
    [
        ("299", AT_AWS, True),
        ("0.5", "https://vpce-0a.sqs.us-east-1.vpce.amazonaws.com/123456789012/events", True),
        ("1", "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/events", True),
        ("1", "https://sqs.us-east-1.api.aws/123456789012/events", True),
        ("300", AT_AWS, False),
        ("0", AT_AWS, False),
        ("1", "http://127.0.0.1:5000/123456789012/events", False),
        ("1", "http://sqs.us-east-1.localhost.localstack.cloud:4566/123456789012/events", False),
        ("1", "", False),
    ],
)
def test_event_delay_that_cloudtrail_does_not_keep_is_refused_at_aws(delay: str, url: str, is_refused: bool) -> None:
    """Elsewhere, as in tests, events may come at once."""
    nowhere = {"KUBECONFIG": "/nowhere", "KUBERNETES_SERVICE_HOST": None}
    arguments = ["run", "--event-queue-url", url, "--event-delay", delay]
    done = CliRunner(env=nowhere).invoke(main, arguments)
    assert (done.exit_code == 2) is is_refused, done.output
    assert ("--event-delay" in done.output and "at least 300, or 0 to turn" in done.output) is is_refused


def test_namespace_that_is_named_twice_is_watched_once() -> None:
    assert parse("--watch-namespace", "a, b,", "--watch-namespace", "a")["watch_namespaces"] == ("a", "b")


def test_project_folder_with_another_core_than_the_imported_one_is_refused(tmp_path: Path) -> None:
    for folder in ("playbooks", "roles"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, symlinks=True)
    assert find_other_core(tmp_path) == ""
    changed = tmp_path / "roles" / "s3bucket" / "module_utils" / "s3bucket" / "aspects.py"
    changed.write_text(f"{changed.read_text()}\n")
    done = CliRunner().invoke(main, ["once", "--project-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert f"{changed} is not what this s3-operator has" in done.output
