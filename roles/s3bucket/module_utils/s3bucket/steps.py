# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of a run, and the effect of a failed step on the others. Pure.

For a present object, the tasks of each step are a block in ``tasks/present.yml``. A failure is recorded, and the run
continues with the steps that do not depend on the failed one. The run then ends with the first failure. For a deletion,
the steps are the tasks of ``tasks/absent.yml``, or the only one of ``tasks/absent_plain.yml``. The first failure ends
the run.
"""

from __future__ import annotations

from .aspects import SETTING_NAMES
from .outcome import Reason

# The steps in their order, and the aspects that each repairs. ``rights``: bucket, users and
# the first user's policy exist. ``removal``: users that the spec no longer has.
# ``users``: additional users with their policies. ``also_uses``: the policies for buckets of other objects.
STEPS: dict[str, tuple[str, ...]] = {
    "rights": ("bucket", "user", "user_policy"),
    "settings": (*SETTING_NAMES, "tags"),
    "service": ("service",),
    "removal": ("user", "secret"),
    "users": ("user", "user_policy", "access_key", "secret"),
    "also_uses": ("user_policy",),
    "access": ("access_key", "secret"),
    "role": ("role",),
}
# The tasks of a deletion with additional steps (absent.yml) in their order, and the aspects that each removes. A task
# that removes several has those that it removed before it failed in its result.
DELETION_STEPS: dict[str, tuple[str, ...]] = {
    "Ensure the bucket's tags show its owner and origin": (),
    "Ensure the user of the Go operator carries this object's tags": (),
    "Ensure the users are gone": ("user",),
    "Ensure ServiceAccounts do not name the role": (),
    "Ensure ServiceAccounts have no association with the role": (),
    "Ensure the role is gone": ("role",),
    "Ensure a retained bucket is no longer managed": (),
    "Ensure bucket, Secrets and Service are gone": ("bucket", "secret", "service"),
}
# After these reasons no step runs: ownership is in doubt, or every further request would fail or make it worse.
STOPS = (
    Reason.CONFLICT,
    Reason.BUCKET_NAME_TAKEN,
    Reason.CREDENTIALS_INVALID,
    Reason.AWS_UNREACHABLE,
    Reason.THROTTLED,
)
# The steps about one user or the role. Whether something else is owned is not in doubt after a conflict in one of them.
_OF_ONE = ("removal", "users", "also_uses", "access", "role")


def is_stopping(step: str, reason: Reason) -> bool:
    """Whether no other step runs after a failure."""
    return reason.is_general if step in _OF_ONE else reason in STOPS


def skipped_after(step: str, reason: Reason, *, has_bucket: bool) -> list[str]:
    """The steps that do not run, or did not succeed, because a step failed. The failed step is the first of them.

    :param has_bucket: whether the bucket existed before the run
    """
    later = list(STEPS)[list(STEPS).index(step) :]
    if is_stopping(step, reason):
        return later
    if step != "rights":
        return [step]
    # A key is created only for a user that has its rights. Additional users of an existing bucket have their rights.
    return ["rights", "access"] if has_bucket else ["rights", "settings", "users", "access", "role"]


def aspects_of(steps: list[str]) -> list[str]:
    """The aspects that these steps repair."""
    return list(dict.fromkeys(aspect for step in steps for aspect in STEPS[step]))


def removed_before(task: str) -> list[str]:
    """The aspects that a deletion had removed when this task failed; empty for a task of another run."""
    tasks = list(DELETION_STEPS)
    before = tasks[: tasks.index(task)] if task in tasks else []
    return [aspect for done in before for aspect in DELETION_STEPS[done]]
