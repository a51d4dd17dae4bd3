"""What every bucket setting must define."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from botocore.loaders import create_loader

from dev.examples import optional_settings
from s3bucket.setting import Comparison, Setting
from s3bucket.settings import ALL
from s3bucket.spec import Wanted, wanted_of
from tests.support.world import PROJECT, ROLE

OPERATIONS = create_loader().load_service_model("s3", "service-2")["operations"]
each_setting = pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)


def want(defaults: dict[str, Any], **spec: Any) -> Wanted:
    metadata = {"name": "photos", "namespace": "team", "uid": "u"}
    spec = {"region": "eu-west-1", "bucketName": "photos-bucket", **spec}
    return wanted_of({"metadata": metadata, "spec": spec}, "cluster", defaults)


def test_each_file_is_one_setting_of_its_name() -> None:
    files = {path.stem for path in (ROLE / "module_utils" / "s3bucket" / "settings").glob("*.py")} - {"__init__"}
    assert sorted(files) == sorted(setting.name for setting in ALL)
    assert [(setting.order, setting.name) for setting in ALL] == sorted((item.order, item.name) for item in ALL)


@each_setting
def test_operations_are_those_of_the_api_and_have_an_action(setting: Setting) -> None:
    for operation in (setting.read.operation, *setting.writes):
        assert operation.name in OPERATIONS
        assert re.fullmatch(r"s3:[A-Z][A-Za-z]+", operation.action)
    assert setting.writes, "what creates, changes or clears it"


@each_setting
def test_new_bucket_has_nothing_that_a_plain_object_would_change(defaults: dict[str, Any], setting: Setting) -> None:
    wanted = want(defaults)
    case = Comparison(wanted, {item.name: item.new_bucket for item in ALL})
    assert not setting.differs(case)
    assert not setting.is_asked(wanted)


@each_setting
def test_requests_use_only_the_stated_operations(defaults: dict[str, Any], setting: Setting) -> None:
    wanted = want(defaults, **optional_settings(with_needy=True))
    new = {item.name: item.new_bucket for item in ALL}
    cases = [Comparison(wanted, new)]
    if setting.creation_only:
        return
    if setting.is_optional:
        # It is cleared.
        cases.append(Comparison(want(defaults), {**new, setting.name: wanted.settings[setting.name]}))
    used = [call.operation for case in cases for call in setting.calls(setting.argument(case))]
    assert used
    assert set(used) <= set(setting.writes)


def test_settings_are_imported_without_the_collections() -> None:
    """The command line starts when the collections are missing, and names the missing ones."""
    code = "import sys; sys.modules['ansible_collections'] = None; import runner.commands.iam_policy, s3bucket.settings"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_optional_setting_is_recorded_and_may_have_a_default_of_the_operator(defaults: dict[str, Any]) -> None:
    given = optional_settings(with_needy=True)
    names = " ".join(sorted(setting.name for setting in ALL if setting.is_optional))
    for wanted in (want(defaults, **given), want({**defaults, **given})):
        assert wanted.bucket_tags["agill.apps/settings"] == names
    assert "agill.apps/settings" not in want(defaults).bucket_tags
    # Defaults are not applied to an adopted bucket.
    assert want({**defaults, **given}).settings_record(is_adopted=True) == {}
    assert want(defaults, **given).settings_record(is_adopted=True) == {"agill.apps/settings": names}
