"""What a run inherits of the operator's environment."""

from __future__ import annotations

import re
from pathlib import Path

import botocore
import pytest

from runner.execution.environment import ansible_environment, is_passed_on

KEYS = {
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK",
}  # fmt: skip
# Not passed on: variables that belong to keys in the environment, which are moved to a file; variables of Lambda; code
# that botocore would load.
OTHERS = {"AWS_ACCOUNT_ID", "AWS_CREDENTIAL_EXPIRATION", "AWS_LAMBDA_FUNCTION_NAME", "BOTOCORE_EXPERIMENTAL__PLUGINS"}


def environment_of_a_run() -> dict[str, str]:
    return ansible_environment(Path("/project"), Path("/work/run"), "1-2-3", {})


@pytest.mark.parametrize("value", ["C", "POSIX", "", "xx_XX.ISO-8859-1", None])
def test_run_has_a_utf8_locale_whatever_the_operator_has(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    # LC_ALL has precedence over the others, so none of them is passed on.
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    found = {name: text for name, text in environment_of_a_run().items() if name.startswith(("LC_", "LANG"))}
    assert found == {"LC_ALL": "C.UTF-8"}


def names_in_botocore() -> set[str]:
    """Every string in botocore's code that can be the name of an environment variable of AWS."""
    found: set[str] = set()
    for path in Path(botocore.__file__).parent.glob("*.py"):
        found.update(re.findall(r"""['"](AWS_[A-Z0-9_]+|BOTOCORE_[A-Z]+_[A-Z_]+)['"]""", path.read_text()))
    return found


@pytest.mark.parametrize("name", sorted(KEYS))
def test_run_has_no_key(name: str) -> None:
    assert not is_passed_on(name)


def test_run_has_no_other_cluster_than_the_operator() -> None:
    # The operator does not read K8S_AUTH_*, but the role would prefer them.
    assert is_passed_on("KUBECONFIG")
    assert not is_passed_on("K8S_AUTH_KUBECONFIG")
    assert not is_passed_on("K8S_AUTH_HOST")


def test_run_has_every_setting_that_botocore_reads_but_keys() -> None:
    names = names_in_botocore()
    assert {"AWS_USE_FIPS_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CA_BUNDLE"} <= names
    assert {name for name in names if not is_passed_on(name)} - KEYS == OTHERS


@pytest.mark.parametrize(
    "name",
    [
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_IAM",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "NO_PROXY",
    ],
)
def test_run_has_endpoints_and_settings_of_tls(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    assert environment_of_a_run()[name] == "x"


@pytest.mark.parametrize(("default", "other", "wanted"), [("a", "b", "a"), ("a", None, "a"), (None, "b", "b")])
def test_run_has_the_profile_that_botocore_takes(
    monkeypatch: pytest.MonkeyPatch, default: str | None, other: str | None, wanted: str
) -> None:
    # The collection reads AWS_PROFILE first.
    for name, value in (("AWS_DEFAULT_PROFILE", default), ("AWS_PROFILE", other)):
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value)
    found = environment_of_a_run()
    assert (found["AWS_DEFAULT_PROFILE"], found["AWS_PROFILE"]) == (wanted, wanted)
