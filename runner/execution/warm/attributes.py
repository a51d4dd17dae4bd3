"""The attributes of Ansible's tasks: those that nothing can change are not evaluated.

A task has forty attributes, and each of the blocks around it has thirty. Stock Ansible evaluates all of them for each
task, and searches each in the blocks around it, several times. Nearly all are unset, or a plain boolean or number.
:mod:`runner.execution.warm.internals` replaces ansible-core's function with this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.utils.sentinel import Sentinel

# The types of values that hold no template, and that stock Ansible returns as they are.
_PLAIN = {"bool": bool, "int": int, "float": float}


def validate_what_can_change(stock: Callable[..., Any]) -> Callable[..., Any]:
    """``FieldAttributeBase.post_validate_attribute``, which returns the final value, or Sentinel for no change."""

    def post_validate_attribute(self: Any, name: str, *, templar: Any) -> Any:
        attribute = self.fattributes[name]
        if attribute.static or attribute.always_post_validate or attribute.required:
            return stock(self, name, templar=templar)
        if not self._post_validate_object:
            # A block. Its attributes are those of its tasks, where they are evaluated.
            return Sentinel
        value = getattr(self, name)
        if value is None:
            return Sentinel
        is_plain = type(value) is _PLAIN.get(attribute.isa)
        if is_plain and not hasattr(self, f"_post_validate_{name}") and not hasattr(self, "statically_loaded"):
            return value
        return stock(self, name, templar=templar)

    return post_validate_attribute


def is_as_expected(stock: Callable[..., Any]) -> bool:
    """Whether stock Ansible returns what the replacement does, for each kind of attribute that it does not evaluate."""
    from ansible.playbook.block import Block
    from ansible.playbook.task import Task

    block, task = Block(), Task()
    task.async_val, task.retries, task.ignore_errors = 3, None, True
    found = [stock(owner, name, templar=None) for owner, name in ((block, "no_log"), (task, "retries"))]
    return found == [Sentinel, Sentinel] and _evaluated(stock, task) == [3, True]


def _evaluated(stock: Callable[..., Any], task: Any) -> list[Any]:
    from ansible._internal._templating._engine import TemplateEngine

    return [stock(task, name, templar=TemplateEngine()) for name in ("async_val", "ignore_errors")]
