"""Puts the image's /opt/s3-operator together, in the builder: ``assemble.py FOLDER WHEELS``.

FOLDER is a virtual environment with the locked dependencies and ``project/`` in it; WHEELS holds the
wheel with the collections. Adds the collections and the command, and takes away what never runs.
"""

from __future__ import annotations

import compileall
import shutil
import sys
import zipfile
from pathlib import Path

# What of a collection runs: plugins of kinds that the role uses, and what Ansible reads to find them.
_COLLECTIONS = ("amazon/aws", "kubernetes/core")
_COLLECTION_PARTS = ("plugins/action/", "plugins/modules/", "plugins/module_utils/", "meta/", "MANIFEST.json")
# botocore describes every service of AWS; these are asked. eks: for Pod Identity. s3control: for tags of buckets with
# ABAC. sso and signin: for profiles of a credentials file.
_SERVICES = {"s3", "s3control", "iam", "sts", "resourcegroupstaggingapi", "sqs", "eks", "sso", "sso-oidc", "signin"}
_NEVER_RUNS = (
    "ansible_test",
    "pip",
    "pip-*",
    "setuptools",
    "setuptools-*",
    "pkg_resources",
    "_distutils_hack",
    "distutils-precedence.pth",
    "boto3/examples",
    # The client once more, for asyncio: half of the package's 126 MB.
    "kubernetes/aio",
)


def main() -> None:
    """Assemble."""
    root = Path(sys.argv[1])
    packages = next(root.glob("lib/python3*/site-packages"))
    _unpack_collections(next(Path(sys.argv[2]).glob("*.whl")), packages)
    for pattern in _NEVER_RUNS:
        for path in packages.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for service in (packages / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in _SERVICES:
            shutil.rmtree(service)
    for path in [*root.glob("bin/pip*"), *root.glob("bin/activate*"), *root.glob("bin/Activate*")]:
        path.unlink()
    _write_command(root, packages)
    # The root is read-only at run time: what is not compiled here is compiled at each start.
    compileall.compile_dir(root, quiet=2, workers=0)


def _unpack_collections(wheel: Path, packages: Path) -> None:
    wanted = tuple(
        f"ansible_collections/{collection}/{part}" for collection in _COLLECTIONS for part in _COLLECTION_PARTS
    )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages, [name for name in archive.namelist() if name.startswith(wanted)])


def _write_command(root: Path, packages: Path) -> None:
    # The core is the role's own: there is no second copy of it.
    folders = root / "project", root / "project" / "roles" / "s3bucket" / "module_utils"
    (packages / "s3-operator.pth").write_text("".join(f"{folder}\n" for folder in folders))
    command = root / "bin" / "s3-operator"
    command.write_text(f"#!{root / 'bin' / 'python3'}\nfrom runner.cli import main\n\nmain()\n")
    command.chmod(0o755)


if __name__ == "__main__":
    main()
