"""argument_specs, defaults and the CRD agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from runner.yaml_file import read_yaml
from s3bucket.role_settings import TABLE
from s3bucket.settings import ALL
from tests.support.world import PROJECT, ROLE

SPECS = read_yaml(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["object"]["options"]
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
CRD = read_yaml(PROJECT / "crds" / "s3s.agill.apps.yaml")
CRD_SPEC = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
TYPES = {"string": "str", "boolean": "bool", "object": "dict", "array": "list"}


def test_defaults_and_argument_specs_have_the_same_keys_and_values() -> None:
    specified = {name: option["default"] for name, option in SPECS.items() if "default" in option}
    # The default of s3bucket_cr comes from the file, or is missing. A spec cannot express that.
    given = {name: value for name, value in DEFAULTS.items() if name != "s3bucket_cr"}
    # The default of a setting is a template. Without a value from the operator, its result is the table's default.
    for setting in TABLE:
        name, value = setting.name, repr(setting.default)
        assert given[setting.variable] == f"{{{{ s3bucket_operator_settings.{name} | default({value}) }}}}"
        given[setting.variable] = setting.default
    assert specified == given
    all_of_them = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["_s3bucket_settings"]
    # No setting of a person's: what the operator has found out about a store.
    assert all_of_them.pop("capabilities") == "{{ s3bucket_operator_settings.capabilities | default({}) }}"
    assert all_of_them == {setting.name: f"{{{{ {setting.variable} }}}}" for setting in TABLE}
    assert [name for name, option in SPECS.items() if option.get("required")] == []


def test_every_option_is_typed_and_described() -> None:
    options = dict(walk(SPECS))
    assert "s3bucket_cr.spec.publicAccessBlock.blockPublicACLs" in options
    assert [name for name, option in options.items() if "type" not in option or "description" not in option] == []


def walk(options: dict[str, Any], parent: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in options.items():
        yield parent + name, option
        yield from walk(option.get("options", {}), f"{parent}{name}.")


def test_every_optional_field_has_a_default_or_follows_from_others() -> None:
    optional = set(CRD_SPEC["properties"]) - set(CRD_SPEC["required"])
    unset = {field for setting in ALL if setting.is_optional for field in (setting.field, *setting.more_fields)}
    named = {"iamUser", "iamRole", "secret", "additionalUsers", "publicAccessBlock"}
    assert optional - set(DEFAULTS["s3bucket_defaults"]) == named | unset
    assert set(DEFAULTS["s3bucket_defaults"]) <= optional


def test_status_effective_has_the_fields_of_the_spec() -> None:
    schema = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    shown = set(schema["effective"]["properties"])
    found = [setting for setting in ALL if setting.is_optional and not setting.is_in_status]
    hidden = {field for setting in found for field in (setting.field, *setting.more_fields)}
    names = {"region", "bucketName", "iamUser", "iamRole", "secret", "additionalUsers", "tags", "bucketPolicy"}
    assert set(CRD_SPEC["properties"]) - shown == {*names, *hidden}


def test_everything_that_is_registered_is_cleared_at_the_end_of_a_run() -> None:
    """Registered results outlive the role.

    The next object of a play, and a user who prints all variables, would see them.
    """
    _, end, _ = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text())
    # Not those of other entry points: they handle no access key, and the playbooks use their results afterwards.
    others = {"connection.yml", "deactivate.yml", "operator_settings.yml"}
    texts = [path.read_text() for path in (ROLE / "tasks").glob("*.yml") if path.name not in others]
    registered = {name for text in texts for name in re.findall(r"register: (_\w+)", text)}
    assert "_s3bucket_issued" in registered
    for tasks in (end["block"], end["rescue"]):
        assert registered <= set(tasks[-1]["ansible.builtin.set_fact"])
