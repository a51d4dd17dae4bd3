"""Any is rare in the operator and the core. There and in the role it is never the whole type in a public signature.

Warm runs may use it inside: they handle objects of ansible-core, which has no types.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.world import PROJECT, ROLE

MOST = 45
WARM = PROJECT / "runner" / "execution" / "warm"
FILES = sorted([*(PROJECT / "runner").rglob("*.py"), *(ROLE / "module_utils" / "s3bucket").rglob("*.py")])
PLUGINS = [*ROLE.glob("library/*.py"), *ROLE.glob("*_plugins/*.py"), *PROJECT.glob("tests/direct/*_plugins/*.py")]


def is_any(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Name) and node.id == "Any"


def public_functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a module and the methods of its classes, without names that begin with an underscore."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node


def annotations_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr | None]:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    yield from (argument.annotation for argument in named if argument is not None)
    yield function.returns


def bare_any_in(tree: ast.Module) -> list[str]:
    functions = public_functions(tree.body)
    return [f"{node.lineno} {node.name}" for node in functions if any(map(is_any, annotations_of(node)))]


def test_any_is_rare() -> None:
    files = [path for path in FILES if WARM not in path.parents]
    found = {path: sum(map(is_any, ast.walk(ast.parse(path.read_text())))) for path in files}
    assert sum(found.values()) <= MOST, {str(path): count for path, count in found.items() if count}


def test_no_public_signature_has_a_bare_any() -> None:
    found: dict[Path, list[str]] = {path: bare_any_in(ast.parse(path.read_text())) for path in [*FILES, *PLUGINS]}
    assert {str(path.relative_to(PROJECT)): names for path, names in found.items() if names} == {}


def test_bare_any_is_seen_where_it_is_public() -> None:
    text = "def a(x: Any): ...\ndef _b(x: Any): ...\nclass C:\n  def d(self, *, y: list[Any]) -> Any: ...\n"
    assert bare_any_in(ast.parse(text)) == ["1 a", "4 d"]
