# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks the Python packages that the role's modules need. Imported first, so it must work in older Pythons."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys

PYTHON = (3, 11)
PACKAGES = ("boto3", "botocore", "kubernetes")
REASON = "MissingRequirement"


def ensure_present() -> None:
    """Unless everything is installed, end the module with an error that names what to install."""
    message = find_missing()
    if message:
        # AnsibleModule is not used, because it would refuse arguments that are not declared.
        print(json.dumps({"failed": True, "msg": message, "s3bucket_reason": REASON}))
        sys.exit(1)


def find_missing() -> str:
    """What is missing and the remedy; empty when nothing is missing."""
    hint = 'or set ansible_python_interpreter to one that has it ("{{ ansible_playbook_python }}")'
    if tuple(sys.version_info) < PYTHON:
        least, found = (".".join(map(str, version[:2])) for version in (PYTHON, tuple(sys.version_info)))
        return f"{sys.executable} is Python {found}, and {least} or newer is needed: install it, {hint}"
    missing = [name for name in PACKAGES if not _is_there(name)]
    if missing:
        return f"{sys.executable} has no {', '.join(missing)}: {sys.executable} -m pip install boto3 kubernetes, {hint}"
    return ""


def find_outdated(model: object, operations: frozenset[str]) -> str:
    """The remedy for a botocore that lacks what the role needs of S3; empty when it has all. Makes no request.

    :param model: botocore's model of S3, a ServiceModel
    :param operations: the operations that the role may send
    """
    missing = sorted(operations.difference(model.operation_names))  # type: ignore[attr-defined]
    shape = model.operation_model("CreateBucket").input_shape  # type: ignore[attr-defined]
    if "Tags" not in shape.members["CreateBucketConfiguration"].members:
        purpose = "create a bucket with its tags"
    elif missing:
        purpose = f"send {', '.join(missing)}"
    else:
        return ""
    return (
        f"botocore {importlib.import_module('botocore').__version__} of {sys.executable} is too old to {purpose}: "
        f"{sys.executable} -m pip install --upgrade boto3 botocore"
    )


def _is_there(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None
