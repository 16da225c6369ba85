"""The maintenance loops that every worker turns."""

from typing import TYPE_CHECKING

from mainspring.backends.base import MainspringBackend
from mainspring.maintenance.finisher import Finisher
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

if TYPE_CHECKING:
    from mainspring.maintenance.loop import Loop
    from mainspring.runtime.worker import Worker


class Loops:
    """Those of one worker."""

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
        )
        self.stager = Stager(storage)
        self.finisher = Finisher(storage)
        self.all: list[Loop] = [
            self.heartbeat,
            Recaller(storage, worker.guard, worker.executor),
            Pauses(storage, storage.wake),
            self.rescuer,
            self.stager,
            self.finisher,
            Pruner(storage, options.result_ttl),
            Vacuumer(storage),
        ]
        if not worker.options.drain:  # or it would not come to an end
            self.all.append(Scheduler(backend, schedules_to_load(backend)))
