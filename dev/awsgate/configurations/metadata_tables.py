"""Metadata tables. moto answers 500 to a PUT, and deletes the bucket on ``DELETE ?metadataConfiguration``.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketMetadataConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketMetadataConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_UpdateBucketMetadataInventoryTableConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_UpdateBucketMetadataJournalTableConfiguration.html

The tables are created after the answer: each read shows the state after that of the read before. The encryption that a
request names is not returned.
"""

from __future__ import annotations

import copy
from xml.etree.ElementTree import Element, SubElement

from ..calls import Call
from ..rules import find_bucket
from . import stored
from .model import Configuration, RefusalError, invalid, malformed, not_set, put, text_of

_QUERY = "metadataConfiguration"
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_RecordExpiration.html
_MIN_DAYS, _MAX_DAYS = 7, 2147483647
_STATES = ("ENABLED", "DISABLED")
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_InventoryTableConfigurationResult.html (TableStatus): after each
# state the one that follows. The journal table has no backfilling.
_NEXT = {
    "JournalTableConfigurationResult": {"CREATING": "ACTIVE"},
    "InventoryTableConfigurationResult": {"CREATING": "BACKFILLING", "BACKFILLING": "ACTIVE"},
}
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_ErrorDetails.html
_ERRORS = {
    "JournalTableConfigurationResult": (
        "AccessDeniedCreatingResources",
        "You don't have sufficient permissions to create the required resources.",
    ),
    "InventoryTableConfigurationResult": (
        "JournalTableNotAvailable",
        "The journal table that the inventory table relies on has a FAILED status.",
    ),
}
# Buckets whose tables AWS could not create.
FAILED_TABLES: set[str] = set()


def _accept(call: Call, root: Element) -> Element:
    journal, inventory = root.find("JournalTableConfiguration"), root.find("InventoryTableConfiguration")
    if root.tag != "MetadataConfiguration" or journal is None:
        raise malformed()
    if stored(call.bucket, _QUERY):
        # The documentation does not name the code.
        raise RefusalError(409, "MetadataConfigurationAlreadyExists", "The metadata configuration already exists.")
    result = Element("GetBucketMetadataConfigurationResult")
    found = SubElement(result, "MetadataConfigurationResult")
    destination = SubElement(found, "DestinationResult")
    put(destination, "TableBucketType", "aws")
    put(destination, "TableBucketArn", _table_bucket(call))
    put(destination, "TableNamespace", f"b_{call.bucket}")
    shown = SubElement(found, "JournalTableConfigurationResult")
    _add_table(call, shown, "journal")
    shown.append(_expiration_in(journal))
    if inventory is not None:
        _set_inventory(call, SubElement(found, "InventoryTableConfigurationResult"), inventory)
    return result


def _table_bucket(call: Call) -> str:
    found = find_bucket(call.bucket)
    account, region = (found[0], found[1].region_name) if found else ("", "")
    return f"arn:aws:s3tables:{region}:{account}:bucket/aws-s3"


def _add_table(call: Call, shown: Element, name: str) -> None:
    put(shown, "TableStatus", "CREATING")
    put(shown, "TableName", name)
    # In AWS the last part is a UUID.
    put(shown, "TableArn", f"{_table_bucket(call)}/table/{call.bucket}-{name}")


def _expiration_in(journal: Element) -> Element:
    expiration = journal.find("RecordExpiration")
    if expiration is None or text_of(expiration, "Expiration") not in _STATES:
        raise malformed()
    days = text_of(expiration, "Days")
    is_number = days.isdecimal() and _MIN_DAYS <= int(days) <= _MAX_DAYS
    if text_of(expiration, "Expiration") == "ENABLED" and not is_number:
        raise invalid(f"Days must be a number from {_MIN_DAYS} to {_MAX_DAYS}")
    return expiration


def _set_inventory(call: Call, shown: Element, given: Element) -> None:
    state = text_of(given, "ConfigurationState")
    if state not in _STATES:
        raise malformed()
    if text_of(shown, "ConfigurationState") == state:
        return
    shown.clear()
    put(shown, "ConfigurationState", state)
    if state == "ENABLED":
        _add_table(call, shown, "inventory")


def _update_journal(_: Call, root: Element, given: Element) -> None:
    shown = root.find(".//JournalTableConfigurationResult")
    if shown is None or given.tag != "JournalTableConfiguration":
        raise malformed()
    expiration = _expiration_in(given)
    shown[:] = [child for child in shown if child.tag != "RecordExpiration"]
    shown.append(expiration)


def _update_inventory(call: Call, root: Element, given: Element) -> None:
    found = root.find("MetadataConfigurationResult")
    if found is None or given.tag != "InventoryTableConfiguration":
        raise malformed()
    shown = found.find("InventoryTableConfigurationResult")
    _set_inventory(call, SubElement(found, "InventoryTableConfigurationResult") if shown is None else shown, given)


def _show(call: Call, root: Element) -> Element:
    shown = copy.deepcopy(root)
    for name, following in _NEXT.items():
        table, status = shown.find(f".//{name}"), root.find(f".//{name}/TableStatus")
        if table is None or status is None:
            continue
        if call.bucket in FAILED_TABLES:
            _fail(table)
        status.text = following.get(status.text or "", status.text)
    return shown


def _fail(table: Element) -> None:
    code, message = _ERRORS[table.tag]
    for status in table.findall("TableStatus"):
        status.text = "FAILED"
    failure = SubElement(table, "Error")
    put(failure, "ErrorCode", code)
    put(failure, "ErrorMessage", message)


_not_set = not_set("MetadataConfigurationNotFound", "The metadata table configuration does not exist.")


def _delete(call: Call) -> None:
    if not stored(call.bucket, _QUERY):
        _not_set(call)


CONFIGURATION = Configuration(
    _QUERY,
    _not_set,
    _accept,
    _delete,
    parts={"metadataInventoryTable": _update_inventory, "metadataJournalTable": _update_journal},
    show=_show,
)
