"""Recaller: tells running tasks whose claims are gone to end, and saves their progress."""

from typing import Final

from mainspring.backends.storage import Storage
from mainspring.exceptions import StoreUnavailable
from mainspring.maintenance.loop import Loop
from mainspring.runtime.executor import Executor
from mainspring.runtime.guard import Guard

_INTERVAL: Final = 0.5  # seconds: who cancels a task sees it end within a second
_LONG: Final = 200_000  # microseconds: what is shorter ends by itself in the meantime


class Recaller(Loop):
    """Looks whether a call that runs was cancelled, or given to another worker.

    The latter is how a worker that was frozen for longer than its lease learns what it has lost.
    """

    def __init__(self, storage: Storage, guard: Guard, executor: Executor) -> None:
        self._storage = storage
        self._guard = guard
        self._executor = executor

    def step(self, now: int) -> float:  # noqa: ARG002 # the same for all loops
        """Look at what has run for long."""
        if jobs := self._guard.long_running(_LONG):
            held = self._storage.claims_held(jobs)
            for job in jobs:
                if job.id not in held:
                    self._guard.cancel(job.id)
        failure: StoreUnavailable | None = None
        for notes in list(self._executor.notes.by_job.values()):
            try:
                notes.save_progress()
            except StoreUnavailable as error:  # it may be this one's that the store refuses
                failure = error
        if failure is not None:
            raise failure
        return _INTERVAL
