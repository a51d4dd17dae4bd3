"""The recording of the demo: the published files contain nothing about the machine on which they were recorded."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dev.recording import TARGET, find_private, write_cast


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"in {Path.home()}/x", "the home folder"),
        (f"on {socket.gethostname()}:", "the name of this machine"),
        ("Key AKIAIOSFODNN7EXAMPLE", "an access key id"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "a token or secret"),
    ],
    ids=["home", "host", "key-id", "secret"],
)
def test_private_text_is_found(text: str, what: str) -> None:
    assert what in find_private(text)


def test_cast_has_the_lines_at_their_times(tmp_path: Path) -> None:
    file = tmp_path / "demo.cast"
    write_cast([(0.5, "one\n"), (2.0, "two\n")], file)
    header, prompt, *events = map(json.loads, file.read_text().splitlines())
    assert header["version"] == 2
    assert "make demo" in prompt[2]
    assert [(event[0], "one" in event[2] or "two" in event[2]) for event in events] == [(0.5, True), (2.0, True)]


def test_committed_recording_is_of_a_whole_run_and_publishable() -> None:
    text = TARGET.read_text()
    assert len(text) < 200_000
    shown = "".join(ElementTree.fromstring(text).itertext())
    assert "every step did what it should" in shown
    assert find_private(shown) == []


def test_committed_recording_needs_neither_script_nor_network() -> None:
    for element in ElementTree.parse(TARGET).iter():
        assert not element.tag.endswith("}script")
        for name, value in element.attrib.items():
            assert not name.endswith("href") or value.startswith("#"), value
            assert not name.startswith("on"), name
