# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A user's access keys as ``status.accessKeys`` shows them: each with its state, its age and what happens next. Pure.

The state of a key: Current (in the Secret), Overlap (the old key, Active), InUse (the same, still used after the grace
period), Draining (the old key, Inactive), or Unmanaged (not issued by the operator).
"""

from __future__ import annotations

from datetime import datetime

from .json_types import ApiObject
from .keys import KeyPlan, Turn
from .rotation import LastUse, OldKey, Phase, Step, ends_at, timestamp

FIELD = "accessKeys"
CURRENT, OVERLAP, IN_USE, DRAINING, UNMANAGED = "Current", "Overlap", "InUse", "Draining", "Unmanaged"


def keys_now(listed: dict[str, str], recorded: str, plan: KeyPlan, turn: Turn) -> list[ApiObject]:
    """The keys as they are."""
    old = turn.old
    if old is not None and (old.id not in listed or old.id == recorded):
        old = None
    current = [_current(recorded, turn.created.get(recorded), turn)] if recorded in listed else []
    return [*current, *_others(plan, old, turn)]


def keys_after(plan: KeyPlan, turn: Turn) -> list[ApiObject]:
    """The keys after a run that executes the plan. The id of a new key is empty."""
    created = turn.now if plan.create else turn.created.get(plan.live)
    current = [_current("" if plan.create else plan.live, created, turn)] if plan.create or plan.live else []
    return [*current, *_others(plan, plan.old, turn)]


def _others(plan: KeyPlan, old: OldKey | None, turn: Turn) -> list[ApiObject]:
    unmanaged = [_entry(key, UNMANAGED, created=turn.created.get(key)) for key in plan.unmanaged]
    return [*([_old(old, plan.step, turn)] if old else []), *unmanaged]


def _current(key: str, created: datetime | None, turn: Turn) -> ApiObject:
    return _entry(key, CURRENT, created=created, expires=turn.rotation.due_at(created) if created else None)


def _old(old: OldKey, step: Step, turn: Turn) -> ApiObject:
    state = DRAINING if old.phase is Phase.DRAINING else IN_USE if step is Step.IN_USE else OVERLAP
    use = turn.last_use or LastUse()
    ends = ends_at(old, turn.rotation, step, is_kept=turn.is_kept)
    found = _entry(old.id, state, created=turn.created.get(old.id), lastUsed=use.time, expires=ends)
    if use.time:
        found |= {"lastUsedService": use.service, "lastUsedRegion": use.region}
    return found


def _entry(key: str, state: str, **times: datetime | None) -> ApiObject:
    return {"id": key, "state": state, **{name: timestamp(time) for name, time in times.items() if time}}
