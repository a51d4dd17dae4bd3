"""The role's and the playbooks' YAML files: parsed before the fork, and given to the run that loads them.

A run is the only user of its copy of them, so the first load of a file needs no further copy, as Ansible makes it of
what it has parsed. A file that was changed since is parsed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

_Stamp = tuple[int, int, int]

_parsed: dict[str, tuple[_Stamp, Any]] = {}


def preload(paths: Iterable[Path]) -> list[Any]:
    """Parse files as Ansible does, and return what is in them."""
    from ansible.parsing.dataloader import DataLoader

    loader = DataLoader()
    for path in paths:
        stamp = _stamp_of(str(path))
        _parsed[str(path)] = stamp, loader.load_from_file(str(path), unsafe=True, trusted_as_template=True)
    return [content for _, content in _parsed.values()]


def give_parsed(stock: Callable[..., Any]) -> Callable[..., Any]:
    """``DataLoader.load_from_file``, for the first load of a file in this process."""

    def load(self: Any, file_name: str, *arguments: Any, **more: Any) -> Any:
        if not arguments and more == {"trusted_as_template": True}:
            stamp, content = _parsed.pop(self.path_dwim(file_name), (None, None))
            if content is not None and stamp == _stamp_of(self.path_dwim(file_name)):
                return content
        return stock(self, file_name, *arguments, **more)

    return load


def stamps_of_parsed() -> dict[str, _Stamp]:
    """The stamps of the parsed files and of their folders, of which those change with a file that is added."""
    stamps = {path: stamp for path, (stamp, _) in _parsed.items()}
    return stamps | {folder: _stamp_of(folder) for folder in {str(Path(path).parent) for path in stamps}}


def are_unchanged(stamps: Mapping[str, _Stamp]) -> bool:
    """Whether all these files and folders are as they were."""
    try:
        return all(_stamp_of(path) == stamp for path, stamp in stamps.items())
    except OSError:
        return False


def _stamp_of(path: str) -> _Stamp:
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
