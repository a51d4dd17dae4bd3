"""corsRules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

_GET_ANY = {"AllowedMethods": ["GET", "HEAD"], "AllowedOrigins": ["*"]}
CASES = {
    "example": Case(
        {
            "CORSRules": [
                {
                    "AllowedMethods": ["GET", "PUT"],
                    "AllowedOrigins": ["https://photos.example.com"],
                    "AllowedHeaders": ["*"],
                    "ExposeHeaders": ["ETag"],
                    "MaxAgeSeconds": 600,
                }
            ]
        }
    ),
    "two-rules": Case(
        {
            "CORSRules": [
                {"ID": "first", "AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example.com"]},
                _GET_ANY,
            ]
        },
        {
            "corsRules": [
                {"id": "first", "allowedMethods": ["GET"], "allowedOrigins": ["https://*.example.com"]},
                {"allowedMethods": ["GET", "HEAD"], "allowedOrigins": ["*"]},
            ]
        },
    ),
}
CLEARED = "NoSuchCORSConfiguration"


def _replace(subject: Subject) -> None:
    rules = [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*"]}]
    subject.world.s3.put_bucket_cors(Bucket=subject.bucket, CORSConfiguration={"CORSRules": rules})


def _reorder(subject: Subject) -> None:
    rules = subject.world.s3.get_bucket_cors(Bucket=subject.bucket)["CORSRules"]
    configuration = {"CORSRules": [{**rule, "AllowedMethods": rule["AllowedMethods"][::-1]} for rule in rules]}
    subject.world.s3.put_bucket_cors(Bucket=subject.bucket, CORSConfiguration=configuration)


ROWS = {
    "cors-deleted": Row("cors", "corsRules", lambda s: s.world.s3.delete_bucket_cors(Bucket=s.bucket)),
    "cors-replaced": Row("cors", "corsRules", _replace),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {"cors-in-another-order": _reorder}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "cors-not-a-list": ({"corsRules": {}}, "spec.corsRules: must be a list of at most 100 rules"),
    "cors-without-origin": (
        {"corsRules": [{"allowedMethods": ["GET"]}]}, "spec.corsRules[0].allowedOrigins: is missing"
    ),
    "cors-method": (
        {"corsRules": [{"allowedMethods": ["PATCH"], "allowedOrigins": ["*"]}]},
        "spec.corsRules[0].allowedMethods: must be one of GET, PUT, POST, DELETE, HEAD",
    ),
    "cors-wildcards": (
        {"corsRules": [{"allowedMethods": ["GET"], "allowedOrigins": ["*.*"]}]},
        "spec.corsRules[0].allowedOrigins: has more wildcards",
    ),
    "cors-age": (
        {"corsRules": [{"allowedMethods": ["GET"], "allowedOrigins": ["*"], "maxAgeSeconds": -1}]},
        "spec.corsRules[0].maxAgeSeconds: must be a number of seconds",
    ),
    "cors-typo": (
        {"corsRules": [{"allowedMethods": ["GET"], "allowedOrigins": ["*"], "maxAge": 1}]},
        "spec.corsRules[0].maxAge: there is no such field: it must be one of",
    ),
}  # fmt: skip
