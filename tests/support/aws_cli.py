"""``aws SERVICE OPERATION --option value``, as the guides use the AWS CLI.

boto3 makes the call, and botocore's own models check it. The AWS CLI itself pins its botocore, so it cannot be
installed in the environment of the tests. An operation, an option or a value that AWS does not know is an error here
too.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import boto3
import jmespath
from botocore import xform_name


def main(service: str, operation: str, *words: str) -> None:
    """Make one call and print its response as JSON, or as text with ``--output text``."""
    client = boto3.client({"s3api": "s3"}.get(service, service), endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    options = dict(zip(words[::2], words[1::2], strict=True))
    query, output = options.pop("--query", ""), options.pop("--output", "json")
    name = next(name for name in client.meta.service_model.operation_names if xform_name(name, "-") == operation)
    shape = client.meta.service_model.operation_model(name).input_shape
    members = {f"--{xform_name(member, '-')}": member for member in shape.members}
    arguments = {members[option]: _value(text) for option, text in options.items()}
    answer = getattr(client, xform_name(name))(**arguments)
    answer.pop("ResponseMetadata")
    found = jmespath.search(query, answer) if query else answer
    print(_text(found) if output == "text" else json.dumps(found, default=str) if found else "")


def _value(text: str) -> Any:
    return json.loads(text) if text.startswith(("{", "[")) else text


def _text(found: Any) -> str:
    return "\t".join(map(str, found)) if isinstance(found, list) else str(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
