# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The type of decoded JSON: answers of Kubernetes and AWS, and the content of CRs, policies and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any JSON value."""

JsonObject: TypeAlias = dict[str, Json]
"""A JSON object."""

JsonMapping: TypeAlias = Mapping[str, Json]
"""A JSON object that the code only reads."""

ApiObject: TypeAlias = dict[str, Any]
"""An object of Kubernetes, or an answer of AWS. The API documents its fields, and code reads them by name."""

AwsClient: TypeAlias = Any
"""A client of boto3, which generates its methods at run time from AWS's service descriptions."""
