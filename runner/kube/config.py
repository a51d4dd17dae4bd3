"""The cluster's configuration: KUBECONFIG, the default kubeconfig, or the Pod's ServiceAccount.

Loads it into the client library, and makes no request. An error names the file and the line, and shows none of its
text, which holds credentials. Main thread, before others start.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import yaml
from kubernetes import config
from kubernetes.config import ConfigException

_EXEC_HINT = "install the program that the kubeconfig's user.exec names, or log in with it"
_HINT = "correct the file, or set KUBECONFIG to another one"


class ConfigurationError(Exception):
    """There is no usable way to a cluster. ``is_absent``: none was given either."""

    def __init__(self, message: str, *, is_absent: bool = False) -> None:
        super().__init__(message)
        self.is_absent = is_absent


def load() -> None:
    """Configure the client library.

    :raises ConfigurationError: when nothing is configured, or what is cannot be used
    """
    paths = os.environ.get("KUBECONFIG", "")
    if paths or Path("~/.kube/config").expanduser().exists():
        _load_file(paths or str(Path("~/.kube/config").expanduser()))
        return
    try:
        config.load_incluster_config()
    except (ConfigException, OSError) as error:
        message = "no Kubernetes configuration found: set KUBECONFIG, or run in a Pod"
        raise ConfigurationError(message, is_absent=True) from error


def find_own_namespace() -> str:
    """The Pod's own namespace, or ``default`` outside of a Pod."""
    path = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    return path.read_text().strip() if path.exists() else "default"


def _load_file(paths: str) -> None:
    try:
        with _logged_errors() as errors:
            config.load_kube_config(paths)
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _unusable(paths, f"it is not YAML: {error.problem}{where}") from error
    except OSError as error:
        raise _unusable(paths, error.strerror or type(error).__name__) from error
    except ConfigException as error:
        raise _unusable(paths, str(error)) from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        # What the library's own code meets in YAML that is no kubeconfig, and in certificates that are no base64.
        raise _unusable(paths, f"it is not a kubeconfig ({type(error).__name__})") from error
    if errors:
        # The library logs what a credential plugin did wrong, and goes on without credentials.
        raise _unusable(paths, "; ".join(errors), _EXEC_HINT)


def _unusable(paths: str, why: str, hint: str = _HINT) -> ConfigurationError:
    return ConfigurationError(f"the kubeconfig {paths} cannot be used: {' '.join(why.split()).rstrip('.')}: {hint}")


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """What is logged at the root meanwhile, in place of the log."""
    root, collector = logging.getLogger(), _Collector()
    handlers, root.handlers = root.handlers, [collector]
    try:
        yield collector.messages
    finally:
        root.handlers = handlers
