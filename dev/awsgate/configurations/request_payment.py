"""Who pays for requests. moto answers 200 and stores nothing.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketRequestPayment.html
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from ..calls import Call
from .model import Configuration, malformed, put, text_of


def _of_new_bucket(_: Call) -> Element:
    root = Element("RequestPaymentConfiguration")
    put(root, "Payer", "BucketOwner")
    return root


def _accept(_: Call, root: Element) -> Element:
    if text_of(root, "Payer") not in ("Requester", "BucketOwner"):
        raise malformed()
    return root


CONFIGURATION = Configuration("requestPayment", _of_new_bucket, _accept)
