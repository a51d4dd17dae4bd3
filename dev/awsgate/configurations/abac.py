"""Attribute-based access control. moto answers 200 and stores nothing.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAbac.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAbac.html
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from ..calls import Call
from .model import Configuration, malformed, put, text_of


def _of_new_bucket(_: Call) -> Element:
    root = Element("AbacStatus")
    put(root, "Status", "Disabled")
    return root


def _accept(_: Call, root: Element) -> Element:
    if text_of(root, "Status") not in ("Enabled", "Disabled"):
        raise malformed()
    return root


CONFIGURATION = Configuration("abac", _of_new_bucket, _accept)
