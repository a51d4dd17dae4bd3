# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The account regional namespace of bucket names: the argument that CreateBucket needs for a name in it.

Without the argument AWS returns MissingNamespaceHeader at every try.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/gpbucketnamespaces.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .json_types import ApiObject, AwsClient
from .spec import Wanted

_VALUE = "account-regional"
_HEADER = "x-amz-bucket-namespace"


@contextmanager
def namespace_arguments(s3: AwsClient, wanted: Wanted) -> Iterator[dict[str, str]]:
    """The argument of ``create_bucket`` that names the namespace; none for a name outside the namespace.

    A botocore from before 2026 does not know the argument. Within this context such a botocore sends the header
    instead.
    """
    if wanted.namespace is None:
        yield {}
    elif "BucketNamespace" in s3.meta.service_model.operation_model("CreateBucket").input_shape.members:
        yield {"BucketNamespace": _VALUE}
    else:
        s3.meta.events.register("before-call.s3.CreateBucket", _add_header)
        try:
            yield {}
        finally:
            s3.meta.events.unregister("before-call.s3.CreateBucket", _add_header)


def _add_header(params: ApiObject, **_: Any) -> None:
    params["headers"][_HEADER] = _VALUE
