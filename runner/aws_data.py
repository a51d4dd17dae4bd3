"""botocore's data files without what no client of the operator needs: a client then takes a third of the memory.

The files are its descriptions of services, with documentation for each operation and field, and the legacy endpoints of
300 services. A client has no documentation and sends the same requests. Used by the operator and by the warm process.

The operator's clients read times in a faster way, too.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import botocore.session
from botocore.loaders import JSONFileLoader, create_loader
from botocore.utils import parse_timestamp

SERVICES = frozenset({"eks", "events", "iam", "s3", "s3-control", "sqs", "sts", "tagging"})
"""The services that the operator and the role use, by their names in ``endpoints.json``."""
# As IAM and S3 write a time. datetime reads other forms as well, some of them differently than botocore.
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)
_OPENERS: dict[str, Callable[[Path], Any]] = {".json": lambda path: path.open("rb"), ".json.gz": gzip.open}


class SmallFileLoader(JSONFileLoader):  # type: ignore[misc] # botocore has no types
    """Reads a data file, with plain dicts, equal texts as one, and without documentation."""

    def load_file(self, file_path: str) -> dict[str, Any] | None:
        """The content of a file, of which the path has no extension; None when there is none."""
        for extension, open_file in _OPENERS.items():
            path = Path(f"{file_path}{extension}")
            if path.is_file():
                with open_file(path) as file:
                    found = json.loads(file.read(), object_hook=_reduce)
                return _of_services(found) if path.stem == "endpoints" else found
        return None


def make_session() -> botocore.session.Session:
    """A session of botocore that reads its data files in this way. boto3 would take 2 MB more for what is not used."""
    session = botocore.session.get_session()
    loader = create_loader(session.get_config_variable("data_path"))
    loader.file_loader = SmallFileLoader()
    session.register_component("data_loader", loader)
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_time)
    return session


def read_time(value: object) -> datetime:
    """A time in an answer, as botocore reads it.

    botocore takes 0.1 ms for each, and a check needs two: of its user in the page of all, and of the user's key.

    :raises ValueError: when it is none
    """
    if isinstance(value, str) and _UTC.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            # As the 60th second of a minute: botocore decides.
            pass
    found: datetime = parse_timestamp(value)
    return found


def _reduce(item: dict[str, Any]) -> dict[str, Any]:
    # Of a field that is called so the value is a description, and no text.
    if isinstance(item.get("documentation"), str):
        item["documentation"] = ""
    # Few texts are there once: most are names of shapes.
    for name, value in item.items():
        if isinstance(value, str):
            item[name] = sys.intern(value)
    return item


def _of_services(endpoints: dict[str, Any]) -> dict[str, Any]:
    for partition in endpoints.get("partitions", []):
        services = partition.get("services", {})
        partition["services"] = {name: item for name, item in services.items() if name in SERVICES}
    return endpoints
