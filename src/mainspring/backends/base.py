"""What every backend does for Django: validate, enqueue, get results, check the settings."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from inspect import isfunction
from typing import TYPE_CHECKING, Any, ClassVar, Final, Unpack
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core import checks
from django.db import transaction
from django.tasks import TaskResultStatus, task_backends
from django.tasks.base import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend, TaskResultDoesNotExist
from django.utils import timezone

from mainspring import signals
from mainspring.backends import bulk, map_plans, mapping
from mainspring.backends.function_facts import facts_of
from mainspring.backends.map_plans import Wanted
from mainspring.backends.map_reading import MapReader
from mainspring.backends.mapping import gated
from mainspring.backends.rules import Carried, carried_by, gate_for, validate_queue
from mainspring.backends.shared import shared_config
from mainspring.backends.spooled_jobs import SpooledJobs
from mainspring.backends.stalls import awaited_result
from mainspring.backends.storage import Storage
from mainspring.backends.waiting import await_until, wait_until
from mainspring.core import clock, codec
from mainspring.core.arguments import Arguments
from mainspring.core.chunks import as_seen, may_be_row_id, parse_call_id
from mainspring.core.ids import is_id, new_id
from mainspring.core.jobs import Job, State
from mainspring.core.map_results import MapResult
from mainspring.core.results import TaskResult
from mainspring.core.schedules import declared_schedules
from mainspring.core.tasks import Task
from mainspring.core.unique import Unique, unique_of

if TYPE_CHECKING:

    class BaseTaskBackend:
        """What type checkers take for Django's class, which has Django's results."""

        alias: str
        queues: set[str]
        options: Mapping[str, Any]

        def __init__(self, alias: str, params: Mapping[str, Any]) -> None: ...
        async def aenqueue(
            self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
        ) -> TaskResult[Any]: ...
        async def aget_result(self, result_id: str) -> TaskResult[Any]: ...
else:
    from django.tasks.backends.base import BaseTaskBackend

# The options that say how calls are run whose tasks do not.
POLICY_OPTIONS: Final = frozenset({"MAX_ATTEMPTS", "BACKOFF", "TIMEOUT", "MAX_CRASHES"})

# The last fields of a new job, from limit_group to return_value.
_NOT_STARTED: Final = tuple(Job._field_defaults.values())[2:]


class MainspringBackend(BaseTaskBackend):
    """Base of all backends: Django's interface, on the storage verbs."""

    task_class = Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    # May a task be declared in the script that was started, as nobody else can import it?
    supports_main_module: ClassVar[bool] = False

    # Can what a task writes be stored together with its outcome?
    supports_atomic_tasks: ClassVar[bool] = False

    # Can a worker in another process run the tasks?
    supports_worker: ClassVar[bool] = False

    options_supported: ClassVar[frozenset[str]] = frozenset({"MAX_PAYLOAD"})

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        self.config = shared_config(type(self), alias, params, self.options_supported)
        super().__init__(
            alias, {"QUEUES": self.config.queues, "OPTIONS": params.get("OPTIONS", {})}
        )

    @property
    def storage(self) -> Storage:
        """The verbs of this backend; the same object in all threads of the process."""
        raise NotImplementedError

    def validate_task(self, task: Task[..., Any]) -> None:
        """Raise ``InvalidTask``, with the reason, if this backend cannot run ``task``."""
        if not callable(task.func):
            raise InvalidTask(f"A task is made of a function, not of {task.func!r}.")
        function = facts_of(task.func) if isfunction(task.func) else None
        if function is None or not function.is_module_level:
            raise InvalidTask("Task function must be defined at a module level.")
        if function.in_main_module and not self.supports_main_module:
            raise InvalidTask(
                f"Task {task.name!r} is declared in the script that was started, which a worker "
                "cannot import. Move it to a module, such as tasks.py of an app."
            )
        if not self.supports_async_task and function.is_async:
            raise InvalidTask("Backend does not support async Tasks.")
        if task.takes_context and function.first_argument != "context":
            raise InvalidTask("Task takes context but does not have a first argument of 'context'.")
        self._validate_priority(task.priority)
        self._validate_run_after(task.run_after)
        validate_queue(task.queue_name, self.queues)
        if isinstance(task, Task):
            if task.atomic is True and not self.supports_atomic_tasks:
                raise InvalidTask("Backend does not support atomic tasks: it has no transactions.")
            if task.atomic and function.is_async:
                raise InvalidTask("Atomic tasks must be sync functions: transactions are.")
            carried = carried_by(task, self.config.options)
            object.__setattr__(task, "_carried", carried)
            object.__setattr__(task, "_valid_by", self.config)

    def _validate_priority(self, priority: Any) -> None:
        if not self.supports_priority and priority != 0:
            raise InvalidTask("Backend does not support setting priority of tasks.")
        if (
            not isinstance(priority, int | float)
            or not TASK_MIN_PRIORITY <= priority <= TASK_MAX_PRIORITY
            or int(priority) != priority
        ):
            raise InvalidTask(
                f"priority must be a whole number between {TASK_MIN_PRIORITY} and "
                f"{TASK_MAX_PRIORITY}."
            )

    def _validate_run_after(self, run_after: Any) -> None:
        if run_after is None:
            return
        if not self.supports_defer:
            raise InvalidTask("Backend does not support run_after.")
        if not isinstance(run_after, datetime):
            raise InvalidTask(f"run_after must be a datetime, not {run_after!r}.")
        if settings.USE_TZ and not timezone.is_aware(run_after):
            raise InvalidTask("run_after must be an aware datetime.")
        if not clock.FIRST <= clock.to_moment(run_after) <= clock.LAST:
            raise InvalidTask(
                "run_after must lie between 0001-01-02 and 9999-12-30 in UTC, so that every time "
                f"zone can show it, not {run_after!r}."
            )

    def new_job(self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Job:
        """Return the job of one call, not stored yet.

        Raises ``InvalidTask``, ``InvalidTaskBackend``, or ``TypeError`` or ``ValueError`` for
        arguments that are not JSON.
        """
        return self.job_maker(task)(args, kwargs)

    def job_maker(self, task: Task[..., Any]) -> Callable[[Sequence[Any], Mapping[str, Any]], Job]:
        """Return what makes the jobs of a task's calls, as :meth:`new_job` does.

        What they have in common is looked up once, which takes a third of the time of one.
        """
        config = self.config
        if config.errors:
            config.require_valid()
        if getattr(task, "_valid_by", None) is not config:
            self.validate_task(task)
        # A task of Django's own carries nothing, and has no limits but those of its queue.
        options, metadata, gate = getattr(task, "_carried", None) or Carried(
            gate=gate_for(task, config.options)
        )
        alias, path, queue, priority = (
            self.alias,
            task.module_path,
            task.queue_name,
            int(task.priority),
        )
        run_after = None if task.run_after is None else clock.to_moment(task.run_after)
        most = config.options.max_payload
        rest = (options, metadata, *_NOT_STARTED)

        def make(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Job:
            arguments = codec.encode_call(args, kwargs, most)
            now = clock.now()
            # Job() itself, written in Python by NamedTuple, takes 0.15 µs more of 1.4.
            job: Job = tuple.__new__(
                Job,
                (
                    new_id(now),
                    alias,
                    path,
                    queue,
                    priority,
                    now if run_after is None else run_after,
                    State.READY if run_after is None or run_after <= now else State.SCHEDULED,
                    None,
                    arguments,
                    run_after,
                    now,
                    *rest,
                ),
            )
            return job if gate is None else gated(job, gate)

        return make

    def enqueue(
        self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[Any]:
        """Store one call of ``task`` and return its result to be. See :meth:`Task.enqueue`."""
        job = self.new_job(task, args, kwargs)
        unique = unique_of(task, job) if getattr(task, "unique", False) else None
        return self._enqueue(task, job, unique)

    def _enqueue(self, task: Task[..., Any], job: Job, unique: Unique | None) -> TaskResult[Any]:
        # The result is that of another call where that one stands for this one.
        if unique is None:
            self.storage.enqueue((job,))
        else:
            (stored,) = self.storage.enqueue_unique([(job, unique)])
            if stored.id != job.id:
                return TaskResult.from_job(as_seen(stored))
        result: TaskResult[Any] = TaskResult.from_job(job)
        if signals.is_heard(signals.task_enqueued):
            signals.task_enqueued.send(type(self), task_result=result)
        return result

    def enqueue_on_commit(
        self,
        task: Task[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        using: str,
    ) -> TaskResult[Any]:
        """Store one call once a transaction commits. See :meth:`Task.enqueue_on_commit`."""
        job = self.new_job(task, args, kwargs)
        unique = unique_of(task, job)
        at_once: list[TaskResult[Any]] = []
        transaction.on_commit(lambda: at_once.append(self._enqueue(task, job, unique)), using=using)
        return at_once[0] if at_once else TaskResult.from_job(job)

    def enqueue_many(
        self, task: Task[..., Any], calls: Iterable[Arguments]
    ) -> Sequence[TaskResult[Any]]:
        """Store many calls of ``task``, all or none. See :meth:`Task.enqueue_many`."""
        return self._store_many(task, bulk.gather(self, task, calls))

    async def aenqueue_many(
        self, task: Task[..., Any], calls: Iterable[Arguments] | AsyncIterable[Arguments]
    ) -> Sequence[TaskResult[Any]]:
        """See :meth:`enqueue_many`."""
        if isinstance(calls, AsyncIterable):
            gathered = await bulk.agather(self, task, calls)
            return await sync_to_async(self._store_many)(task, gathered)
        return await sync_to_async(self.enqueue_many)(task, calls)

    def _store_many(
        self, task: Task[..., Any], gathered: Sequence[Arguments] | SpooledJobs
    ) -> Sequence[TaskResult[Any]]:
        stored = bulk.store(self, task, gathered)
        if signals.is_heard(signals.task_enqueued):
            for job in stored.new:
                signals.task_enqueued.send(type(self), task_result=TaskResult.from_job(job))
        return stored.results

    def map(
        self, task: Task[..., Any], items: Iterable[Any], **wanted: Unpack[Wanted]
    ) -> MapResult[Any]:
        """Store one call of ``task`` for each item. See :meth:`Task.map`."""
        return mapping.store_map(self, map_plans.plan(self, task, wanted), items)

    async def amap(
        self,
        task: Task[..., Any],
        items: Iterable[Any] | AsyncIterable[Any],
        **wanted: Unpack[Wanted],
    ) -> MapResult[Any]:
        """See :meth:`map`."""
        if isinstance(items, AsyncIterable):
            return await mapping.astore_map(self, map_plans.plan(self, task, wanted), items)
        return await sync_to_async(self.map)(task, items, **wanted)

    def get_map(self, map_id: str | UUID) -> MapResult[Any]:
        """Return the handle on a map; raises ``TaskResultDoesNotExist``."""
        return self.read_map(_as_id(map_id)).handle()

    async def aget_map(self, map_id: str | UUID) -> MapResult[Any]:
        """See :meth:`get_map`."""
        return await sync_to_async(self.get_map)(map_id)

    def read_map(self, map_id: str) -> MapReader:
        """Return a reader for a map, which need not exist.

        Raises ``TaskResultDoesNotExist`` if ``map_id`` is not a valid id.
        """
        if not is_id(map_id):
            raise TaskResultDoesNotExist(map_id)
        return MapReader(self, map_id)

    def wait_for_map(self, map_id: str, timeout: float | None) -> None:
        """Return once a map is at its end. See :meth:`MapResult.wait`."""
        self.read_map(map_id).wait_for_end(timeout)

    async def await_for_map(self, map_id: str, timeout: float | None) -> None:  # noqa: ASYNC109 # the sync form's own
        """See :meth:`wait_for_map`."""
        await self.read_map(map_id).await_end(timeout)

    def get_result(self, result_id: str | UUID) -> TaskResult[Any]:
        """Return a result; raises ``TaskResultDoesNotExist``."""
        found: TaskResult[Any] | None
        if call := parse_call_id(known_id := _as_id(result_id)):
            found = self.read_map(call[0]).result_of(call[1])
        else:
            jobs = self.storage.get_results([known_id]) if is_id(known_id) else ()
            found = TaskResult.from_job(jobs[0]) if jobs else None
        # A row of a map reads as its first call, which has a different id.
        if found is None or found.id != known_id:
            raise TaskResultDoesNotExist(result_id)
        return found

    def cancel_result(self, result_id: str) -> bool:
        """Cancel one call; whether that was still possible. See :meth:`TaskResult.cancel`.

        Raises ``ValueError`` for a call of a map that shares a row with others, and
        ``TaskResultDoesNotExist`` if ``result_id`` is not a valid id.
        """
        if call := parse_call_id(result_id):
            was_cancelled = self.read_map(call[0]).cancel_call(call[1])
        elif not is_id(result_id):
            raise TaskResultDoesNotExist(result_id)
        else:
            if may_be_row_id(result_id):
                self.get_result(result_id)  # raises for a row of a map
            was_cancelled = bool(self.storage.cancel([result_id]))
        if was_cancelled and signals.task_cancelled.receivers:
            details = signals.Cancelled(self.get_result(result_id))
            signals.task_cancelled.send(type(self), details=details)
        return was_cancelled

    def wait_for_result(self, result_id: str, timeout: float | None) -> TaskResult[Any]:
        """Return a result once it is finished. See :meth:`TaskResult.wait`."""

        def look() -> TaskResult[Any] | None:
            result = self.get_result(result_id)
            return result if result.status in _FINISHED else None

        return wait_until(self.storage, awaited_result(result_id), timeout, look)

    async def await_for_result(self, result_id: str, timeout: float | None) -> TaskResult[Any]:  # noqa: ASYNC109 # the sync form's own
        """See :meth:`wait_for_result`."""

        async def look() -> TaskResult[Any] | None:
            result = await self.aget_result(result_id)
            return result if result.status in _FINISHED else None

        return await await_until(self.storage, awaited_result(result_id), timeout, look)

    def check(self, **_kwargs: Any) -> list[checks.CheckMessage]:
        """Return what is wrong with this backend's settings, for ``manage.py check``."""
        if self.config.errors:
            return [checks.Error(error, id="mainspring.E001") for error in self.config.errors]
        problems: list[str] = []
        declared_schedules(self.alias, self.config.options, problems)
        return [
            checks.Warning(problem, hint="It does not tick.", id="mainspring.W002")
            for problem in problems
        ]


def mainspring_backend(alias: str) -> MainspringBackend:
    """Return the backend of ``TASKS[alias]``; raises ``InvalidTaskBackend`` if it is not ours."""
    backend = task_backends[alias]
    if not isinstance(backend, MainspringBackend):
        raise InvalidTaskBackend(
            f"TASKS[{alias!r}]['BACKEND'] is {type(backend).__name__}, not one of Mainspring's."
        )
    return backend


_FINISHED: Final = frozenset({TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED})


def _as_id(result_id: str | UUID) -> str:
    return result_id.hex if isinstance(result_id, UUID) else str(result_id)
