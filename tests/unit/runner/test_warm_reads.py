"""What a warm run does not read again, and when it does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from botocore import hooks
from botocore.utils import EVENT_ALIASES

from runner.execution.warm import files, internals, reads


@pytest.fixture
def load(tmp_path: Path) -> Callable[[], Any]:
    """Loads a file that was parsed before, as Ansible loads the role's; the stock function returns None."""
    path = tmp_path / "main.yml"
    path.write_text("[first]")
    files.preload([path])
    loader = SimpleNamespace(path_dwim=str)
    replaced = files.give_parsed(lambda *_, **__: None)
    return lambda: replaced(loader, str(path), trusted_as_template=True)


def test_first_load_of_a_file_gets_what_was_parsed(load: Callable[[], Any]) -> None:
    assert load() == ["first"]
    assert load() is None, "the first one may have changed it"


def test_file_that_was_changed_is_parsed_again(load: Callable[[], Any], tmp_path: Path) -> None:
    (tmp_path / "main.yml").write_text("[another]")
    assert load() is None


def test_yaml_is_read_by_libyaml_and_its_errors_are_the_stock_ones(tmp_path: Path) -> None:
    load = reads.read_by_libyaml(yaml.safe_load)
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("a: [1]")
    bad.write_text("a: [1")
    with good.open() as stream:
        assert load(stream) == load(good.read_text()) == {"a": [1]}
    errors = []
    for read in (load, yaml.safe_load):
        with bad.open() as stream, pytest.raises(yaml.YAMLError) as error:
            read(stream)
        errors.append(str(error.value))
    assert errors[0] == errors[1]
    assert str(bad) in errors[0]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "Https_Proxy"])
def test_proxies_are_searched_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in [other for other in os.environ if other.lower().endswith("_proxy")]:
        monkeypatch.delenv(other)
    find = reads.find_proxies(lambda: {"https": "found"})
    assert find() == {}
    monkeypatch.setenv(name, "http://proxy")
    assert find() == {"https": "found"}


def test_clients_with_the_same_credentials_share_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    def make(**arguments: Any) -> object:
        made.append(arguments)
        return object()

    session = reads.share_sessions(make)
    first = session(profile_name=None)
    assert session(profile_name=None) is session() is first
    others = [session(profile_name="other"), session(aws_access_key_id="one", aws_secret_access_key="none")]
    # A task's own environment.
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/other")
    others.append(session(profile_name=None))
    monkeypatch.undo()
    assert session(profile_name=None) is first
    assert len({first, *others}) == len(made) == 4
    assert session(aws_access_key_id="one", aws_secret_access_key="none") not in others


def test_facts_are_cleaned_where_there_are_any() -> None:
    clean = reads.clean_only_facts(lambda facts: {"cleaned": facts})
    assert clean({}) == {}
    assert clean({"one": 1}) == {"cleaned": {"one": 1}}


class Loader:
    """A PluginLoader, as far as the search needs one."""

    def __init__(self) -> None:
        self._extra_dirs: list[str] = []


def test_plugin_is_searched_once_until_there_is_another_folder() -> None:
    searched: list[str] = []

    def search(self: Any, name: str, *_: Any) -> Any:
        searched.append(name)
        return SimpleNamespace(deprecated=False, pending_redirect=None, of=self)

    find, loader = reads.keep_found_plugins(search), Loader()
    assert find(loader, "copy").of is find(loader, "copy").of is loader
    assert find(loader, "copy") is not find(loader, "copy")
    assert searched == ["copy"]
    loader._extra_dirs.append("library")
    find(loader, "copy")
    find(loader, "copy", "other")
    assert searched == ["copy"] * 3


def test_names_of_events_are_renamed_as_by_botocore() -> None:
    stock = hooks.EventAliaser._alias_event_name
    names = [f"{event}.{old}" for old in EVENT_ALIASES for event in ("before-call", "a.b", "needs-retry")]
    names += [f"{event}.{old}.Operation" for old in EVENT_ALIASES for event in ("before-call", "request-created")]
    names += [*EVENT_ALIASES, "creating-client-class.iam", "before-parameter-build.s3.ListBuckets", "docs.*.s3.x", ""]
    aliaser = hooks.EventAliaser(hooks.HierarchicalEmitter())
    alias = internals._cache_aliases(stock)
    found = {name: alias(aliaser, name) for name in names}
    assert found == {name: stock(aliaser, name) for name in names}
    assert sum(name != new for name, new in found.items()) > 100
