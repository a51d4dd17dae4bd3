# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings of a bucket, one file each, in the order in which they are read, compared and written.

``make generate`` lists the files of this folder here, because Ansible packs a module only with what its imports name.
"""

from __future__ import annotations

from ..setting import Setting

# begin of generated lines: imports
from .abac import SETTING as _ABAC
from .acceleration import SETTING as _ACCELERATION
from .acl import SETTING as _ACL
from .analytics import SETTING as _ANALYTICS
from .cors import SETTING as _CORS
from .encryption import SETTING as _ENCRYPTION
from .intelligent_tiering import SETTING as _INTELLIGENT_TIERING
from .inventory import SETTING as _INVENTORY
from .lifecycle import SETTING as _LIFECYCLE
from .logging import SETTING as _LOGGING
from .metadata_tables import SETTING as _METADATA_TABLES
from .metrics import SETTING as _METRICS
from .notifications import SETTING as _NOTIFICATIONS
from .object_lock import SETTING as _OBJECT_LOCK
from .object_lock_retention import SETTING as _OBJECT_LOCK_RETENTION
from .ownership import SETTING as _OWNERSHIP
from .policy import SETTING as _POLICY
from .public_access_block import SETTING as _PUBLIC_ACCESS_BLOCK
from .replication import SETTING as _REPLICATION
from .requester_pays import SETTING as _REQUESTER_PAYS
from .versioning import SETTING as _VERSIONING
from .website import SETTING as _WEBSITE

# end of generated lines: imports

_FOUND: tuple[Setting, ...] = (
    # begin of generated lines: list
    _ABAC,
    _ACCELERATION,
    _ACL,
    _ANALYTICS,
    _CORS,
    _ENCRYPTION,
    _INTELLIGENT_TIERING,
    _INVENTORY,
    _LIFECYCLE,
    _LOGGING,
    _METADATA_TABLES,
    _METRICS,
    _NOTIFICATIONS,
    _OBJECT_LOCK,
    _OBJECT_LOCK_RETENTION,
    _OWNERSHIP,
    _POLICY,
    _PUBLIC_ACCESS_BLOCK,
    _REPLICATION,
    _REQUESTER_PAYS,
    _VERSIONING,
    _WEBSITE,
    # end of generated lines: list
)
ALL = tuple(sorted(_FOUND, key=lambda setting: (setting.order, setting.name)))
BY_NAME = {setting.name: setting for setting in ALL}
