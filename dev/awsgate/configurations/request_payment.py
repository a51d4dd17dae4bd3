"""Who pays for requests. moto answers 200 and stores nothing.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketRequestPayment.html
"""

from __future__ import annotations

from .model import choice

CONFIGURATION = choice("requestPayment", "RequestPaymentConfiguration", "Payer", ("BucketOwner", "Requester"))
