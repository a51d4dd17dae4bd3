"""The warm process has nothing in memory of which no run makes use, and a run finds all that it names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_PRELOAD = "import sys\nfrom runner.execution.warm import preload\npreload.import_all()\n"
_ROUTING = (
    "from ansible_collections.ansible.builtin import _collection_meta as meta\nrouting = meta['plugin_routing']\n"
)
_PRINTS = {
    "cryptography is not imported": ("print('cryptography' in sys.modules)", "False"),
    "cryptography can be imported": ("import cryptography\nprint(cryptography.__name__)", "cryptography"),
    "names of collections that are not installed": (
        f"{_ROUTING}print('docker_container' in routing['modules'])",
        "False",
    ),
    "names in an installed collection": (
        f"{_ROUTING}print(routing['modules']['k8s']['redirect'], routing['modules']['aws_caller_info']['redirect'])",
        "kubernetes.core.k8s amazon.aws.aws_caller_info",
    ),
    "names in ansible.builtin": (
        f"{_ROUTING}print(routing['connection']['redirected_local']['redirect'])",
        "ansible.builtin.local",
    ),
    "names that were removed": (f"{_ROUTING}print(*routing['modules']['bigip_facts'])", "tombstone"),
    "former name is found": (
        (
            "from ansible.plugins.loader import module_loader\n"
            "print(module_loader.find_plugin_with_context('k8s').plugin_resolved_name)"
        ),
        "ansible_collections.kubernetes.core.plugins.modules.k8s",
    ),
}


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """What each case prints, all in one warm process."""
    cases = "".join(f"print('case')\n{code}\n" for code, _ in _PRINTS.values())
    environment = {**os.environ, "ANSIBLE_ROLES_PATH": str(ROOT / "roles")}
    words = [sys.executable, "-c", _PRELOAD + cases]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return dict(zip(_PRINTS, map(str.strip, done.stdout.split("case\n")[1:]), strict=True))


@pytest.mark.parametrize("case", _PRINTS)
def test_what_the_warm_process_keeps(printed: dict[str, str], case: str) -> None:
    assert printed[case] == _PRINTS[case][1]
