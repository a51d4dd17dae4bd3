"""A test runs every command in README and docs, or this file states why none does."""

from __future__ import annotations

import re

import pytest

from tests.support.docs import find_blocks, find_pages
from tests.support.world import PROJECT

_GUIDES, _E2E = "tests/docs/test_guides.py", "tests/e2e/test_e2e.py::test_documented_commands_that_need_the_image_work"

# The test that runs the commands of a page's section.
RUN = {
    ("README.md", "Quick start"): _E2E,
    (
        "roles/s3bucket/README.md",
        "Install",
    ): "tests/direct/test_guides.py::test_role_is_installed_and_used_as_in_its_readme",
    ("chart/s3-operator/README.md", "s3-operator"): _E2E,
    ("docs/guides/adopt-a-bucket.md", "Offer the bucket"): f"{_GUIDES}::test_guide_of_adoption",
    ("docs/guides/adopt-a-bucket.md", "Create the object"): f"{_GUIDES}::test_guide_of_adoption",
    ("docs/guides/argocd-and-flux.md", "Argo CD"): f"{_GUIDES}::test_guide_of_argo_cd",
    ("docs/guides/argocd-and-flux.md", "Install the chart with them"): (
        "tests/chart/test_release.py::test_objects_are_stored_as_they_are_rendered"
    ),
    ("docs/guides/awx.md", "See what it contains"): (
        "tests/direct/test_execution_environment.py"
        "::test_ansible_builder_makes_a_context_with_the_versions_of_this_project"
    ),
    ("docs/guides/drift.md", "Report drift"): f"{_GUIDES}::test_guide_of_drift",
    ("docs/guides/drift.md", "Leave fields to others"): f"{_GUIDES}::test_guide_of_drift",
    (
        "docs/guides/secret-layouts.md",
        "Shape the Secret for your application",
    ): f"{_GUIDES}::test_guide_of_secret_layouts",
    ("docs/guides/bucket-settings.md", "Settings that cannot be undone"): f"{_GUIDES}::test_guide_of_bucket_settings",
    ("docs/guides/verified-access.md", "Verify that an access key works"): f"{_GUIDES}::test_guide_of_verified_access",
    ("docs/guides/verified-access.md", "When"): f"{_GUIDES}::test_guide_of_verified_access",
    ("docs/guides/fresh-keys.md", "Get a fresh key"): f"{_GUIDES}::test_guide_of_fresh_keys",
    ("docs/guides/key-rotation.md", "Rotate by age"): f"{_GUIDES}::test_guide_of_key_rotation",
    ("docs/guides/key-rotation.md", "Rotate now"): f"{_GUIDES}::test_guide_of_key_rotation",
    ("docs/guides/key-rotation.md", "Bring the old key back"): f"{_GUIDES}::test_guide_of_key_rotation",
    ("docs/guides/keep-the-data.md", "Keep the bucket of one object"): f"{_GUIDES}::test_guide_of_data_that_stay",
    ("docs/guides/keep-the-data.md", "Keep all buckets of a cluster"): _E2E,
    ("docs/guides/plan-in-ci.md", "For objects of the cluster"): f"{_GUIDES}::test_guide_of_plans",
    ("docs/guides/plan-in-ci.md", "For a file"): f"{_GUIDES}::test_guide_of_plans",
    ("docs/guides/restore-clone-rebuild.md", "Give the cluster a name"): (
        f"{_GUIDES}::test_guide_of_restored_and_cloned_clusters"
    ),
    ("docs/guides/restore-clone-rebuild.md", "Restore objects from a backup, in the same cluster"): (
        f"{_GUIDES}::test_guide_of_restored_and_cloned_clusters"
    ),
    ("docs/guides/restore-clone-rebuild.md", "Clone a cluster from an etcd snapshot"): (
        f"{_GUIDES}::test_guide_of_restored_and_cloned_clusters"
    ),
    ("docs/guides/restore-clone-rebuild.md", "Rebuild a cluster"): _E2E,
    ("docs/guides/without-the-operator.md", "A CR file"): (
        "tests/direct/test_guides.py::test_commands_of_the_guide_without_the_operator"
    ),
    ("docs/guides/without-the-operator.md", "The objects of a cluster"): (
        "tests/direct/test_guides.py::test_commands_of_the_guide_without_the_operator"
    ),
    ("docs/guides/without-the-operator.md", "Connections"): (
        "tests/direct/test_guides.py::test_commands_of_the_guide_without_the_operator"
    ),
    ("docs/guides/without-the-operator.md", "Settings"): (
        "tests/direct/test_settings.py"
        "::test_playbook_next_to_an_installed_operator_refuses_to_differ_or_takes_its_settings"
    ),
    ("docs/install/aws-permissions.md", "Print the policy for your settings"): (
        "tests/unit/runner/test_iam_policy.py::test_documented_command_is_that_of_the_documented_policy"
    ),
    ("docs/install/aws-permissions.md", "Path and permissions boundary"): _E2E,
    ("docs/install/aws-permissions.md", "Optional bucket settings"): (
        "tests/unit/runner/test_iam_policy.py::test_documented_commands_allow_the_same_settings"
    ),
    ("docs/install/credentials.md", "Existing Secret"): _E2E,
    ("docs/install/credentials.md", "IAM role for the ServiceAccount"): _E2E,
    ("docs/install/helm.md", "Build the image"): _E2E,
    ("docs/install/helm.md", "Install the chart"): _E2E,
    (
        "docs/install/s3-compatible-stores.md",
        "Install",
    ): "tests/stores/test_values.py::test_documented_commands_install_the_operator_for_a_store",
    ("docs/install/helm.md", "OpenShift"): _E2E,
    ("docs/install/namespaces.md", "Selected namespaces"): _E2E,
    ("docs/install/uninstall.md", "Keep the buckets"): _E2E,
    ("docs/install/uninstall.md", "Remove everything"): _E2E,
    ("docs/install/upgrade-from-go.md", "Upgrade the release"): _E2E,
    ("docs/install/upgrade-from-go.md", "A release from a Kubernetes before 1.22"): _E2E,
    ("docs/operations/orphans.md", "List them"): f"{_GUIDES}::test_guide_of_orphans",
    ("docs/operations/orphans.md", "What you do"): f"{_GUIDES}::test_guide_of_orphans",
    ("docs/operations/troubleshooting.md", "Troubleshooting by reason"): f"{_GUIDES}::test_guide_of_troubleshooting",
    ("docs/operations/troubleshooting.md", "The operator itself"): _E2E,
    ("docs/operations/troubleshooting.md", "Retain the bucket of a deletion that waits"): (
        f"{_GUIDES}::test_guide_of_troubleshooting"
    ),
    ("docs/quick-start.md", "Work with a local cluster"): f"{_GUIDES}::test_guide_of_local_clusters",
    ("docs/quick-start.md", "In your cluster"): f"{_GUIDES}::test_quick_starts_have_the_same_object_and_commands",
}
_MAKE = "a target of the Makefile that CI runs, or that runs tests itself"
# Why no test runs the commands of a section.
NOT_RUN = {
    ("README.md", "Try it without AWS"): _MAKE,
    ("CONTRIBUTING.md", "Contributing"): _MAKE,
    ("docs/quick-start.md", "Try it without AWS"): _MAKE,
    ("docs/guides/awx.md", "Execution environment"): "needs Podman and a registry; the context of the build is tested",
    (
        "docs/operations/orphans.md",
        "Remove a role",
    ): ("needs an EKS cluster; tests/cluster/test_claims.py lists such a role"),
    ("docs/guides/roles.md", "Allow roles"): (
        "needs an OIDC provider in IAM; tests/unit/runner/test_iam_policy.py prints the policy"
    ),
    (
        "docs/guides/roles.md",
        "Move an application in three steps",
    ): "needs EKS; tests/role/test_iam_role.py has the rest",
    ("docs/guides/roles.md", "Use EKS Pod Identity"): (
        "needs EKS; tests/unit/runner/test_iam_policy.py has the policy, tests/role/test_pod_identity.py the rest"
    ),
    ("docs/guides/roles.md", "Let the operator annotate ServiceAccounts"): (
        "upgrades a release; tests/chart/test_values.py renders the value, tests/role/test_annotate.py has the rest"
    ),
    ("docs/operations/shards.md", "Turn it on"): "upgrades a release; tests/chart/test_release.py renders the value",
    ("docs/operations/shards.md", "Who has what"): "tests/cluster/test_shards.py reads these Leases",
    ("docs/guides/restore-clone-rebuild.md", "Leave Secrets and Services out of backups"): "needs Velero",
    ("docs/guides/without-the-operator.md", "Requirements"): (
        "installs from PyPI and Galaxy; test_execution_environment.py compares the versions"
    ),
    ("docs/guides/without-the-operator.md", "Without a checkout, for example in CI"): (
        "installs from PyPI; tests/cluster/test_wheel.py installs the wheel without it and runs these commands"
    ),
}
_PROGRAMS = r"(?:\$ )?(?:kubectl|helm3?|make|s3-operator|ansible[a-z-]*|pipx?|aws|git|podman|docker|velero|molecule)\b"
PAGES = find_pages()


