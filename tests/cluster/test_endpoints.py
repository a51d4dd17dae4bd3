"""Settings of botocore in the operator's environment: a run connects to the same hosts as the drift check.

A proxy records the name of each host and opens no connection, so neither AWS nor a network is needed.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import BotoCoreError

from runner.drift.aws_clients import AWSClients
from runner.execution.job import AnsibleJob
from runner.objects import S3Object
from s3bucket.role_settings import RoleSettings
from tests.support.jobs import make_warm
from tests.support.world import EXECUTOR, PROJECT

REGION = "us-gov-west-1"
# The role stops at the first host that it cannot reach, so a separate task calls each service.
TASKS = [
    {"amazon.aws.aws_caller_info": {"region": REGION}},
    {"amazon.aws.iam_user": {"name": "photos", "state": "present", "region": REGION}},
    {"amazon.aws.s3_bucket": {"name": "photos-of-a-test", "region": REGION}},
]
SETTINGS = {
    "plain": {},
    "fips": {"AWS_USE_FIPS_ENDPOINT": "true"},
    "dual-stack": {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    "both": {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
    "own-endpoint": {
        "AWS_ENDPOINT_URL_S3": "https://s3.example.com",
        "AWS_ENDPOINT_URL_IAM": "https://iam.example.com",
    },
    # botocore has no variable for the addressing style.
    "names-of-buckets-in-hosts": {
        "AWS_ENDPOINT_URL_S3": "https://s3.example.com",
        "AWS_CONFIG_FILE": "[default]\ns3 =\n    addressing_style = virtual\n",
    },
}


class Proxy(socketserver.ThreadingTCPServer):
    """Refuses every tunnel and records the hosts that were requested."""

    daemon_threads = True

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Refuse)


class _Refuse(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        self.server.hosts.add(self.rfile.readline().split()[1].decode())
        self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Proxy]:
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = x\naws_secret_access_key = y\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with Proxy() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_address[1]}")
        yield server
        server.shutdown()


def project_of(folder: Path) -> Path:
    """A project with a playbook that calls each service once, and ignores failures."""
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False}
    play["vars"] = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    (folder / "playbooks").mkdir(parents=True)
    play["tasks"] = [{**task, "ignore_errors": True} for task in TASKS]
    (folder / "playbooks" / "operator.yml").write_text(yaml.safe_dump([play]))
    (folder / "roles").symlink_to(PROJECT / "roles")
    return folder


def hosts_of_a_check(proxy: Proxy) -> set[str]:
    s3, iam, sts = AWSClients(lambda operation: None).get(REGION)
    for call in (
        sts.get_caller_identity,
        lambda: iam.get_user(UserName="photos"),
        lambda: s3.head_bucket(Bucket="photos-of-a-test"),
    ):
        with contextlib.suppress(BotoCoreError):
            call()
    found = set(proxy.hosts)
    proxy.hosts.clear()
    return found


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_check_and_run_connect_to_the_same_hosts(
    monkeypatch: pytest.MonkeyPatch, proxy: Proxy, tmp_path: Path, settings: dict[str, str]
) -> None:
    (tmp_path / "config").write_text(settings.get("AWS_CONFIG_FILE", ""))
    for name, value in {**settings, "AWS_CONFIG_FILE": str(tmp_path / "config")}.items():
        monkeypatch.setenv(name, value)
    wanted = hosts_of_a_check(proxy)
    assert len(wanted) == 3
    assert ("photos-of-a-test.s3.example.com:443" in wanted) is ("AWS_CONFIG_FILE" in settings), wanted
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    warm = make_warm(work_dir, {}) if EXECUTOR == "warm" else None
    if warm:
        warm.start()
    try:
        job = AnsibleJob(project_of(tmp_path / "project"), work_dir, 240, RoleSettings(), warm)
        job.run(S3Object({"metadata": {"namespace": "team", "name": "photos", "uid": "x"}}))
    finally:
        if warm:
            warm.stop()
    assert proxy.hosts == wanted
