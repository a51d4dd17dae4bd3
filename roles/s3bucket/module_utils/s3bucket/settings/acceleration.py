# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Transfer acceleration: ``enableTransferAcceleration``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..setting import Call, Operation, Read, Setting, Value
from ..values import flag_of, invalid

if TYPE_CHECKING:
    from ..spec import Wanted

_PUT = Operation("put_bucket_accelerate_configuration", "s3:PutAccelerateConfiguration")


class Acceleration(Setting):
    """Suspended and never enabled are treated as equal."""

    name = "acceleration"
    field = "enableTransferAcceleration"
    order = 60
    default = False
    new_bucket = False
    read = Read(
        Operation("get_bucket_accelerate_configuration", "s3:GetAccelerateConfiguration"),
        lambda answer: answer.get("Status") == "Enabled",
    )
    writes = (_PUT,)

    def parse(self, value: object) -> bool:
        return flag_of(value, f"spec.{self.field}")

    def check(self, wanted: Wanted) -> None:
        if wanted.settings[self.name] and "." in wanted.bucket:
            raise invalid(f"spec.{self.field}", "does not work for a bucketName with a dot")

    def calls(self, value: Value) -> list[Call]:
        return [Call(_PUT, {"AccelerateConfiguration": {"Status": "Enabled" if value else "Suspended"}})]


SETTING = Acceleration()
