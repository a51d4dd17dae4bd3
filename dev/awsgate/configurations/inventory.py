"""Configurations of S3 Inventory. moto stores them, but returns other fields, and deletes the bucket on a DELETE.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketInventoryConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_InventoryConfiguration.html
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from botocore.loaders import create_loader

from .. import listed
from ..calls import Call
from .model import Configuration, malformed, not_set, text_of

_QUERY = "inventory"
_REQUIRED = ("Id", "IsEnabled", "IncludedObjectVersions", "Schedule", "Destination")
_CHOICES = {
    "IsEnabled": ("true", "false"),
    "IncludedObjectVersions": ("All", "Current"),
    "Schedule/Frequency": ("Daily", "Weekly"),
    "Destination/S3BucketDestination/Format": ("CSV", "ORC", "Parquet"),
}


def _accept(call: Call, root: Element) -> Element:
    if root.tag != "InventoryConfiguration":
        raise malformed()
    listed.check_children(root, _REQUIRED, ("Filter", "OptionalFields"))
    if any(text_of(root, path) not in choices for path, choices in _CHOICES.items()):
        raise malformed()
    for found in root.iter("Filter"):
        listed.check_children(found, ("Prefix",))
    _check_fields([item.text or "" for item in root.iter("Field")])
    for target in root.iter("S3BucketDestination"):
        listed.check_children(target, ("Bucket", "Format"), ("AccountId", "Prefix", "Encryption"))
        _check_encryption(target)
        # AWS checks the document first, then the id, then the target.
        listed.check_id(call, root, _QUERY)
        listed.check_destination(call, target)
    return root


def _check_fields(names: list[str]) -> None:
    known = create_loader().load_service_model("s3", "service-2")["shapes"]["InventoryOptionalField"]["enum"]
    if not set(names) <= set(known) or len(names) != len(set(names)):
        raise malformed()


def _check_encryption(target: Element) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_InventoryEncryption.html
    for encryption in target.iter("Encryption"):
        listed.check_children(encryption, (), ("SSE-S3", "SSE-KMS"))
        if len(encryption) != 1:
            raise malformed()
        for kms in encryption.iter("SSE-KMS"):
            listed.check_children(kms, ("KeyId",))


CONFIGURATION = Configuration(
    _QUERY, not_set("NoSuchConfiguration"), _accept, list_root="ListInventoryConfigurationsResult"
)
