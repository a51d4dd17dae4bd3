"""The internals that warm runs replace are as expected in this version, and an internal that is not is named."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dev.internals import PAGE, write_page
from runner.execution.warm import internals
from runner.execution.warm.internals import INTERNALS, Internal, UnsupportedError

# A separate process: once Ansible's plugin loaders are initialized, they find collections for the rest of the process.
_CHECK = """
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from runner.execution.warm.internals import INTERNALS
print("\\n".join(filter(None, (internal.find_problem() for internal in INTERNALS))), end="")
"""


def test_internals_of_the_installed_versions_are_as_expected() -> None:
    done = subprocess.run([sys.executable, "-c", _CHECK], capture_output=True, text=True, check=True)
    assert done.stdout == ""


# A run compiles a hundred templates with the replacement of Jinja's compile.
_COMPILE = """
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from ansible._internal._templating._engine import TemplateEngine, TemplateOptions
from runner.execution.warm import internals
internals.install()
for _ in range(2):
    print(type(TemplateEngine()._compile_template("{{ 1 }}", TemplateOptions.DEFAULT)).__name__)
"""


def test_templates_compile_once_the_internals_are_replaced() -> None:
    done = subprocess.run([sys.executable, "-c", _COMPILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["AnsibleTemplate"] * 2


@pytest.fixture
def library() -> Iterator[types.ModuleType]:
    """A module that stands for a library with internals."""
    module = types.ModuleType("library_with_internals")
    module.answer = lambda question: 42  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def internal(name: str = "answer", **more: Any) -> Internal:
    return Internal(f"library_with_internals:{name}", "for this test", **more)


def fail(_: Callable[..., Any]) -> bool:
    raise KeyError("changed")


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({}, ""),
        ({"parameters": ("question",), "probe": lambda answer: answer("?") == 42}, ""),
        ({"name": "absent"}, "library_with_internals:absent does not exist"),
        ({"name": "absent.too"}, "library_with_internals:absent.too does not exist"),
        ({"parameters": ("question", "more")}, "library_with_internals:answer has no parameter more"),
        ({"probe": lambda answer: answer("?") == 43}, "library_with_internals:answer is not what it was"),
        ({"probe": fail}, "library_with_internals:answer fails: KeyError: 'changed'"),
    ],
    ids=["exists", "all-checks", "absent", "class-absent", "parameter", "meaning", "probe-fails"],
)
def test_internal_that_differs_is_named(library: types.ModuleType, wanted: dict[str, Any], problem: str) -> None:
    assert internal(**wanted).find_problem() == problem


def test_nothing_is_replaced_when_one_internal_differs(
    library: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = library.answer
    good = internal(replace=lambda stock: lambda question: stock(question) + 1)
    monkeypatch.setattr(internals, "INTERNALS", (good, internal("absent"), internal("too")))
    with pytest.raises(UnsupportedError, match="absent does not exist; library_with_internals:too does not exist"):
        internals.install()
    assert library.answer is stock
    monkeypatch.setattr(internals, "INTERNALS", (good,))
    internals.install()
    assert library.answer("?") == 43


def test_page_has_every_internal_and_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == write_page(), "run make generate"
    assert all(f"`{internal.target}`" in write_page() for internal in INTERNALS)
