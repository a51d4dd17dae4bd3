"""Attribute-based access control. moto answers 200 and stores nothing.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAbac.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAbac.html
"""

from __future__ import annotations

from .model import choice

CONFIGURATION = choice("abac", "AbacStatus", "Status", ("Disabled", "Enabled"))
