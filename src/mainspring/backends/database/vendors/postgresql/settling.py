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
    """Return what is told of these results."""
    return ",".join(ids) if len(ids) <= _MOST_IDS else "*"


def tell_ended(cursor: Any, outcomes: Sequence[Outcome]) -> None:
    """Notify the callers that wait for finished jobs."""
    if ended := [outcome.id for outcome in outcomes if outcome.state >= State.SUCCESSFUL]:
        cursor.execute(statement("postgresql", "notify"), (SETTLED, payload(ended)))


def unsettled(outcomes: Sequence[Outcome], settled: Collection[str]) -> list[Outcome]:
    """Return the outcomes that were perhaps not settled, where fewer were than there are."""
    found = [outcome for outcome in outcomes if outcome.id not in settled]
    if len(found) + len(settled) == len(outcomes):
        return found
    return list(outcomes)  # some came twice: which one was stored, only what is stored can tell


def settle(cursor: Any, outcomes: Sequence[Outcome]) -> list[str]:
    """Write outcomes and tell of them; return the ids of those whose claims hold no more."""
    cursor.execute(statement("postgresql", "settle"), columns(outcomes))
    lost: list[str] = []
    if cursor.rowcount != len(outcomes):
        settled = {job_id for (job_id,) in cursor.fetchall()}
        lost = settle_again(cursor, unsettled(outcomes, settled))
    tell_ended(cursor, outcomes)
    return lost


def settle_again(cursor: Any, outcomes: Sequence[Outcome]) -> list[str]:
    """Settle what ``settle`` did not find; return the ids of outcomes whose claims hold no more.

    A row that somebody has updated at that moment, ``settle`` misses though its claim holds. What
    is stored as the outcome says was stored by us, and the answer did not come.
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
