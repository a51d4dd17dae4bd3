"""``python -m dev.image``: builds the operator's image with buildah or docker, whichever is there.

Its base is ``BASE`` (and ``BUILDER``) of the environment, else the Containerfile's default; where the registry of
that is not in reach, a Debian of the same Python is made by debootstrap, once, and kept in the cache.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from runner import __version__

from .binaries import cache_folder

_PROJECT = Path(__file__).parents[1]
_REGISTRY = ("registry-1.docker.io", 443)
_REGISTRY_WAIT_S = 5
# bookworm has Python 3.11, for which the lock is made.
_SUITE = "bookworm"
# Where buildah keeps layers, as root.
_STORAGE = Path("/var/lib/containers")
_BASES = ("localhost/s3-operator-base", "localhost/s3-operator-builder")
# Never read at run time; debootstrap leaves it there.
_UNUSED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")


class ImageError(Exception):
    """The image cannot be built here, and why."""


def default_name() -> str:
    """The image that the chart's default names."""
    return f"agill17/s3-operator:{__version__}"


def find_tool() -> list[str]:
    """The command of buildah or docker.

    :raises ImageError: when neither is usable
    """
    if shutil.which("buildah"):
        driver = "overlay" if can_overlay(_STORAGE) else "vfs"
        return ["buildah", *([] if os.environ.get("STORAGE_DRIVER") else ["--storage-driver", driver])]
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        return ["docker"]
    raise ImageError("neither buildah nor a running docker is on this machine")


def can_overlay(folder: Path) -> bool:
    """Whether this process may mount an overlay in a folder, by a trial. Without one, each layer is a whole copy."""
    if os.geteuid() != 0:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="s3-operator-overlay-", dir=folder) as made:
        parts = {name: Path(made) / name for name in ("lowerdir", "upperdir", "workdir", "merged")}
        for part in parts.values():
            part.mkdir()
        merged = str(parts.pop("merged"))
        options = ",".join(f"{name}={part}" for name, part in parts.items())
        command = ["mount", "-t", "overlay", "overlay", "-o", options, merged]
        is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        if is_mounted:
            subprocess.run(["umount", merged], check=True)
    return is_mounted


def build(name: str) -> str:
    """Build the image and return its name.

    :raises ImageError: when there is no tool or no base
    """
    arguments: list[str] = []
    bases = [os.environ.get("BASE"), os.environ.get("BUILDER") or os.environ.get("BASE")]
    if not bases[0] and not _is_registry_reached():
        _make_bases()
        bases = list(_BASES)
    for key, value in zip(("BASE", "BUILDER"), bases, strict=True):
        arguments += ["--build-arg", f"{key}={value}"] if value else []
    arguments += ["--build-arg", f"VERSION={__version__}", "--build-arg", f"REVISION={_revision()}"]
    if os.environ.get("PLATFORM"):
        arguments += ["--platform", os.environ["PLATFORM"]]
    build_context(_PROJECT, name, *arguments)
    return name


def build_context(context: Path, name: str, *arguments: str) -> None:
    """Build the Containerfile of a folder."""
    tool = find_tool()
    command = ["build", "--tag", name, "--file", str(context / "Containerfile"), *arguments]
    if tool[0] == "buildah":
        # chroot: RUN needs neither a runtime nor namespaces. Docker's format keeps what Kubernetes reads.
        command += ["--isolation", "chroot", "--format", "docker"]
    _run(*tool, *command, str(context))


def export(name: str, file: Path) -> None:
    """Write the image as a docker archive, as ``ctr images import`` takes it."""
    tool = find_tool()
    if tool[0] == "docker":
        _run("docker", "save", "--output", str(file), name)
    else:
        _run(*tool, "push", "--quiet", name, f"docker-archive:{file}:{name}")


def _is_registry_reached() -> bool:
    try:
        with socket.create_connection(_REGISTRY, _REGISTRY_WAIT_S):
            return True
    except OSError:
        return False


def _make_bases() -> None:
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise ImageError(
            "no image registry is in reach, and making a base needs root and debootstrap: give one with BASE=image"
        )
    folder = cache_folder() / f"base-{_SUITE}"
    if not (folder / "builder.tar").exists():
        _debootstrap(folder)
    for tar, name in zip(("base.tar", "builder.tar"), _BASES, strict=True):
        with tempfile.TemporaryDirectory(prefix="s3-operator-base-") as context:
            shutil.copyfile(folder / tar, Path(context) / tar)
            (Path(context) / "Containerfile").write_text(f"FROM scratch\nADD {tar} /\n")
            build_context(Path(context), name)


def _debootstrap(folder: Path) -> None:
    _report(f"no image registry in reach: making a base of Debian {_SUITE} (once; kept in {folder})")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="s3-operator-base-") as temporary:
        root = Path(temporary) / "root"
        _run("debootstrap", "--variant=minbase", "--include=python3,ca-certificates", _SUITE, str(root))
        _pack(root, folder / "base.tar")
        _run("chroot", str(root), "apt-get", "update", "-qq")
        _run("chroot", str(root), "apt-get", "install", "-qq", "--no-install-recommends", "python3-venv")
        # pip in the builder trusts what this machine trusts.
        shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", root / "etc" / "ssl" / "certs" / "ca-certificates.crt")
        _pack(root, folder / "builder.tar")


def _pack(root: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    unused = [f"--exclude=./{path}/*" for path in _UNUSED]
    _run("tar", "--create", "--one-file-system", *unused, "--exclude=./dev/*", "-f", str(partial), "-C", str(root), ".")
    partial.rename(target)


def _revision() -> str:
    command = ["git", "-C", str(_PROJECT), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _run(*command: str) -> None:
    environment = {"DEBIAN_FRONTEND": "noninteractive", **os.environ}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment, check=False)
    if done.returncode:
        raise ImageError(f"{' '.join(command[:3])} ... failed with exit status {done.returncode}")


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Build the image that IMAGE names, or the chart's default."""
    try:
        name = build(os.environ.get("IMAGE") or default_name())
    except ImageError as error:
        _report(f"image: {error}")
        return 1
    print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
