"""The policy that the command line prints is the documented one. Its options limit the policy."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli import main
from runner.commands import iam_policy
from s3bucket import allowed, users
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


def printed(*flags: str, **settings: str) -> tuple[int, str]:
    arguments = [*flags, *(text for name, value in settings.items() for text in (name, value))]
    done = CliRunner().invoke(main, ["iam-policy", *arguments])
    return done.exit_code, done.output


def policy_of(*flags: str, **settings: str) -> dict[str, Any]:
    code, output = printed(*flags, **settings)
    assert code == 0, output
    return dict(json.loads(output))


def test_documented_policy_is_what_the_documented_command_prints() -> None:
    assert printed(**DOCUMENTED) == (0, (PROJECT / "docs" / "iam-policy.json").read_text())


def test_documented_command_is_that_of_the_documented_policy() -> None:
    (command,) = commands("docs/install/aws-permissions.md", "Print the policy for your settings")
    assert command.split() == ["s3-operator", "iam-policy", *(text for pair in DOCUMENTED.items() for text in pair)]


def test_documented_commands_allow_the_same_settings() -> None:
    helm, command = commands("docs/install/aws-permissions.md", "Optional bucket settings")
    (value,) = re.findall(r"--set 'allowedSettings=\{(.*)\}'", helm)
    arguments = shlex.split(command)[1:]
    assert arguments[arguments.index("--settings") + 1] == value
    fields = [name for name in value.split(",") if name in allowed.FIELDS]
    assert "replication" in fields
    done = CliRunner().invoke(main, [",".join(fields) if text == value else text for text in arguments])
    assert "iam:PassRole" in done.output, done.output


QUEUE = "https://sqs.eu-central-1.amazonaws.com/444455556666/events"


@pytest.mark.parametrize(("sharding", "more"), [([], []), (["--sharding"], ["sqs:ChangeMessageVisibility"])])
def test_rights_on_the_queue_of_events_are_there_only_with_it_and_for_it_alone(
    sharding: list[str], more: list[str]
) -> None:
    plain = policy_of(*sharding, **DOCUMENTED)
    assert "sqs:" not in json.dumps(plain)
    policy = policy_of(*sharding, **DOCUMENTED, **{"--event-queue-url": QUEUE, "--partition": "aws-cn"})
    (statement,) = [item for item in policy["Statement"] if "sqs:" in json.dumps(item)]
    assert statement == {
        "Sid": "EventQueue",
        "Effect": "Allow",
        "Action": [*more, "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
        "Resource": "arn:aws-cn:sqs:eu-central-1:444455556666:events",
    }
    assert len(policy["Statement"]) == len(plain["Statement"]) + 1


def test_policy_for_a_queue_in_an_unknown_region_is_refused_with_the_remedy() -> None:
    code, output = printed(**DOCUMENTED, **{"--event-queue-url": "http://127.0.0.1:1/444455556666/events"})
    assert code == 2
    assert "give the URL with https://sqs.REGION.amazonaws.com/" in " ".join(output.split())


METADATA_ACTIONS = {
    *(f"s3:{verb}BucketMetadataTableConfiguration" for verb in ("Create", "Delete", "Get")),
    *(f"s3:UpdateBucketMetadata{table}TableConfiguration" for table in ("Inventory", "Journal")),
}
TABLE_BUCKET = f"arn:aws:s3tables:*:{ACCOUNT}:bucket/aws-s3"
LONGEST = {
    "--account": ACCOUNT, "--bucket-prefix": "b" * 63, "--iam-path": f"/{'p' * 510}/",
    "--permissions-boundary": f"arn:aws:iam::{ACCOUNT}:policy/{'p' * 510}/{'n' * 128}",
}  # fmt: skip
ROLES = [f"arn:aws:iam::{ACCOUNT}:role/{'r' * 500}{at}" for at in range(30)]


def rights_in(documents: list[Any]) -> set[tuple[str, str, str]]:
    """Each action of a policy with one resource and the condition."""
    return {
        (action, resource, json.dumps(statement.get("Condition")))
        for document in documents
        for statement in document["Statement"]
        for action in statement["Action"]
        for resource in ([statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"])
    }


def test_rights_on_roles_are_given_only_with_the_provider_and_within_path_and_boundary() -> None:
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE"
    with_roles = policy_of(**DOCUMENTED, **{"--oidc-provider-arn": provider})
    added = rights_in([with_roles]) - rights_in([policy_of(**DOCUMENTED)])
    managed, bound = (
        f"arn:aws:iam::{ACCOUNT}:role/s3-operator/*",
        {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}},
    )
    assert {action for action, resource, _ in added if resource != managed} == {
        "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
    }  # fmt: skip
    assert {action for action, _, condition in added if condition == json.dumps(bound)} == {
        "iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary",
    }  # fmt: skip
    assert printed(**DOCUMENTED, **{"--oidc-provider-arn": "photos"})[0] == 2


def test_rights_on_associations_are_given_only_with_the_cluster_and_only_there() -> None:
    cluster = f"arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/production"
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE"
    arguments = {**DOCUMENTED, "--oidc-provider-arn": provider}
    added = rights_in([policy_of(**arguments, **{"--eks-cluster-arn": cluster})]) - rights_in([policy_of(**arguments)])
    associations = cluster.replace(":cluster/", ":podidentityassociation/") + "/*"
    for_pods = json.dumps({"StringEquals": {"iam:PassedToService": "pods.eks.amazonaws.com"}})
    assert {(action, resource) for action, resource, _ in added} == {
        ("eks:CreatePodIdentityAssociation", cluster), ("eks:ListPodIdentityAssociations", cluster),
        ("eks:DeletePodIdentityAssociation", associations), ("eks:DescribePodIdentityAssociation", associations),
        ("eks:TagResource", associations), ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/s3-operator/*"),
    }  # fmt: skip
    assert {condition for action, _, condition in added if action == "iam:PassRole"} == {for_pods}
    alone = rights_in([policy_of(**DOCUMENTED, **{"--eks-cluster-arn": cluster})])
    assert "iam:CreateRole" in {action for action, _, _ in alone}
    assert printed(**DOCUMENTED, **{"--eks-cluster-arn": "production"})[0] == 2


def test_documented_policy_fits_into_a_managed_policy() -> None:
    assert len(json.dumps(policy_of(**DOCUMENTED), separators=(",", ":"))) <= MAX_SIZE


def test_larger_policy_is_printed_as_several_with_the_same_rights() -> None:
    """JSON documents one after the other, and one at a time with --part."""
    arguments = [text for pair in LONGEST.items() for text in pair]
    arguments += ["--settings=all", f"--replication-role={','.join(ROLES)}"]
    done = CliRunner().invoke(main, ["iam-policy", *arguments])
    assert done.exit_code == 0, done.output
    documents: list[Any] = []
    rest = done.stdout
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        documents, rest = [*documents, document], rest[end:].lstrip()
    assert len(documents) > 2
    assert all(len(json.dumps(one, separators=(",", ":"))) <= MAX_SIZE for one in documents)
    assert all(len({item["Sid"] for item in one["Statement"]}) == len(one["Statement"]) for one in documents)
    settings = iam_policy.PolicySettings(*LONGEST.values(), settings=allowed.FIELDS, replication_roles=tuple(ROLES))
    assert rights_in(documents) == rights_in([iam_policy.policy_for(settings)])
    assert f"{len(documents)} policies: print one with --part 1 to --part {len(documents)}" in done.stderr
    parts = [CliRunner().invoke(main, ["iam-policy", *arguments, f"--part={at + 1}"]) for at in range(len(documents))]
    assert [json.loads(part.stdout) for part in parts] == documents
    missing = CliRunner().invoke(main, ["iam-policy", *arguments, f"--part={len(documents) + 1}"])
    assert (missing.exit_code, f"there are only {len(documents)}" in missing.output) == (2, True)


@pytest.mark.parametrize("size", [0, 1], ids=["just-fits", "one-too-large"])
def test_size_is_counted_without_white_space(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    settings = iam_policy.PolicySettings(ACCOUNT)
    whole = json.dumps(iam_policy.policy_for(settings), separators=(",", ":"))
    monkeypatch.setattr(iam_policy, "MAX_SIZE", len(whole) - size)
    assert len(iam_policy.documents_for(settings)) == 1 + size


def test_settings_limit_the_policy_to_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def actions(**settings: str) -> set[str]:
        policy = policy_of(**{"--account": ACCOUNT, **settings})
        return {action for statement in policy["Statement"] for action in statement["Action"]}

    none, cors = actions(**{"--settings": "none"}), actions(**{"--settings": "corsRules"})
    assert cors - none == {"s3:GetBucketCORS", "s3:PutBucketCORS"}
    without = CliRunner().invoke(main, ["iam-policy", "--account", ACCOUNT, "--no-key-rotation"])
    documented, less = (
        json.loads(text)["Statement"] for text in (printed(**{"--account": ACCOUNT})[1], without.output)
    )
    all_of = [{action for part in policy for action in part["Action"]} for policy in (documented, less)]
    assert all_of[0] - all_of[1] == {"iam:GetAccessKeyLastUsed"}
    stay = {"s3:GetBucketPolicy", "s3:PutBucketOwnershipControls"}
    assert stay <= none, "settings that are not optional, and what a public ACL needs"
    tables = policy_of(**{"--account": ACCOUNT, "--settings": "metadataTables"})["Statement"][-1]
    assert actions(**{"--settings": "metadataTables"}) - none == {*tables["Action"], *METADATA_ACTIONS}
    assert (tables["Resource"], {name.partition(":")[0] for name in tables["Action"]}) == (
        [TABLE_BUCKET, f"{TABLE_BUCKET}/table/*"], {"s3tables"},
    )  # fmt: skip
    role = f"arn:aws:iam::{ACCOUNT}:role/s3-replication"
    replication = {"--settings": "replication", "--replication-role": role}
    found = {"iam:PassRole", "s3:GetReplicationConfiguration", "s3:PutReplicationConfiguration"}
    assert actions(**replication) - none == found
    assert policy_of(**{"--account": ACCOUNT, **replication})["Statement"][-1] == {
        "Sid": "ReplicationRoles", "Effect": "Allow", "Action": ["iam:PassRole"], "Resource": [role],
        "Condition": {"StringEquals": {"iam:PassedToService": "s3.amazonaws.com"}},
    }  # fmt: skip
    assert not found & actions()
    # In the operator's Pod: what its objects may use.
    monkeypatch.setenv("ALLOWED_SETTINGS", "corsRules")
    assert actions() == cors


def test_policy_for_an_account_alone_has_no_limit_but_the_account() -> None:
    policy = policy_of(**{"--account": ACCOUNT})
    users_of_account = f"arn:aws:iam::{ACCOUNT}:user/*"
    assert [item["Resource"] for item in policy["Statement"]] == [
        "arn:aws:s3:::*", "arn:aws:s3:::*/*", "*", users_of_account, users_of_account, users_of_account,
        [TABLE_BUCKET, f"{TABLE_BUCKET}/table/*"],
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
    assert not actions & {"s3:GetObject", "s3:GetObjectVersion", "iam:DeleteUserPermissionsBoundary", "iam:PassRole"}
    assert not [action for action in actions if "*" in action]


BAD = {
    "account": ("--account", "111"),
    "prefix-pattern": ("--bucket-prefix", "team*"),
    "path-open": ("--iam-path", "s3-operator"),
    "path-pattern": ("--iam-path", "/*/"),
    "boundary-name": ("--permissions-boundary", "tenant"),
    "partition": ("--partition", "aws:iam"),
    "setting": ("--settings", "cors"),
    "replication-without-role": ("--settings", "all"),
    "role-without-replication": ("--replication-role", f"arn:aws:iam::{ACCOUNT}:role/a"),
    "any-role": ("--replication-role", "*"),
}
ELSEWHERE = {
    "partition": ({"--partition": "aws-cn"}, "must begin with arn:aws-cn:iam::"),
    "account": ({"--account": "999999999999"}, "must begin with arn:aws:iam::999999999999:"),
}


@pytest.mark.parametrize(("option", "value"), BAD.values(), ids=BAD)
def test_setting_that_is_none_is_refused_by_name(option: str, value: str) -> None:
    code, output = printed(**{"--account": ACCOUNT, option: value})
    assert code == 2
    assert option in output


@pytest.mark.parametrize(("own", "message"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_role_for_replication_that_the_operator_could_never_pass_is_refused(own: dict[str, str], message: str) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/a"
    given = {"--account": ACCOUNT, "--settings": "replication", "--replication-role": role, **own}
    code, output = printed(**given)
    assert code == 2
    assert f"--replication-role {role}: it {message}" in " ".join(output.split())


@pytest.mark.parametrize("flag", ["--iam-path", "--permissions-boundary"])
def test_run_refuses_what_the_role_would_refuse(flag: str) -> None:
    done = CliRunner().invoke(main, ["run", flag, "x"])
    assert done.exit_code == 2
    assert flag in done.output


def test_flags_and_role_take_the_same() -> None:
    assert (iam_policy.PATH, iam_policy.BOUNDARY) == (users.PATH, users.BOUNDARY)


def test_policy_of_a_store_lists_users_and_reads_no_tags_of_many() -> None:
    def actions(provider: str) -> set[str]:
        policy: Any = iam_policy.policy_for(iam_policy.PolicySettings("123456789012", provider=provider))
        return {action for item in policy["Statement"] for action in item["Action"]}

    assert actions("Other") - actions("AWS") == {"iam:ListUsers"}
    assert actions("AWS") - actions("Other") == {"tag:GetResources"}
