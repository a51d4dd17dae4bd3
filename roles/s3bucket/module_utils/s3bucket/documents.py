# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answers of S3 whose kind is checked.

A store that does not know a query parameter ignores it, and answers ``GET ?metrics`` with the list of the bucket's
objects. boto3 does not check the root element, and makes an empty list of configurations of it. A write of the setting
would then create the bucket, and ``DELETE ?metrics`` would delete it.
"""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import Any

from .errors import not_implemented
from .json_types import ApiObject, AwsClient
from .setting import Operation

_ROOT = re.compile(rb"<(?:\w+:)?([A-Za-z]\w*)")


def get_document(s3: AwsClient, operation: Operation, root: str, **arguments: str) -> ApiObject:
    """Return the answer to a read.

    :param root: a regular expression for the answer's root element
    :raises botocore.exceptions.ClientError: for any error of AWS; NotImplemented for another root element
    """
    check = partial(_check_root, operation.name, root)
    # The client keeps it: it is registered only once.
    s3.meta.events.register(f"before-parse.s3.{operation.name}", check, unique_id=f"s3-operator-{operation.name}")
    answer: ApiObject = getattr(s3, operation.method)(**arguments)
    return answer


def _check_root(operation: str, root: str, response_dict: ApiObject, **_: Any) -> None:
    if response_dict["status_code"] >= HTTPStatus.MULTIPLE_CHOICES:
        return
    found = _ROOT.search(response_dict["body"])
    name = found[1].decode() if found else "no document"
    if not re.fullmatch(root, name):
        raise not_implemented(operation, f"the answer is {name}")
