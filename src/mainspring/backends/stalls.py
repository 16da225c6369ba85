"""Detect waits that can never end: refuse them if that is certain, else log a warning."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from mainspring.backends.locks import renewed
from mainspring.backends.storage import Storage
from mainspring.core.chunks import parse_call_id
from mainspring.core.jobs import Job, State
from mainspring.exceptions import StoreUnavailable

logger = logging.getLogger("mainspring")

_FIRST_LOOK: Final = 1.0  # seconds before the first check of a wait
_NEXT_LOOK: Final = 2.0
_PATIENCE: Final = 1.0  # seconds without a renewal, in addition to a whole lease


class Awaited(NamedTuple):
    """The result or map that a caller waits for."""

    name: str
    """The name in messages: "Result …"."""
    watched_id: str | None
    """The id of the job or map to watch in the store; None if the row of a call may change."""
    map_id: str | None = None
    """The id of the map, or of the map that the call belongs to."""


def awaited_result(result_id: str) -> Awaited:
    """Return the ``Awaited`` for a result."""
    call = parse_call_id(result_id)
    if call is None:
        return Awaited(f"Result {result_id}", result_id)
    return Awaited(f"Result {result_id}", None, call[0])


def awaited_map(map_id: str) -> Awaited:
    """Return the ``Awaited`` for a map."""
    return Awaited(f"Map {map_id}", map_id, map_id)


class Slot(NamedTuple):
    """The slot in which a waiting task runs."""

    lane: object
    """Identifies a group of interchangeable slots."""
    size: int
    """The number of slots in the group."""
    job: Job
    """The job that runs in the slot."""


slot_finders: Final[set[Callable[[], Slot | None]]] = set()
"""By worker of this process: a function that finds the slot of the calling sync task."""

async_slot: Final[ContextVar[Slot | None]] = ContextVar("mainspring_slot", default=None)
"""The slot of the async task in this context."""

_WAITING: Final = frozenset({State.READY, State.HELD, State.SCHEDULED})

# By lane: the waiting tasks and what each waits for.
_parents: Final[WeakKeyDictionary[object, dict[int, tuple[Job, Awaited]]]] = WeakKeyDictionary()
_telling: Final = renewed(threading.Lock())
_told_lanes: Final[WeakSet[object]] = WeakSet()
_told_stores: Final[WeakSet[Storage]] = WeakSet()


class Stall:
    """One wait in progress."""

    def __init__(self, storage: Storage, awaited: Awaited) -> None:
        self._storage = storage
        self._awaited = awaited
        self._slot = _find_slot()
        self._heard_at = time.monotonic()
        self._next_look = 0.0
        self._is_long = False
        self._heard: Mapping[str, int] = {}

    @property
    def seconds_to_check(self) -> float:
        """Seconds until the next :meth:`check` is due."""
        return max(self._next_look - time.monotonic(), 0)

    @contextmanager
    def known(self) -> Iterator[None]:
        """Register this wait during the block, so that other waits see it."""
        if self._slot is None:
            yield
            return
        parents = _parents.setdefault(self._slot.lane, {})
        parents[id(self)] = self._slot.job, self._awaited
        try:
            yield
        finally:
            del parents[id(self)]

    def check(self) -> None:
        """Check from time to time whether the wait can end.

        Raises ``TransactionManagementError`` if the caller's transaction hides what it waits for.
        Logs a warning if no worker is alive, or if waiting tasks occupy all slots of this process.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        if not self._next_look:
            self._storage.require_visible(*self._awaited)
            self._next_look = now + _FIRST_LOOK
            return
        self._next_look = now + _NEXT_LOOK
        with suppress(StoreUnavailable):  # the next look will meet the same error
            self._storage.require_visible(*self._awaited)
            self._look_for_workers(now)
            if self._is_long:  # a call enqueued just now may wait for a moment
                self._look_for_slots()
            self._is_long = True

    def _look_for_workers(self, now: float) -> None:
        pulse = self._storage.pulse()
        if pulse is None:
            return
        if pulse.heard and pulse.heard != self._heard:
            if self._heard:  # a worker has renewed its lease since
                _told_stores.discard(self._storage)
            self._heard, self._heard_at = pulse.heard, now
            return
        silence = now - self._heard_at
        if (pulse.heard and silence < pulse.lease + _PATIENCE) or self._storage in _told_stores:
            return
        _told_stores.add(self._storage)
        logger.warning(
            "%s is waited for, but no worker of %s is alive: %s. Start one with "
            "'manage.py mainspring worker'.",
            self._awaited.name,
            self._storage.describe(),
            f"none of the {len(pulse.heard)} registered has renewed its lease for {silence:.0f} s"
            if pulse.heard
            else "none is registered",
        )

    def _look_for_slots(self) -> None:
        slot = self._slot
        if slot is None or slot.lane in _told_lanes:
            return
        parents = list(_parents[slot.lane].values())
        ids = sorted({job.id for job, _ in parents})
        if len(ids) < slot.size or self._has_started():
            return
        with _telling:  # if two threads detect the same, one logs it
            if slot.lane in _told_lanes:
                return
            _told_lanes.add(slot.lane)
        waits = [f"{job.task_path} id={job.id} for {awaited.name}" for job, awaited in parents]
        logger.warning(
            "All slots of a worker process (%d) are taken by tasks that wait for others: %s. They "
            "never end unless another worker has a free slot. Give the worker more slots, "
            "or let a task end and enqueue the next one.",
            slot.size,
            "; ".join(sorted(waits)),
            extra={"task_ids": ids},
        )

    def _has_started(self) -> bool:
        _, watched_id, map_id = self._awaited
        if map_id is not None:
            return bool(self._storage.rows_in(map_id, [State.RUNNING], 1))
        jobs = [] if watched_id is None else self._storage.get_results([watched_id])
        return not jobs or jobs[0].state not in _WAITING


def _find_slot() -> Slot | None:
    if (slot := async_slot.get()) is not None:
        return slot
    for find in list(slot_finders):
        if (slot := find()) is not None:
            return slot
    return None
