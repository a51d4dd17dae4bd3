"""The operator and the warm process import what they use of the Kubernetes library, and the rest when it is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What the library imports besides, and neither process uses: 11 MB in each of them.
UNUSED = (
    "pydantic",
    "pydantic_core",
    "oauthlib",
    "requests",
    "requests_oauthlib",
    "charset_normalizer",
    "websocket",
    "kubernetes.informer",
    "kubernetes.leaderelection",
    "kubernetes.stream",
)
WARM = "from runner.execution.warm import preload; preload.import_all()"


def run(code: str) -> str:
    """The output of a new Python. The one of the tests has all of the library imported."""
    environment = {**os.environ, "ANSIBLE_ROLES_PATH": str(ROOT / "roles")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_operator_imports_nothing_of_the_libraries_that_it_does_not_use(tmp_path: Path) -> None:
    # It ends for want of a cluster, with all that it needs imported.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")}
    words = [sys.executable, "-X", "importtime", "-m", "runner", "run", "--work-dir", str(tmp_path / "work")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=ROOT)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"runner.control.operator", "kubernetes.dynamic.client"} <= imported, done.stderr[-500:]
    assert imported & {*UNUSED, "boto3", "s3transfer"} == set()


def test_warm_process_imports_nothing_of_the_library_that_it_does_not_use() -> None:
    assert run(f"{WARM}\nimport sys; print(*(name for name in {UNUSED} if name in sys.modules))") == ""


SMALL = "import sys; from runner.small_kubernetes import import_small; import_small()\n"


# What a module of a collection may use, and what is imported for it.
USES = (
    ("import kubernetes.leaderelection.leaderelection", "kubernetes.leaderelection"),
    ("import kubernetes; kubernetes.client.V1Pod(spec=None).to_dict()", "kubernetes.client.models.v1_pod"),
    ("import kubernetes; kubernetes.client.CoreV1Api().list_namespace", "kubernetes.client.api.core_v1_api"),
    ("from kubernetes.config import kube_config; kube_config.oauthlib.oauth2.rfc6749.errors", "oauthlib.oauth2"),
    ("from kubernetes.config import kube_config; kube_config.OAuth2Session('me')", "requests_oauthlib"),
    ("import kubernetes; kubernetes.stream.stream", "websocket"),
    ("from kubernetes import informer; informer.SharedInformer", "kubernetes.informer"),
)


def test_part_that_is_used_is_imported_then() -> None:
    code = f"{SMALL}for use, name in {USES}: print(name, name in sys.modules, exec(use), name in sys.modules)"
    assert run(code).splitlines() == [f"{name} False None True" for _, name in USES]


def test_library_has_its_own_attributes_and_no_others() -> None:
    assert run(f"{SMALL}import kubernetes; print(kubernetes.__version__)") == run(
        "import kubernetes; print(kubernetes.__version__)"
    )
    assert run(f"{SMALL}import kubernetes; print(kubernetes.__project__, hasattr(kubernetes, 'none'))") == (
        "kubernetes False"
    )


ANSWER = "from kubernetes.client.api_response import ApiResponse\n"


def test_class_of_answers_has_what_it_is_given() -> None:
    show = "a = ApiResponse(status_code=200, data=[1], raw_data=b'1'); print(a.status_code, a.headers, a.data)"
    assert run(f"{SMALL}{ANSWER}{show}") == run(f"{ANSWER}{show}") == "200 None [1]"


def test_secret_is_sent_as_by_the_whole_library() -> None:
    show = "import pydantic; from kubernetes.client import ApiClient\n"
    show += "print(ApiClient().sanitize_for_serialization({'a': pydantic.SecretStr('b'), 'c': 'd'}))"
    assert run(f"{SMALL}{show}") == run(show) == "{'a': 'b', 'c': 'd'}"


@pytest.mark.parametrize(
    "change",
    [
        "small._USED = (*small._USED, 'kubernetes.none')",
        "small._Record = None",
        "small._module_of = lambda name, **_: __import__('types').ModuleType(name)",
    ],
    ids=["a part is missing", "another base class", "another name is imported"],
)
def test_library_of_another_make_is_imported_whole(change: str) -> None:
    show = "import sys, kubernetes; print(type(kubernetes).__name__, 'kubernetes.stream' in sys.modules)\n"
    show += "import pydantic; print(pydantic.TypeAdapter(int).validate_python('1'))"
    done = run(f"from runner import small_kubernetes as small; {change}; small.import_small()\n{show}")
    assert done.split() == ["module", "True", "1"]


def test_library_that_is_imported_already_stays_as_it_is() -> None:
    assert run(f"import kubernetes; before = kubernetes\n{SMALL}print(kubernetes is before)") == "True"
