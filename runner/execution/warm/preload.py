"""What the warm process prepares for its runs: code, plugins, templates, botocore's data.

Everything that is read, parsed or compiled here is done once, and not in every run. Nothing here makes a request to AWS
or Kubernetes, or holds a key.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from runner import small_kubernetes
from runner.execution.warm import files, inprocess, internals, plays, templates, unused

_IMPORTS = (
    "ansible.cli.playbook",
    "ansible.executor.playbook_executor",
    # What Ansible imports by name, for the first module of a run.
    "ansible.module_utils._internal._json._profiles._module_legacy_c2m",
    "ansible.module_utils._internal._json._profiles._module_legacy_m2c",
    "ansible.playbook.handler_task_include",
    "boto3.session",
    "botocore.session",
    "kubernetes.client",
    "kubernetes.config",
    "kubernetes.dynamic",
    "multiprocessing.popen_fork",
    "multiprocessing.synchronize",
    "yaml",
)
# What a run of the role requests from Ansible's plugin loaders. The child loads everything else.
_PLUGINS = {
    # By the names that the role's tasks have: by another one, Ansible loads it again.
    "action": (
        "normal",
        "ansible.builtin.fail",
        "ansible.builtin.set_fact",
        "ansible.builtin.set_stats",
        "validate_argument_spec",
        "kubernetes.core.k8s",
        "kubernetes.core.k8s_info",
    ),
    "cache": ("memory",),
    "callback": ("default", "junit", "minimal", "oneline", "tree"),
    "inventory": ("host_list", "ini", "script", "yaml", "auto", "toml", "advanced_host_list"),
    "lookup": ("env", "file"),
    "strategy": ("linear",),
}
# PlaybookExecutor visits every plugin of these kinds, and reads its documentation for settings.
_PLUGIN_KINDS = ("become", "connection", "filter", "shell", "test", "vars")
# The modules of the role's tasks.
_MODULES = (
    "amazon.aws.plugins.modules.iam_access_key",
    "amazon.aws.plugins.modules.iam_policy",
    "amazon.aws.plugins.modules.iam_role",
    "kubernetes.core.plugins.modules.k8s",
    "kubernetes.core.plugins.modules.k8s_info",
)
# What a client of S3 imports.
_MODULE_UTILS = ("amazon.aws.plugins.module_utils.s3",)
# What runs for an object load. Other runs load other playbooks.
_PLAYBOOK = "operator.yml"
# The services of its clients, each with a request that is answered in pages; empty for none.
_SERVICES = {"s3": "list_buckets", "iam": "list_users", "sts": ""}


def import_all() -> None:
    """Import everything. What is imported later is imported in every run.

    :raises AttributeError, ImportError, UnsupportedError: when an internal is not as expected
    """
    small_kubernetes.import_small()
    with unused.without_cryptography():
        for name in _IMPORTS:
            importlib.import_module(name)
        _import_collections()
        _load_plugins()
        _import_role()
    internals.install()
    _make_clients()
    _read_files()
    _forget_warnings()


def _import_collections() -> None:
    loader = importlib.import_module("ansible.plugins.loader")
    loader.init_plugin_loader()
    unused.forget_redirects()
    for name in _MODULES:
        # Imported for its dependencies. A run executes its code as the main program.
        module = importlib.import_module(f"ansible_collections.{name}")
        inprocess.preload(Path(str(module.__file__)))
    for name in _MODULE_UTILS:
        importlib.import_module(f"ansible_collections.{name}")


def _load_plugins() -> None:
    loaders = importlib.import_module("ansible.plugins.loader")
    for kind, names in _PLUGINS.items():
        for name in names:
            getattr(loaders, f"{kind}_loader").get(name, class_only=True)
            _describe(kind, name)
    for kind in _PLUGIN_KINDS:
        list(getattr(loaders, f"{kind}_loader").all(class_only=kind not in ("filter", "test")))


def _describe(kind: str, name: str) -> None:
    """Note that a plugin has no settings. Otherwise Ansible reads its documentation again each time it is loaded."""
    config = importlib.import_module("ansible.constants").config
    if not config.has_configuration_definition(kind, name):
        config.initialize_plugin_configuration_definitions(kind, name, {})


def _import_role() -> None:
    module_utils = importlib.import_module("ansible.module_utils")
    for role in _roles():
        module_utils.__path__.append(str(role / "module_utils"))
        for path in (role / "library").glob("*.py"):
            inprocess.preload(path)
        loaders = importlib.import_module("ansible.plugins.loader")
        loaders.add_all_plugin_dirs(str(role))
        loaders.action_loader.get("s3bucket_info", class_only=True)
        core = role / "module_utils" / "s3bucket"
        for path in core.rglob("*.py"):
            if path.name != "__init__.py":
                parts = path.relative_to(core).with_suffix("").parts
                importlib.import_module(".".join(("ansible.module_utils.s3bucket", *parts)))


def _roles() -> list[Path]:
    found = [Path(roles) / "s3bucket" for roles in os.environ.get("ANSIBLE_ROLES_PATH", "").split(os.pathsep)]
    return [role for role in found if role.is_dir()]


def _forget_warnings() -> None:
    """Ansible shows each warning once a process. After this, a run also shows those that this process has shown."""
    display = importlib.import_module("ansible.utils.display").Display()
    for name in ("_deprecations", "_warns", "_errors"):
        getattr(display, name, {}).clear()


def _make_clients() -> None:
    """Read what botocore reads from its data files."""
    session = importlib.import_module("boto3.session")
    for service, with_pages in _SERVICES.items():
        # Dummy keys: a client reads all its data when it is created, and sends no request.
        client = session.Session(aws_access_key_id="none", aws_secret_access_key="none").client(  # noqa: S106
            service, region_name="us-east-1"
        )
        if with_pages:
            client.can_paginate(with_pages)


def _read_files() -> None:
    """Parse the role's and the playbooks' files, compile their templates, and make the objects of one playbook."""
    for role in _roles():
        playbooks = role.parents[1] / "playbooks"
        # No run compiles the texts of the argument specs, and they are the longest file.
        paths = [path for path in role.rglob("*.yml") if path.name != "argument_specs.yml"]
        templates.compile_all(str(playbooks), files.preload([*paths, *playbooks.rglob("*.yml")]))
        plays.preload(playbooks / _PLAYBOOK, sorted((role / "tasks").glob("*.yml")))
