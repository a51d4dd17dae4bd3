"""The image has botocore's data for each service of which the operator or the role makes a client."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Iterator

from tests.support.world import PROJECT

_MAKERS = ("client", "_make", "make_client", "make_client_of_key")


def services_in_use() -> set[str]:
    """The names of services in calls that make a client, in the operator's and the role's code."""
    files = [*(PROJECT / "runner").rglob("*.py"), *(PROJECT / "roles").rglob("*.py")]
    return {name for file in files for name in _services_in(ast.parse(file.read_text()))}


def _services_in(tree: ast.AST) -> Iterator[str]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            function = call.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            texts = [part.value for part in call.args[:2] if isinstance(part, ast.Constant)]
            if name in _MAKERS:
                yield from (text for text in texts if isinstance(text, str))


def test_image_has_the_data_of_each_service_in_use() -> None:
    kept = runpy.run_path(str(PROJECT / "container" / "assemble.py"))["_SERVICES"]
    used = services_in_use()
    assert {"s3", "iam", "sts", "sqs"} <= used
    assert used <= kept
