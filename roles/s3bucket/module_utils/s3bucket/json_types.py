# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The type of decoded JSON: what Kubernetes and AWS answer, and what CRs, policies and results hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any JSON value."""

JsonObject: TypeAlias = dict[str, Json]
"""A JSON object."""

JsonMapping: TypeAlias = Mapping[str, Json]
"""A JSON object that is only read."""

ApiObject: TypeAlias = dict[str, Any]
"""An object of Kubernetes, or an answer of AWS: the API documents what is in it, and it is read by name."""

AwsClient: TypeAlias = Any
"""A client of boto3, which makes the methods of its clients at run time from AWS's service descriptions."""
