"""``make recording``: docs/demo.svg, an animation of a real run of ``make demo``.

The run's output is kept with its times as an asciicast and rendered by termtosvg-ng. The animation is CSS, so it plays
as a plain image, without script and without network. Nothing is written when the demo fails, or when its output
names this machine, its folders or anything that has the form of a secret.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_PROJECT = Path(__file__).parents[1]
TARGET = _PROJECT / "docs" / "demo.svg"
_COLUMNS, _ROWS = 104, 30
# A wait is shown, but not for longer; the last screen stays until the animation starts again.
_LONGEST_FRAME_MS, _SHORTEST_FRAME_MS, _LAST_FRAME_MS = 2500, 60, 5000
# A window with its own background is readable on a light and on a dark page.
_TEMPLATE = "window_frame"
# The demo's steps begin with their time; bold and green as a terminal's prompt.
_STEP = re.compile(r"^(\[ *[\d.]+ s\]) (.*)$")
_SECRETS = {
    "an access key id": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"),
    "a token or secret": re.compile(r"[A-Za-z0-9/+]{40,}"),
}


class RecordingError(Exception):
    """The recording cannot be published, and why."""


def find_private(text: str) -> list[str]:
    """What must not be in a published recording: folders and the name of this machine, and secrets."""
    private = {
        "the folder of the checkout": str(_PROJECT),
        "the home folder": str(Path.home()),
        "the folder for temporary files": tempfile.gettempdir(),
        "the name of this machine": socket.gethostname(),
    }
    found = [what for what, value in private.items() if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text)]
    return found + [what for what, pattern in _SECRETS.items() if pattern.search(text)]


def write_cast(lines: Iterable[tuple[float, str]], file: Path) -> None:
    """Write lines, each with the seconds since the start, as an asciicast of version 2."""
    events: list[object] = [{"version": 2, "width": _COLUMNS, "height": _ROWS}, [0.0, "o", "$ make demo\r\n"]]
    events += [[round(seconds, 3), "o", _colored(line.rstrip("\n")) + "\r\n"] for seconds, line in lines]
    file.write_text("".join(json.dumps(event) + "\n" for event in events))


def _colored(line: str) -> str:
    return _STEP.sub("\x1b[32m\\1\x1b[0m \x1b[1m\\2\x1b[0m", line)


def render(cast: Path, target: Path) -> None:
    """Render an asciicast as an animated SVG."""
    command = [str(Path(sys.executable).parent / "termtosvg"), "render", str(cast), str(target), "-t", _TEMPLATE]
    times = {"-M": _LONGEST_FRAME_MS, "-m": _SHORTEST_FRAME_MS, "-D": _LAST_FRAME_MS}
    command += [text for option, value in times.items() for text in (option, str(value))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _run_demo() -> Iterator[tuple[float, str]]:
    command = [sys.executable, "-u", "-m", "dev.demo"]
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=_PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as demo:
        for line in demo.stdout or ():
            print(line, end="", flush=True)
            yield time.monotonic() - started, line
    if demo.returncode:
        raise RecordingError(f"the demo failed with exit status {demo.returncode}")


def main() -> int:
    """Run the demo and replace docs/demo.svg."""
    with tempfile.TemporaryDirectory(prefix="s3-operator-recording-") as folder:
        cast, image = Path(folder) / "demo.cast", Path(folder) / "demo.svg"
        try:
            lines = list(_run_demo())
            if private := find_private("".join(line for _, line in lines)):
                raise RecordingError(f"the output of the demo contains {', '.join(private)}")
        except RecordingError as error:
            print(f"recording: {error}", file=sys.stderr)
            return 1
        write_cast(lines, cast)
        render(cast, image)
        TARGET.write_bytes(image.read_bytes())
    print(f"{TARGET.relative_to(_PROJECT)}: {TARGET.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
