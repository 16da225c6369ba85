"""The tasks that a worker knows: how to call them and by which policy, looked up once for each."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final

from mainspring.core import registry
from mainspring.core.calls import Call
from mainspring.core.chunks import spec_of
from mainspring.core.clock import SECOND
from mainspring.core.harmless import is_harmless
from mainspring.core.jobs import Job
from mainspring.core.policy import Policy, policy_of
from mainspring.exceptions import TaskNotFound
from mainspring.runtime.board import ticks
from mainspring.runtime.merges import merge_rows

logger = logging.getLogger("mainspring")

_MISSING_FOR: Final = 5 * SECOND  # until code that was not there is looked for again
_TOLD_EVERY: Final = 60 * SECOND
_MOST_POLICIES: Final = 1000


type Func = Callable[..., Any]


class KnownTasks:
    """What one worker has found out about tasks; used from any of its threads."""

    def __init__(
        self,
        defaults: Policy,
        get_results: Callable[[Sequence[str]], list[Job]],
        apart: Callable[[Func], Func],
    ) -> None:
        """``get_results`` is the store's verb that reads jobs. ``apart`` isolates the calls of a
        function from each other.
        """
        self._apart = apart
        self._get_results = get_results
        self._defaults = defaults
        self._calls: dict[str, Call] = {}
        self._policies: dict[str | tuple[str, bytes], Policy] = {}
        self._missing: dict[str, tuple[int, str]] = {}
        self._told: dict[str, int] = {}

    def has_async(self) -> bool:
        """Whether any declared task is a coroutine function."""
        return any(iscoroutinefunction(task.func) for task in registry.tasks())

    def is_async(self, job: Job) -> bool:
        """Whether the job's task is a coroutine function; False where its code is not there."""
        try:
            return self.call_of(job.task_path).is_async
        except TaskNotFound:
            return False

    def find(self, job: Job) -> Call | None:
        """Return how to call a job's task; None, having said so, where its code is not there."""
        try:
            call = self.call_of(job.task_path)
            return call if job.options is None else self._merging(job, call)
        except TaskNotFound as error:
            now = ticks()
            if now >= self._told.get(job.task_path, 0):
                self._told[job.task_path] = now + _TOLD_EVERY
                logger.warning(
                    "Task id=%s path=%s is kept and will be tried again: %s",
                    job.id,
                    job.task_path,
                    error,
                    extra={"task_id": job.id, "task_path": job.task_path},
                )
            return None

    def _merging(self, job: Job, call: Call) -> Call:
        # A merge calls the task for what its rows have returned.
        spec = spec_of(job.options)
        if spec is None or not spec.is_merge:
            return call
        return call._replace(func=partial(merge_rows, self._get_results, self.repeated(call)))

    def repeated(self, call: Call) -> Func:
        """Return a task's function for several calls in a row, without a job for each."""
        return call.func if is_harmless(call.func) else self._apart(call.func)

    def call_of(self, path: str) -> Call:
        """Return how to call the task of that path; raises ``TaskNotFound``."""
        call = self._calls.get(path)
        if call is None:
            missing = self._missing.get(path)
            if missing is not None and ticks() < missing[0]:
                raise TaskNotFound(missing[1])
            try:
                call = Call.of(registry.resolve(path))
            except TaskNotFound as error:
                self._missing[path] = (ticks() + _MISSING_FOR, str(error))
                raise
            self._calls[path] = call
        return call

    def policy_of(self, job: Job) -> Policy:
        """Return how a call of a job is to be run."""
        key = job.task_path if job.options is None else (job.task_path, job.options)
        policy = self._policies.get(key)
        if policy is None:
            policy = policy_of(self._defaults, job.task_path, job.options)
            if len(self._policies) >= _MOST_POLICIES:
                self._policies.clear()
            self._policies[key] = policy
        return policy
