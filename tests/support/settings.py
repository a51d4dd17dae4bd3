"""The tables of tests/settings/: for each bucket setting its cases, the ways to change it, and values to refuse."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from types import ModuleType
from typing import Any

import tests.settings
from dev.examples import needs_other_fields
from s3bucket.setting import Setting
from s3bucket.settings import ALL, BY_NAME
from tests.support.world import World

# How many drift rows of each optional setting are run: all, or fewer in the samples of the Makefile.
IS_SAMPLE = "S3_OPERATOR_TEST_ROWS" in os.environ
_MOST_ROWS = int(os.environ.get("S3_OPERATOR_TEST_ROWS", "1000"))

OPTIONAL = [setting for setting in ALL if setting.is_optional]


@dataclass
class Subject:
    """The object that the drift rows break, with helpers for that."""

    world: World
    cr: dict[str, Any]

    @property
    def bucket(self) -> str:
        return str(self.cr["spec"]["bucketName"])

    @property
    def user(self) -> str:
        return str(self.cr["spec"]["iamUser"]["username"])

    @property
    def key_id(self) -> str:
        return self.world.credentials(self.cr)[0]

    def patch_secret(self, patch: dict[str, Any]) -> None:
        name, namespace = f"{self.cr['metadata']['name']}-iam-secret", self.cr["metadata"]["namespace"]
        self.world.core.patch_namespaced_secret(name, namespace, patch)

    def patch_service(self, patch: dict[str, Any]) -> None:
        self.world.core.patch_namespaced_service(self.cr["metadata"]["name"], self.cr["metadata"]["namespace"], patch)

    def retag(self, change: Callable[[dict[str, str]], None]) -> None:
        """Read, change and write all tags of the bucket."""
        found = self.world.s3.get_bucket_tagging(Bucket=self.bucket)["TagSet"]
        tags = {tag["Key"]: tag["Value"] for tag in found}
        change(tags)
        tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.world.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": tag_set})


def make_subject(world: World, new_name: Callable[[str], str], name: str, spec: dict[str, Any]) -> Subject:
    """The subject of a new object in a namespace of its own, once it is Ready."""
    namespace = new_name("ns")
    world.make_namespace(namespace)
    subject = Subject(world, world.make_object(namespace, name, spec))
    run = world.reconcile(subject.cr)
    assert run.outcome["reason"] == "Ready", run.output
    return subject


# Edits the snapshots from before and after the repair. They must then be equal.
Expect = Callable[[Subject, dict[str, Any], dict[str, Any]], Any]


@dataclass(frozen=True)
class Row:
    """One thing that is broken.

    :param aspect: the only aspect that is reported, planned and repaired
    :param field: a field that the plan names
    :param has_fresh_key: whether the repair rotates the access key; otherwise the Secret keeps its key
    :param expect: the only differences that a repair may leave
    :param is_alone: it breaks or hides what other rows break, so none is broken with it
    """

    aspect: str
    field: str
    break_it: Callable[[Subject], Any]
    has_fresh_key: bool = False
    expect: Expect = lambda *_: None
    is_alone: bool = False

    @property
    def part(self) -> str:
        """What is broken: the access key and the Secret with it are one part."""
        return "access_key" if self.aspect == "secret" else self.aspect


Wave = dict[str, Row]
"""Rows that are broken one after the other and repaired by one run, by their names."""


def waves_of(rows: dict[str, Row]) -> dict[str, Wave]:
    """Distribute the rows over waves. A run costs more than everything else of a row.

    No wave breaks a part twice. The first row of each part that is no optional setting is alone, so that its repair is
    seen to write nothing else (tests/role/test_optional_settings.py has that of each optional setting). A sample of the
    tests has only those alone that must be.
    """
    waves: list[Wave] = []
    shared: list[Wave] = []
    seen = {setting.name for setting in OPTIONAL}
    for name, row in rows.items():
        is_first = row.part not in seen and not IS_SAMPLE
        seen.add(row.part)
        if row.is_alone or is_first:
            waves.append({name: row})
            continue
        wave = next((wave for wave in shared if row.part not in [other.part for other in wave.values()]), None)
        if wave is None:
            shared.append(wave := {})
            waves.append(wave)
        wave[name] = row
    return {"-and-".join(islice(wave, 2)) + ("-and-more" if len(wave) > 2 else ""): wave for wave in waves}


@dataclass(frozen=True)
class Case:
    """A value of a setting, and what AWS's read call then answers.

    :param spec: the fields that replace those of the example
    :param answer: the answer of boto3 without its metadata
    """

    answer: dict[str, Any]
    spec: dict[str, Any] = field(default_factory=dict)


@cache
def tables() -> dict[str, ModuleType]:
    """Return the modules of tests/settings/ by the setting's name."""
    names = sorted(item.name for item in pkgutil.iter_modules(tests.settings.__path__))
    return {name: importlib.import_module(f"tests.settings.{name}") for name in names}


def reads_of_others(setting: Setting) -> int:
    """Return the number of reads of the setting's document that other settings need in any case."""
    return int(any(item.read.operation == setting.read.operation for item in ALL if not item.is_optional))


def table_of(kind: str, *, with_needy: bool = True) -> dict[str, Any]:
    """Return the rows of one kind of all settings. A sample of the tests has fewer ROWS of each.

    :param with_needy: also those of settings that need other fields
    """
    found: dict[str, Any] = {}
    for name, module in tables().items():
        if with_needy or not needs_other_fields(BY_NAME[name]):
            rows = getattr(module, kind)
            found |= dict(islice(rows.items(), _MOST_ROWS)) if kind == "ROWS" else rows
    return found
