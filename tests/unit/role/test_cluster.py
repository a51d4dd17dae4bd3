"""The role's errors about an API server that it cannot reach."""

from __future__ import annotations

import ssl

import pytest
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError, ReadTimeoutError, SSLError

from s3bucket.cluster import _unreachable


def certificate_error() -> ssl.SSLCertVerificationError:
    """The exception that OpenSSL raises for a certificate of another CA."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def wrapped(error: Exception) -> ApiException:
    """The form in which the client library reports a TLS error: rest.py, RESTClientObject.request."""
    try:
        try:
            raise error
        except SSLError as caught:
            raise ApiException(status=0, reason=f"{type(caught).__name__}\n{caught}")  # noqa: B904 - as it does
    except ApiException as found:
        return found


@pytest.mark.parametrize(
    "error",
    [
        wrapped(SSLError(certificate_error())),
        MaxRetryError(None, "/api", SSLError(certificate_error())),  # type: ignore[arg-type]
    ],
    ids=["of-the-library", "of-urllib3"],
)
def test_certificate_that_is_not_accepted_is_reported_with_the_variables(error: Exception) -> None:
    message = _unreachable(error).message
    assert "the certificate of the API server is not accepted (self-signed certificate)" in message
    assert "s3bucket_ca_cert" in message
    assert "s3bucket_validate_certs: false" in message


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (wrapped(SSLError("wrong version number")), "SSLError"),
        (ReadTimeoutError(None, "/api", "timed out"), "ReadTimeoutError"),  # type: ignore[arg-type]
    ],
    ids=["tls", "timeout"],
)
def test_other_error_is_reported_by_its_kind(error: Exception, name: str) -> None:
    assert _unreachable(error).message == f"failed to reach Kubernetes: {name}"
