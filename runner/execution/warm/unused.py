"""What Ansible imports or keeps, and no run of the operator uses: without it the warm process takes 6 MB less.

Runs get no password of a vault and open no connection but the local one, and the role names plugins by their full
names, or by former names of installed ones.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

# For vaults, SSH keys and Kerberos. Where it is not installed, Ansible refuses those with a message.
_CRYPTOGRAPHY = "cryptography"


@contextlib.contextmanager
def without_cryptography() -> Iterator[None]:
    """Import what is imported here as where cryptography is not installed. Afterwards it can be imported as usual."""
    if _CRYPTOGRAPHY in sys.modules:
        yield
        return
    sys.modules[_CRYPTOGRAPHY] = None  # type: ignore[assignment] # https://docs.python.org/3/reference/import.html
    try:
        yield
    finally:
        del sys.modules[_CRYPTOGRAPHY]


def forget_redirects() -> None:
    """Of ansible.builtin's 4,500 former names of plugins, keep those of plugins in collections that are installed.

    A task with another one fails in any case. Call it before other imports: they fill the memory.
    """
    config = importlib.import_module("ansible.utils.collection_loader").AnsibleCollectionConfig
    folders = [Path(folder) / "ansible_collections" for folder in config.collection_paths]

    @functools.cache
    def is_installed(namespace: str, name: str) -> bool:
        return any((folder / namespace / name).is_dir() for folder in folders)

    builtin = importlib.import_module("ansible_collections.ansible.builtin")
    for entries in builtin._collection_meta["plugin_routing"].values():
        for former, entry in list(entries.items()):
            target = str(entry.get("redirect", "ansible.builtin.")).removeprefix("ansible_collections.")
            collection = target.split(".")[:2]
            if collection != ["ansible", "builtin"] and not is_installed(*collection):
                del entries[former]
