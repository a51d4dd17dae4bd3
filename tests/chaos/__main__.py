"""``python -m tests.chaos [--times N] [--seed S] [CASE ...]``: kill, run again, check. Prints one line per case.

Without cases, it kills before and after every write of every flow, and then at N random moments, under the warm and
the stock executor. With cases, in the form that an earlier run printed, it runs only these. The exit status is 1 when
a case failed.
"""

from __future__ import annotations

import argparse
import random
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.aws import Aws
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from tests.chaos.cases import OPERATOR_WRITES, WRITES, Case, at_random, every_own_write, every_write
from tests.chaos.rig import Rig
from tests.support.world import World


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200, help="how many kills at random")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--only-random", action="store_true", help="not every write in turn")
    parser.add_argument("cases", nargs="*", type=Case.parse)
    given = parser.parse_args()
    if not given.cases:
        print(f"seed {given.seed}", flush=True)
    in_turn = [] if given.only_random else [
        *(case for flow in WRITES for case in every_write("warm", flow)),
        *(case for flow in OPERATOR_WRITES for case in every_own_write("warm", flow)),
        *(case for flow in WRITES for case in every_write("stock", flow, whens=("after",))),
    ]  # fmt: skip
    cases = given.cases or [*in_turn, *at_random(given.seed, given.times)]
    with rig() as made:
        failed = do_all(made, cases)
    for case in failed:
        print(f"again: python -m tests.chaos {shlex.quote(str(case))}")
    sys.exit(1 if failed else 0)


@contextmanager
def rig() -> Iterator[Rig]:
    """A control plane, an AWS endpoint and a work directory that no other test uses."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ControlPlane(folder / "kubernetes") as plane, Aws(folder / "aws") as aws:
            install_crd(plane.kubeconfig)
            world = World(plane.kubeconfig, aws, folder)
            with Rig(world, folder) as made:
                yield made
            world.close()


def do_all(made: Rig, cases: list[Case]) -> list[Case]:
    """Run the cases. Returns those that failed."""
    failed, kills = [], 0
    for case in cases:
        started, word = time.monotonic(), "ok"
        try:
            was_killed = made.do(case)
            kills += was_killed
            word = "ok" if was_killed else "ok, was over"
        except Exception:
            traceback.print_exc()
            failed.append(case)
            word = "FAILED"
        print(f"{word:<12} {time.monotonic() - started:5.1f} s  {case}", flush=True)
    print(f"{len(cases)} cases, {kills} kills, {len(failed)} failed", flush=True)
    return failed


if __name__ == "__main__":
    main()
