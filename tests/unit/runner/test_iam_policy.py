"""The policy that the command line prints is the documented one. Its options limit the policy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli import main
from runner.commands import iam_policy
from s3bucket import users
from tests.support.docs import commands
from tests.support.world import PROJECT

ACCOUNT = "111122223333"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/s3-operator-tenant"
DOCUMENTED = {
    "--account": ACCOUNT,
    "--bucket-prefix": "team-",
    "--iam-path": "/s3-operator/",
    "--permissions-boundary": BOUNDARY,
}
# The quota for a managed policy, which does not count white space:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MAX_SIZE = 6144


def printed(**settings: str) -> tuple[int, str]:
    arguments = [text for name, value in settings.items() for text in (name, value)]
    done = CliRunner().invoke(main, ["iam-policy", *arguments])
    return done.exit_code, done.output


def policy_of(**settings: str) -> dict[str, Any]:
    code, output = printed(**settings)
    assert code == 0, output
    return dict(json.loads(output))


def test_documented_policy_is_what_the_documented_command_prints() -> None:
    assert printed(**DOCUMENTED) == (0, (PROJECT / "docs" / "iam-policy.json").read_text())


def test_documented_command_is_that_of_the_documented_policy() -> None:
    (command,) = commands("docs/install/aws-permissions.md", "Print the policy for your settings")
    assert command.split() == ["s3-operator", "iam-policy", *(text for pair in DOCUMENTED.items() for text in pair)]


def test_policy_fits_into_a_managed_policy_with_the_longest_names() -> None:
    longest = policy_of(
        **{"--account": ACCOUNT, "--bucket-prefix": "b" * 63, "--iam-path": f"/{'p' * 510}/",
           "--permissions-boundary": f"arn:aws:iam::{ACCOUNT}:policy/{'p' * 510}/{'n' * 128}"}
    )  # fmt: skip
    assert len(json.dumps(longest, separators=(",", ":"))) <= MAX_SIZE


def test_policy_for_an_account_alone_has_no_limit_but_the_account() -> None:
    policy = policy_of(**{"--account": ACCOUNT})
    users_of_account = f"arn:aws:iam::{ACCOUNT}:user/*"
    assert [item["Resource"] for item in policy["Statement"]] == [
        "arn:aws:s3:::*", "arn:aws:s3:::*/*", "*", users_of_account, users_of_account, users_of_account,
    ]  # fmt: skip
    assert "iam:PermissionsBoundary" not in json.dumps(policy)
    # Without a configured boundary, the operator puts none.
    assert "iam:PutUserPermissionsBoundary" not in json.dumps(policy)


def test_policy_for_another_partition_names_it() -> None:
    text = json.dumps(policy_of(**{"--account": ACCOUNT, "--partition": "aws-cn"}))
    assert "arn:aws-cn:s3:::" in text
    assert "arn:aws:" not in text


def test_what_gives_rights_is_allowed_only_within_path_and_boundary() -> None:
    for statement in policy_of(**DOCUMENTED)["Statement"]:
        if {"iam:CreateUser", "iam:PutUserPolicy", "iam:PutUserPermissionsBoundary"} & set(statement["Action"]):
            assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}
        is_read = all(name.startswith(("iam:Get", "iam:List")) for name in statement["Action"])
        if any("iam:" in name for name in statement["Action"]) and statement["Resource"] != "*" and not is_read:
            assert statement["Resource"] == f"arn:aws:iam::{ACCOUNT}:user/s3-operator/*"


def test_nothing_in_the_policy_reads_objects_or_takes_a_boundary_away() -> None:
    actions = {action for statement in policy_of(**DOCUMENTED)["Statement"] for action in statement["Action"]}
    assert not actions & {"s3:GetObject", "s3:GetObjectVersion", "iam:DeleteUserPermissionsBoundary"}
    assert not [action for action in actions if "*" in action]


BAD = {
    "account": ("--account", "111"),
    "prefix-pattern": ("--bucket-prefix", "team*"),
    "path-open": ("--iam-path", "s3-operator"),
    "path-pattern": ("--iam-path", "/*/"),
    "boundary-name": ("--permissions-boundary", "tenant"),
    "partition": ("--partition", "aws:iam"),
}


@pytest.mark.parametrize(("option", "value"), BAD.values(), ids=BAD)
def test_setting_that_is_none_is_refused_by_name(option: str, value: str) -> None:
    code, output = printed(**{"--account": ACCOUNT, option: value})
    assert code == 2
    assert option in output


@pytest.mark.parametrize("flag", ["--iam-path", "--permissions-boundary"])
def test_run_refuses_what_the_role_would_refuse(flag: str) -> None:
    done = CliRunner().invoke(main, ["run", flag, "x"])
    assert done.exit_code == 2
    assert flag in done.output


def test_flags_and_role_take_the_same() -> None:
    assert (iam_policy.PATH, iam_policy.BOUNDARY) == (users.PATH, users.BOUNDARY)
