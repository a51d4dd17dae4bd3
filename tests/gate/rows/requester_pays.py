"""Rows of requesterPays."""

from __future__ import annotations

from tests.gate.rows import Row

_PAYER = ("put_bucket_request_payment", "get_bucket_request_payment")
ROWS = {
    "requester": Row(
        _PAYER[0], {"RequestPaymentConfiguration": {"Payer": "Requester"}}, _PAYER[1], {"Payer": "Requester"}
    ),
    "nobody": Row(_PAYER[0], {"RequestPaymentConfiguration": {"Payer": "Nobody"}}, _PAYER[1], "MalformedXML"),
}
