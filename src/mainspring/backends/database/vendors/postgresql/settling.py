"""Settle outcomes that the first statement missed, and notify waiting callers."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.postgresql.text import array, columns
from mainspring.core.jobs import Outcome, State

SETTLED: Final = "mainspring_settled"
"""The channel that notifies callers of results; the payload is ids, or ``*`` for very many."""

_MOST_IDS: Final = 200  # in a payload, which takes up to 8,000 bytes


def payload(ids: Sequence[str]) -> str:
    """Return the payload of a notification about these results."""
    return ",".join(ids) if len(ids) <= _MOST_IDS else "*"


def tell_ended(cursor: Any, outcomes: Sequence[Outcome]) -> None:
    """Notify the callers that wait for finished jobs."""
    if ended := [outcome.id for outcome in outcomes if outcome.state >= State.SUCCESSFUL]:
        cursor.execute(statement("postgresql", "notify"), (SETTLED, payload(ended)))


def unsettled(outcomes: Sequence[Outcome], settled: Collection[str]) -> list[Outcome]:
    """Return the outcomes that may not be settled, if only those with the ids ``settled`` are."""
    found = [outcome for outcome in outcomes if outcome.id not in settled]
    if len(found) + len(settled) == len(outcomes):
        return found
    return list(outcomes)  # some ids came twice: only the stored row shows which outcome it has


def settle(cursor: Any, outcomes: Sequence[Outcome]) -> list[str]:
    """Write outcomes and notify callers; return the ids of those whose claims no longer hold."""
    cursor.execute(statement("postgresql", "settle"), columns(outcomes))
    lost: list[str] = []
    if cursor.rowcount != len(outcomes):
        settled = {job_id for (job_id,) in cursor.fetchall()}
        lost = settle_again(cursor, unsettled(outcomes, settled))
    tell_ended(cursor, outcomes)
    return lost


def settle_again(cursor: Any, outcomes: Sequence[Outcome]) -> list[str]:
    """Settle what ``settle`` did not find; return the ids of outcomes whose claims no longer hold.

    ``settle`` misses rows that others are updating at that moment, even if the claims hold. If a
    row already matches its outcome, we have stored it, and the answer was lost.
    """
    ids = array([outcome.id for outcome in outcomes])
    cursor.execute(statement("postgresql", "settled"), (ids,))
    stored = {row[0]: row[1:] for row in cursor.fetchall()}
    missed: dict[str, Outcome] = {}
    lost: list[str] = []
    for one in outcomes:
        told = (one.state, one.available_at, one.last_attempted_at, one.worker_ids)
        if stored.get(one.id) == told:
            continue
        if one.id in stored or one.id in missed:
            lost.append(one.id)
        else:
            missed[one.id] = one
    if not missed:
        return lost
    cursor.execute(statement("postgresql", "settle_again"), columns(list(missed.values())))
    for (job_id,) in cursor.fetchall():
        missed.pop(job_id)
    return lost + list(missed)
