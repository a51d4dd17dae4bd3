# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of a run, and what a failed one means for the others. Pure.

For an object that should be there, the tasks of each step are a block of ``tasks/present.yml``. Its failure is
recorded, and the run goes on with the steps that do not depend on it; the run then ends with the first failure. The
steps of a deletion are the tasks of ``tasks/absent.yml``. The first failure ends it.
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
# The tasks of a deletion in their order, and the aspects that each removes.
DELETION_STEPS: dict[str, tuple[str, ...]] = {
    "Ensure the bucket's tags show its owner and origin": (),
    "Ensure the user of the Go operator carries this object's tags": (),
    "Ensure the user is gone": ("user",),
    "Ensure a retained bucket is no longer ours": (),
    "Ensure the bucket is empty": (),
    "Ensure the bucket is gone": ("bucket",),
    "Ensure Secret and Service are gone": ("secret", "service"),
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


def removed_before(task: str) -> list[str]:
    """The aspects that a deletion had removed when this task failed; none for a task of anything else."""
    tasks = list(DELETION_STEPS)
    before = tasks[: tasks.index(task)] if task in tasks else []
    return [aspect for done in before for aspect in DELETION_STEPS[done]]
