# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of the S3 API in Kubernetes, as in ``crds/s3s.agill.apps.yaml``. No other code repeats them."""

from __future__ import annotations

GROUP, VERSION, KIND, PLURAL = "agill.apps", "v1alpha1", "S3", "s3s"
API_VERSION = f"{GROUP}/{VERSION}"
