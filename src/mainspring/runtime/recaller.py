"""Recaller: interrupts tasks whose claims are gone, and saves the progress of running tasks."""

from typing import Final

from mainspring.backends.storage import Storage
from mainspring.exceptions import StoreUnavailable
from mainspring.maintenance.loop import Loop
from mainspring.runtime.executor import Executor
from mainspring.runtime.guard import Guard

_INTERVAL: Final = 0.5  # seconds, so that a cancelled task ends within a second
_LONG: Final = 200_000  # microseconds: shorter calls end by themselves in the meantime


class Recaller(Loop):
    """Checks whether running calls were cancelled, or given to another worker.

    The latter happens to a worker that was frozen for longer than its lease.
    """

    def __init__(self, storage: Storage, guard: Guard, executor: Executor) -> None:
        self._storage = storage
        self._guard = guard
        self._executor = executor

    def step(self, now: int) -> float:  # noqa: ARG002 # the same for all loops
        """Check the calls that have run for long."""
        if jobs := self._guard.long_running(_LONG):
            held = self._storage.claims_held(jobs)
            for job in jobs:
                if job.id not in held:
                    self._guard.cancel(job.id)
        failure: StoreUnavailable | None = None
        for notes in list(self._executor.notes.by_job.values()):
            try:
                notes.save_progress()
            except StoreUnavailable as error:  # perhaps the store refuses only this one
                failure = error
        if failure is not None:
            raise failure
        return _INTERVAL