@pytest.mark.parametrize("page", PAGES)
def test_every_section_with_commands_has_a_test_or_a_reason(page: str) -> None:
    sections = {block.section for block in find_blocks(page) if block.kind == "sh"}
    listed = {section for listed_page, section in {**RUN, **NOT_RUN} if listed_page == page}
    assert sections == listed


def test_no_section_is_in_both_lists_and_none_of_a_page_that_is_gone() -> None:
    assert RUN.keys() & NOT_RUN.keys() == set()
    assert {page for page, _ in {**RUN, **NOT_RUN}} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_in_no_other_blocks(page: str) -> None:
    others = [block for block in find_blocks(page) if block.kind not in ("sh", "mermaid", "yaml", "json")]
    assert [line for block in others for line in block.text.splitlines() if re.match(_PROGRAMS, line)] == []


@pytest.mark.parametrize("test", sorted(set(RUN.values())))
def test_test_that_runs_commands_exists_and_reads_their_sections(test: str) -> None:
    file, _, name = test.partition("::")
    text = (PROJECT / file).read_text()
    assert f"\ndef {name}(" in text
    for page, section in (key for key, there in RUN.items() if there == test):
        assert page.rpartition("/")[2] in text, page
        assert f'"{section}"' in text or (page, section) == ("roles/s3bucket/README.md", "Install"), section
