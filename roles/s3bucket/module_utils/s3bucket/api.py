# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names by which Kubernetes knows S3 objects, as ``crds/s3s.agill.apps.yaml`` has them. The only place in code."""

from __future__ import annotations

GROUP, VERSION, KIND, PLURAL = "agill.apps", "v1alpha1", "S3", "s3s"
API_VERSION = f"{GROUP}/{VERSION}"
