"""The Kubernetes client library without what no client of the operator needs: a process then takes 11 MB less.

``import kubernetes`` imports all parts of the library, also those for terminals in Pods, and pydantic, requests and
oauthlib with them. After :func:`import_small`, a part is imported when it is first used, and so are those three. Used
by the operator and by the warm process, in their main thread, before another module imports the library.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_LIBRARY = "kubernetes"
_USED = ("kubernetes.client.api_client", "kubernetes.config", "kubernetes.dynamic")


def import_small() -> None:
    """Import what is used of the library, unless it was imported before.

    When the installed version is not made as expected, all of it is imported, as by ``import kubernetes``.
    """
    if _LIBRARY in sys.modules:
        return
    try:
        with _stand_ins():
            _import_used()
    except (ImportError, AttributeError, TypeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == _LIBRARY]:
            del sys.modules[name]
        importlib.import_module(_LIBRARY)


def _import_used() -> None:
    package = _LazyPackage.of(_LIBRARY)
    sys.modules[_LIBRARY] = package
    # The parts have the version of the whole.
    vars(package)["__version__"] = importlib.import_module("kubernetes.client").__version__
    for name in _USED:
        importlib.import_module(name)


class _LazyPackage(ModuleType):
    """A package with an ``__init__`` that is executed only for a name that is none of its modules."""

    @classmethod
    def of(cls, name: str) -> _LazyPackage:
        """The installed package of this name. It is not executed."""
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ImportError(name)
        package = cls(name, None)
        package.__dict__.update(vars(importlib.util.module_from_spec(spec)))
        return package

    def __getattr__(self, name: str) -> Any:
        module = f"{self.__name__}.{name}"
        if importlib.util.find_spec(module):
            return importlib.import_module(module)
        assert self.__spec__ and self.__spec__.loader  # noqa: PT018, S101 - as of() found them
        self.__class__ = ModuleType  # type: ignore[assignment] # from here on it is as any other
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """In place of three packages, while the library is imported. Afterwards they are imported as usual."""
    oauth2 = _Deferred("oauthlib.oauth2")
    made = {
        "pydantic": _module_of(
            "pydantic", BaseModel=_Record, Field=_field, SecretStr=_Secret, StrictBytes=bytes, StrictInt=int
        ),
        "oauthlib": _module_of("oauthlib", oauth2=oauth2),
        "oauthlib.oauth2": oauth2,
        "requests_oauthlib": _module_of("requests_oauthlib", OAuth2Session=_make_session),
    }
    added = {name: module for name, module in made.items() if name.partition(".")[0] not in sys.modules}
    sys.modules.update(added)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


def _module_of(name: str, **members: object) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(members)
    return module


class _Deferred(ModuleType):
    """A module that is imported when something of it is used, which is after it was replaced by this one."""

    def __getattr__(self, name: str) -> Any:
        module = None if name.startswith("__") else importlib.import_module(self.__name__)
        if module in (None, self):
            raise AttributeError(name)
        return getattr(module, name)


def _make_session(*arguments: object, **more: object) -> Any:
    """requests_oauthlib.OAuth2Session, of which the library makes one to refresh the token of an OIDC provider."""
    return importlib.import_module("requests_oauthlib").OAuth2Session(*arguments, **more)


class _Record:
    """pydantic.BaseModel, for the library's own class of answers. Its models have the real one."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


def _field(default: object = None, **_: object) -> object:
    return default


class _SecretType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        pydantic = sys.modules.get("pydantic")
        return pydantic is not None and isinstance(instance, pydantic.SecretStr)


class _Secret(metaclass=_SecretType):
    """pydantic.SecretStr, which the library asks for the class of what it sends."""
