"""The storage verbs on a database."""

from mainspring.backends.database.map_verbs import MapVerbs
from mainspring.backends.database.schedule_verbs import ScheduleVerbs
from mainspring.backends.database.schedule_worker_verbs import ScheduleWorkerVerbs


class DatabaseStorage(MapVerbs, ScheduleVerbs, ScheduleWorkerVerbs):
    """The verbs of one backend alias."""
