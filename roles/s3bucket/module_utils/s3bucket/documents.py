# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answers of S3 whose kind is checked.

A store that does not know a query parameter ignores it, and answers ``GET ?metrics`` with the list of the bucket's
objects. boto3 does not check the root element, and makes an empty list of configurations of it. A write of the setting
would then create the bucket, and ``DELETE ?metrics`` would delete it.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import not_implemented
from .json_types import ApiObject, AwsClient
from .setting import Operation

_ROOT = re.compile(rb"<(?:\w+:)?([A-Za-z]\w*)")
_KEY = "RootElement"
_HANDLER = "s3-operator-root-element"


def get_document(s3: AwsClient, operation: Operation, root: str, **arguments: Any) -> ApiObject:
    """Return the answer to a read.

    :param root: a regular expression for the answer's root element
    :raises botocore.exceptions.ClientError: for any error of AWS; NotImplemented for another root element
    """
    s3.meta.events.register(f"before-parse.s3.{operation.name}", _note_root, unique_id=f"{_HANDLER}-{operation.name}")
    answer: ApiObject = getattr(s3, operation.method)(**arguments)
    found = answer.pop(_KEY, "")
    if not re.fullmatch(root, found):
        raise not_implemented(operation.name, f"the answer is {found or 'no document'}")
    return answer


def _note_root(response_dict: ApiObject, customized_response_dict: ApiObject, **_: Any) -> None:
    # botocore merges this dictionary into the answer.
    found = _ROOT.search(response_dict.get("body") or b"")
    customized_response_dict[_KEY] = found[1].decode() if found else ""
