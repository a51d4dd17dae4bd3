# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of a run for an object that should be there, and which of them still run after one has failed. Pure.

The tasks of each step are a block of ``tasks/present.yml``. Its failure is recorded, and the run goes on with the steps
that do not depend on it; the run then ends with the first failure.
"""

from __future__ import annotations

from .aspects import SETTING_NAMES
from .outcome import Reason

# In their order: which aspects a step brings in order. ``rights``: bucket and user with its policy are there.
STEPS: dict[str, tuple[str, ...]] = {
    "rights": ("bucket", "user", "user_policy"),
    "settings": (*SETTING_NAMES, "tags"),
    "service": ("service",),
    "access": ("access_key", "secret"),
}
# After these no step runs. Ownership is in doubt, or every further request would fail, or make it worse.
STOPS = (
    Reason.CONFLICT,
    Reason.BUCKET_NAME_TAKEN,
    Reason.CREDENTIALS_INVALID,
    Reason.AWS_UNREACHABLE,
    Reason.THROTTLED,
)


def skipped_after(step: str, reason: Reason, *, has_bucket: bool) -> list[str]:
    """The steps that do not run, or did not succeed, because a step failed: itself first.

    :param has_bucket: whether the bucket was there before the run
    """
    later = list(STEPS)[list(STEPS).index(step) :]
    if reason in STOPS:
        return later
    if step != "rights":
        return [step]
    # A key is issued only for a user that has its rights.
    return ["rights", "access"] if has_bucket else ["rights", "settings", "access"]


def aspects_of(steps: list[str]) -> list[str]:
    """The aspects that these steps bring in order."""
    return [aspect for step in steps for aspect in STEPS[step]]
