"""The demo's calls: enqueueing them, counting the finished ones, reading the results."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import batched
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from django.db import transaction
from django.db.models import Count

from mainspring.core.jobs import State
from mainspring.core.results import TaskResult
from mainspring.demo.files import SourceFile

if TYPE_CHECKING:
    from mainspring.backends.base import MainspringBackend
    from mainspring.core.tasks import Task

_TOGETHER: Final = 1000


class Progress(NamedTuple):
    """How far the calls are."""

    finished: int
    failed: int
    """Of those that are finished."""


class Calls:
    """One call of the project's task for each file. Needs the project's settings in force."""

    def __init__(self) -> None:
        self._task: Task[[str], dict[str, int]] = import_module("sources.tasks").count_source
        self._storage = cast("MainspringBackend", self._task.get_backend()).storage
        self._ids: list[str] = []

    def count_workers(self) -> int:
        """Return how many worker processes are ready."""
        return len(self._storage.stats().workers)

    def enqueue(self, files: Sequence[SourceFile], check: Callable[[], None]) -> None:
        """Enqueue a call for each file, a thousand in a transaction; ``check`` may raise."""
        for some in batched(files, _TOGETHER):
            check()
            with transaction.atomic():
                self._ids += [self._task.enqueue(file.path).id for file in some]

    def progress(self) -> Progress:
        """Count the finished calls, in one query."""
        from mainspring.backends.database.models import StoredJob

        by_state = StoredJob.objects.values_list("state").annotate(Count("id"))
        counts = {State(state): number for state, number in by_state}
        failed = counts.get(State.FAILED, 0)
        return Progress(counts.get(State.SUCCESSFUL, 0) + failed, failed)

    def results(self, check: Callable[[], None]) -> Iterator[TaskResult[Any]]:
        """Yield all results; ``check`` may raise."""
        for some in batched(self._ids, _TOGETHER):
            check()
            yield from map(TaskResult.from_job, self._storage.get_results(some))
