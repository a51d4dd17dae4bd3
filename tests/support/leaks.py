"""Searches for secrets where they must not be: in processes, files and texts.

It searches for a secret as plain text, in base64 (at any offset), URL-encoded, and escaped as in JSON. Of a process it
reads what /proc shows: arguments, environment and open files, including deleted ones. It never reports the secret
itself, only where it was found and in which form.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from runner.execution import processes

_PAUSE_S = 0.2
_MAX_BYTES = 16 * 1024 * 1024


@functools.cache
def forms_of(secret: str) -> dict[str, bytes]:
    """The forms in which a secret may be written."""
    forms = {
        "plain": secret,
        "url": quote(secret, safe=""),
        "json": secret.replace("/", "\\/"),
        "json-unicode": secret.replace("/", "\\u002f").replace("+", "\\u002b"),
    }
    written = {name: text.encode() for name, text in forms.items()}
    for shift in range(3):
        whole = base64.b64encode(b"x" * shift + secret.encode())
        # Without the characters that also encode bits of the bytes before or after it.
        written[f"base64-{shift}"] = whole[(shift * 8 + 5) // 6 : (shift + len(secret)) * 8 // 6]
    return written


def find_in(text: bytes, secrets: Iterable[str]) -> set[str]:
    """The forms in which a text contains one of the secrets."""
    return {form for secret in secrets for form, written in forms_of(secret).items() if written in text}


class Search:
    """Searches continuously in a thread while something runs, and once per call of :meth:`scan`. A context manager.

    :param secrets: returns the secrets that exist now
    :param pids: returns the processes that exist now
    :param folders: all their files are read repeatedly
    :param private: whether a file may contain a secret, provided that no other user can read it
    """

    def __init__(
        self,
        secrets: Callable[[], list[str]],
        pids: Callable[[], Iterable[int]],
        folders: list[Path],
        private: Callable[[Path], bool] = lambda _: False,
    ) -> None:
        self._secrets, self._pids, self._folders, self._private = secrets, pids, folders, private
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._lock = threading.Lock()
        self.found: set[str] = set()
        self.seen: set[str] = set()

    def __enter__(self) -> Search:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._is_over.wait(_PAUSE_S):
            self.scan()

    def scan(self) -> None:
        """Search everything once."""
        with self._lock:
            secrets = self._secrets()
            for pid in self._pids():
                self._scan_process(pid, secrets)
            for folder in self._folders:
                # Not rglob, because directories are deleted during the walk.
                for parent, _, names in os.walk(folder):
                    for name in names:
                        self._scan_file(Path(parent, name), secrets)

    def scan_text(self, where: str, text: str | bytes) -> None:
        """Search a text that was read elsewhere."""
        self._note(where, text.encode() if isinstance(text, str) else text, self._secrets())

    def _scan_process(self, pid: int, secrets: list[str]) -> None:
        folder = Path("/proc") / str(pid)
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                self._note(name, (folder / name).read_bytes(), secrets)
        with contextlib.suppress(OSError):
            for link in (folder / "fd").iterdir():
                self._scan_open_file(link, secrets)

    def _scan_open_file(self, link: Path, secrets: list[str]) -> None:
        with contextlib.suppress(OSError):
            target = Path(os.readlink(link))
            if stat.S_ISREG(link.stat().st_mode) and not self._is_private(target):
                with link.open("rb") as stream:
                    self._note("an open file", stream.read(_MAX_BYTES), secrets)

    def _scan_file(self, path: Path, secrets: list[str]) -> None:
        with contextlib.suppress(OSError):
            if path.is_file() and not self._is_private(path):
                self._note(f"the file {path.name}", path.read_bytes(), secrets)

    def _is_private(self, path: Path) -> bool:
        if not self._private(path):
            return False
        modes = [stat.S_IMODE(item.stat().st_mode) for item in (path, path.parent)]
        return modes == [0o600, 0o700]

    def _note(self, where: str, text: bytes, secrets: list[str]) -> None:
        self.seen.add(where)
        self.found |= {f"{form} in {where}" for form in find_in(text, secrets)}


def descendants_of(pid: int) -> list[int]:
    """A process and all its descendants."""
    parents = {}
    for folder in Path("/proc").iterdir():
        fields = processes.read_stat(int(folder.name)) if folder.name.isdigit() else []
        if fields:
            parents[int(folder.name)] = int(fields[1])
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found
