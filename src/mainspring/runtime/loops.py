"""The maintenance loops that every worker runs."""

from typing import TYPE_CHECKING, Final

from mainspring.backends.base import MainspringBackend
from mainspring.maintenance.finisher import Finisher
from mainspring.maintenance.loop import Maintenance
from mainspring.maintenance.pauses import Pauses
from mainspring.maintenance.pruner import Pruner
from mainspring.maintenance.rescuer import Rescuer
from mainspring.maintenance.scheduler import Scheduler
from mainspring.maintenance.stager import Stager
from mainspring.maintenance.vacuumer import Vacuumer
from mainspring.runtime import lost
from mainspring.runtime.heartbeat import Heartbeat
from mainspring.runtime.recaller import Recaller
from mainspring.runtime.schedules import schedules_to_load
from mainspring.runtime.sightings import SightingsFile

if TYPE_CHECKING:
    from mainspring.maintenance.loop import Loop
    from mainspring.runtime.worker import Worker

_PATIENCE: Final = 1.0  # seconds


class Loops:
    """The loops of one worker. The heartbeat has its own thread, so that no other delays it."""

    def __init__(self, worker: "Worker", backend: MainspringBackend) -> None:
        storage, options = backend.storage, backend.config.options
        identity = storage.identity
        self.heartbeat = Heartbeat(worker, options.lease)
        self.rescuer = Rescuer(
            storage,
            lambda: lost.find_lost(identity),
            lambda dead: lost.forget(identity, dead),
            self.heartbeat.is_steady,
            options.lease,
            # A store in memory dies together with all workers that could rescue its jobs.
            SightingsFile(identity, worker.identity.id, lambda: self.heartbeat.renewed_at)
            if backend.supports_worker
            else None,
            self._look_at_maps,
        )
        self.stager = Stager(storage)
        self.finisher = Finisher(storage)
        loops: list[Loop] = [
            self.rescuer,  # first, because short-lived processes run only this one
            Recaller(storage, worker.guard, worker.executor),
            Pauses(storage, storage.wake),
            self.stager,
            self.finisher,
            Pruner(storage, options.result_ttl),
            Vacuumer(storage),
        ]
        if not worker.options.drain:  # or the worker would never drain
            loops.append(Scheduler(backend, schedules_to_load(backend)))
        self.maintenance = Maintenance(loops, storage.close_thread)
        self._pulse = Maintenance(
            [self.heartbeat], storage.close_thread, name="mainspring-heartbeat"
        )

    def _look_at_maps(self) -> None:
        # A dead worker may have settled the last row of a map without finishing the map.
        self.finisher.look_at_all()
        self.maintenance.hurry(self.finisher)

    def start(self) -> None:
        """Start both threads."""
        self._pulse.start()
        self.maintenance.start()

    def stop(self) -> None:
        """Stop both threads after their current steps; wait up to a second for each."""
        self.maintenance.stop(_PATIENCE)
        self._pulse.stop(_PATIENCE)
