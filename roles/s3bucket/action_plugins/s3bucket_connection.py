# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of s3bucket_info, for playbooks that make requests to Kubernetes before they run the role."""

from __future__ import annotations

from ansible.plugins.loader import action_loader

ActionModule = action_loader.get("s3bucket_info", class_only=True)
