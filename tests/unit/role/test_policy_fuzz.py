"""Property: evaluating any policy text takes bounded work and ends with a document or a PolicyError.

Work is counted in executed lines of policy.py, so that no test fails because the machine is slow. Code in C, such as a
regular expression, is not counted. It is stopped after some seconds of CPU time. ``FUZZ_EXAMPLES`` sets the number of
texts (``make fuzz``); each run then generates others.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3bucket import policy
from s3bucket.settings import ALL

ARN = f"arn:aws:s3:::{'photos-' * 9}"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 0)
CPU_LIMIT_S = 20.0
# 32 actions and the bucket's ARN are matched. This number of lines per character of the policy is more than any known
# text needs (the worst takes 2700), and far less than work that is quadratic in the length.
LINES_A_CHARACTER = 4000

fuzzed = settings(
    max_examples=EXAMPLES * 20 or 40, derandomize=not EXAMPLES, database=None, deadline=None, print_blob=False
)


class TooMuchWorkError(AssertionError):
    """The evaluation of a text took more work than its length allows."""


@contextmanager
def limited(lines: int) -> Iterator[None]:
    """Stop code that runs more lines of policy.py, or more seconds of CPU time in C, than allowed."""
    left = lines

    def count(frame: FrameType, event: str, arg: Any) -> Callable[..., Any] | None:
        nonlocal left
        if frame.f_code.co_filename != policy.__file__:
            return None
        left -= event == "line"
        if left < 0:
            raise TooMuchWorkError(f"more than {lines} lines")
        return count

    def expire(number: int, frame: FrameType | None) -> None:
        raise TooMuchWorkError(f"more than {CPU_LIMIT_S} s of CPU")

    old_handler, old_trace = signal.signal(signal.SIGPROF, expire), sys.gettrace()
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(old_trace)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old_handler)


def examine(text: str) -> None:
    """Evaluate a text as the operator does. A text that is not a policy may only raise PolicyError."""
    with limited(10_000 + LINES_A_CHARACTER * len(text)), contextlib.suppress(policy.PolicyError):
        policy.examine(text, ARN)


def wildcards() -> st.SearchStrategy[str]:
    pieces = st.sampled_from(["*", "?", "s3:", "get", "e", "a", "photos-", "x", "[", "\\", ".", "(a+)+", "arn:aws:"])
    return st.one_of(
        st.lists(pieces, max_size=40).map("".join),
        # A pattern that repeats a few characters many times is the worst case for backtracking.
        st.tuples(pieces, pieces, st.integers(1, 60)).map(lambda parts: (parts[0] + parts[1]) * parts[2] + "x"),
    )


def values() -> st.SearchStrategy[Any]:
    scalars = st.one_of(wildcards(), st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
    return st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(wildcards(), inner, max_size=3)),
        max_leaves=8,
    )


def statements() -> st.SearchStrategy[Any]:
    element = st.one_of(wildcards(), st.lists(wildcards(), max_size=6), values())
    names = ("Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition", "Sid")
    parts = dict.fromkeys(names, element)
    whole = st.fixed_dictionaries({"Effect": st.sampled_from(["Allow", "Deny", None, 1])}, optional=parts)
    return st.one_of(whole, values())


def documents() -> st.SearchStrategy[Any]:
    listed = st.one_of(st.lists(statements(), max_size=3), statements())
    return st.fixed_dictionaries({"Statement": listed}, optional={"Version": values(), "Id": values()})


@fuzzed
@given(document=documents())
def test_any_document_takes_bounded_work(document: Any) -> None:
    examine(json.dumps(document))


@fuzzed
@given(text=st.one_of(st.text(), st.text('{}[]",:\\ud8019eE+-.*', max_size=200), st.text("[{", max_size=3000)))
def test_any_text_takes_bounded_work(text: str) -> None:
    examine(text)


def reference_matches(pattern: str, value: str) -> bool:
    """A reference implementation. It keeps the set of all positions in the pattern that the value so far can reach."""

    def skip_stars(places: set[int]) -> set[int]:
        found = set()
        for start in places:
            place = start
            found.add(place)
            while place < len(pattern) and pattern[place] == "*":
                place += 1
                found.add(place)
        return found

    places = skip_stars({0})
    for char in value:
        there = {place for place in places if place < len(pattern)}
        stays = {place for place in there if pattern[place] == "*"}
        places = skip_stars(stays | {place + 1 for place in there if pattern[place] in ("?", char)})
    return len(pattern) in places


@fuzzed
@given(pattern=st.text("ab*?", max_size=30), value=st.text("ab", max_size=12))
def test_matches_is_what_the_wildcards_mean(pattern: str, value: str) -> None:
    with limited(50 + 6 * (len(pattern) + len(value) ** 2)):
        found = policy.matches(pattern, value)
    assert found == reference_matches(pattern, value)


@pytest.mark.parametrize(
    "pattern",
    [
        # The text of the attack. 10 stars took 9 s, and each further star multiplied that by 2.7.
        pytest.param(f"s3:{'*' * 30}x", id="stars"),
        pytest.param("*a" * 9_000 + "x", id="stars-and-letters"),
        pytest.param("*?" * 9_000 + "x", id="stars-and-marks"),
        pytest.param("*" + "a" * 18_000, id="long-tail"),
    ],
)
@pytest.mark.parametrize("element", ["Action", "Resource"])
def test_hostile_pattern_takes_bounded_work(pattern: str, element: str) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", element: pattern}
    examine(json.dumps({"Statement": [statement]}))


def test_many_hostile_patterns_take_bounded_work() -> None:
    patterns = [f"*{'?' * marks}{'e' * letters}x" for marks in range(4) for letters in range(12)]
    statement = {"Effect": "Deny", "Principal": "*", "Action": patterns, "Resource": "*"}
    with limited(LINES_A_CHARACTER * len(json.dumps(patterns))):
        found = policy.locks_out({"Statement": [statement]}, ARN, actions=policy.TRIAL_ACTIONS)
    assert found is None


def test_trial_of_a_text_checks_as_many_actions_as_the_operator() -> None:
    reads = {"s3:ListBucket", "s3:GetBucketTagging", *(setting.read.operation.action for setting in ALL)}
    assert len(policy.TRIAL_ACTIONS) >= len({*policy.POLICY_ACTIONS, *reads})


def test_work_of_a_backtracking_matcher_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests the counter itself: the former regular expression is stopped."""
    import re

    def by_expression(pattern: str, value: str) -> bool:
        expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
        return re.fullmatch(expression, value, re.DOTALL) is not None

    monkeypatch.setattr(sys.modules[__name__], "CPU_LIMIT_S", 0.2)
    attack = partial(by_expression, f"s3:{'*' * 30}x", "s3:putbucketpolicy")
    with pytest.raises(TooMuchWorkError), limited(10_000):
        attack()
