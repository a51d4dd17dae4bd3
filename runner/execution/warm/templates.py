"""The templates and conditions of a run: compiled before the fork, in one Jinja environment.

Stock Ansible makes an environment for each task, often several, and compiles each template in each of them. An
environment searches all collections for each filter that a template names, also for those of Jinja itself. Here all
engines of a process with the same base folder share one environment, which keeps its compiled templates. Templates are
code: what they evaluate to is computed anew each time. :mod:`runner.execution.warm.internals` replaces ansible-core's
functions with these.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

# The keywords that hold conditions, which are expressions without delimiters.
_CONDITIONS = frozenset({"when", "changed_when", "failed_when", "that", "until"})
# The tests that the role's templates name in a text, as in select('in', names). Ansible searches them when they run.
_TESTS = ("defined", "eq", "in", "none")
# What ansible-core 2.21 itself evaluates for each task with a result.
_OF_ANSIBLE = "_task.polymorphic_result"
_KEPT = "_s3_operator_compiled"


def share_environment(stock: property) -> property:
    """``TemplateEngine.environment``: one for each base folder."""
    environments: dict[str, Any] = {}

    def environment(self: Any) -> Any:
        if not self._environment:
            folder = self.basedir
            if folder not in environments:
                environments[folder] = stock.__get__(self)
            self._environment = environments[folder]
        return self._environment

    return property(environment)


def keep_templates(stock: Callable[..., Any]) -> Callable[..., Any]:
    """``AnsibleEnvironment.from_string`` and ``compile_expression``, which return the same for the same text."""

    def compile_(self: Any, source: Any, *arguments: Any, **more: Any) -> Any:
        from ansible._internal._templating._jinja_bits import _TemplateCompileContext

        # An overlay has its own settings, and a template that is not a text is part of an expression.
        is_overlay = self.overlayed  # Jinja's name; codespell:ignore overlayed
        if more or is_overlay or not isinstance(source, str) or not all(isinstance(item, bool) for item in arguments):
            return stock(self, source, *arguments, **more)
        # The context decides about backslashes.
        context = _TemplateCompileContext.current(optional=True)
        escapes = context is not None and bool(context.escape_backslashes)
        kept: dict[Hashable, Any] = self.__dict__.setdefault(_KEPT, {})
        key = stock.__name__, str(source), escapes, arguments
        if key not in kept:
            kept[key] = stock(self, source, *arguments)
        return kept[key]

    return compile_


def evaluate_variables_once(stock: Callable[..., Any]) -> Callable[..., Any]:
    """``Task._post_validate_args``: while the arguments of a task are evaluated, each variable is evaluated once.

    Stock Ansible evaluates a variable again for each template that names it, with all variables that it names in turn.
    """

    def post_validate_args(self: Any, attribute: Any, value: Any, templar: Any) -> Any:
        variables = templar.available_variables
        templar.available_variables = _lazy(variables, templar)
        try:
            return stock(self, attribute, value, templar)
        finally:
            templar.available_variables = variables

    return post_validate_args


def _lazy(variables: Any, templar: Any) -> Any:
    """Ansible's own container that evaluates what is in it when it is read first, as it makes one for each template."""
    from ansible._internal._templating._engine import TemplateOptions
    from ansible._internal._templating._lazy_containers import _AnsibleLazyTemplateMixin
    from ansible._internal._templating._utils import TemplateContext

    with TemplateContext(template_value=None, templar=templar, options=TemplateOptions.DEFAULT):
        return _AnsibleLazyTemplateMixin._try_create(variables)


def evaluates_once(_: object) -> bool:
    """Whether such a container keeps what it has evaluated."""
    from ansible._internal._templating._engine import TemplateEngine
    from ansible.template import trust_as_template

    variables = {"one": [trust_as_template("{{ 1 }}")], "two": trust_as_template("{{ one }}")}
    templar = TemplateEngine(variables=variables)
    templar.available_variables = lazy = _lazy(variables, templar)
    result = templar.template(trust_as_template("{{ [two, one] }}"))
    return result == [[1], [1]] and dict.get(lazy, "two") == [1] and variables["two"] == "{{ one }}"


def compile_all(folder: str, documents: list[Any]) -> None:
    """Compile the templates and conditions of YAML documents.

    :param folder: the base folder of the runs, which is that of their playbook
    """
    from ansible._internal._templating._engine import TemplateEngine, TemplateOptions
    from ansible.parsing.dataloader import DataLoader

    loader = DataLoader()
    loader.set_basedir(folder)
    engine = TemplateEngine(loader)
    for name in _TESTS:
        engine.environment.tests[name]
    as_condition = TemplateOptions(escape_backslashes=False)
    engine._compile_expression(_OF_ANSIBLE, TemplateOptions.DEFAULT)
    for document in documents:
        for text, is_condition in _texts_of(document):
            if "{{" in text or "{%" in text:
                engine._compile_template(text, TemplateOptions.DEFAULT)
            elif is_condition:
                engine._compile_expression(text.strip(), as_condition)


def _texts_of(value: Any, *, is_condition: bool = False) -> Iterator[tuple[str, bool]]:
    if isinstance(value, str):
        yield value, is_condition
    elif isinstance(value, list):
        for item in value:
            yield from _texts_of(item, is_condition=is_condition)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts_of(item, is_condition=name in _CONDITIONS)
