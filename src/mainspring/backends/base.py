"""What every backend does for Django: validate, enqueue, get results, check the settings."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from inspect import iscoroutinefunction, isfunction
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from uuid import UUID

from django.conf import settings
from django.core import checks
from django.tasks import TaskResultStatus, task_backends
from django.tasks.base import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend, TaskResultDoesNotExist
from django.utils import timezone
from django.utils.inspect import get_func_args, is_module_level_function

from mainspring import signals
from mainspring.backends.shared import shared_config
from mainspring.backends.storage import Storage
from mainspring.core import clock, codec
from mainspring.core.ids import new_id
from mainspring.core.jobs import Job, State
from mainspring.core.results import TaskResult
from mainspring.core.tasks import Task

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

_FIRST_POLL: Final = 0.001  # seconds
_SLOWEST_POLL: Final = 0.05

# The last fields of a new job, from started_at to return_value.
_NOT_STARTED: Final = tuple(Job._field_defaults.values())


class MainspringBackend(BaseTaskBackend):
    """Base of all backends: Django's interface, on the storage verbs."""

    task_class = Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    # May a task be declared in the script that was started, as nobody else can import it?
    supports_main_module: ClassVar[bool] = False

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
        function = _facts(task.func) if isfunction(task.func) else None
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
        queue_name: Any = task.queue_name
        if not isinstance(queue_name, str) or (self.queues and queue_name not in self.queues):
            raise InvalidTask(f"Queue '{task.queue_name}' is not valid for backend.")
        if isinstance(task, Task):
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

    def new_job(self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Job:
        """Return the job of one call, not stored yet.

        Raises ``InvalidTask``, ``InvalidTaskBackend``, or ``TypeError`` or ``ValueError`` for
        arguments that are not JSON.
        """
        config = self.config
        if config.errors:
            config.require_valid()
        if getattr(task, "_valid_by", None) is not config:
            self.validate_task(task)
        arguments = codec.encode_call(args, kwargs, config.options.max_payload)
        now = clock.now()
        run_after = None if task.run_after is None else clock.to_moment(task.run_after)
        # Job() itself, written in Python by NamedTuple, takes 0.15 µs more of 1.4.
        return tuple.__new__(
            Job,
            (
                new_id(now),
                self.alias,
                task.module_path,
                task.queue_name,
                int(task.priority),
                now if run_after is None else run_after,
                State.READY if run_after is None or run_after <= now else State.SCHEDULED,
                None,
                arguments,
                run_after,
                now,
                *_NOT_STARTED,
            ),
        )

    def enqueue(
        self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[Any]:
        """Store one call of ``task`` and return its result to be. See :meth:`Task.enqueue`."""
        job = self.new_job(task, args, kwargs)
        self.storage.enqueue((job,))
        result: TaskResult[Any] = TaskResult.from_job(job)
        if signals.is_heard(signals.task_enqueued):
            signals.task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str | UUID) -> TaskResult[Any]:
        """Return a result; raises ``TaskResultDoesNotExist``."""
        found = self.storage.get_results([_as_id(result_id)])
        if not found:
            raise TaskResultDoesNotExist(result_id)
        return TaskResult.from_job(found[0])

    def wait_for_result(self, result_id: str, timeout: float | None) -> TaskResult[Any]:
        """Return a result once it is finished. See :meth:`TaskResult.wait`."""
        for pause in _pauses(result_id, timeout):
            result = self.get_result(result_id)
            if result.is_finished:
                return result
            time.sleep(pause)
        raise AssertionError("unreachable")

    async def await_for_result(self, result_id: str, timeout: float | None) -> TaskResult[Any]:  # noqa: ASYNC109 # the sync form's own
        """See :meth:`wait_for_result`."""
        for pause in _pauses(result_id, timeout):
            result = await self.aget_result(result_id)
            if result.status in _FINISHED:
                return result
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    def check(self, **_kwargs: Any) -> list[checks.CheckMessage]:
        """Return what is wrong with this backend's settings, for ``manage.py check``."""
        return [checks.Error(error, id="mainspring.E001") for error in self.config.errors]


def mainspring_backend(alias: str) -> MainspringBackend:
    """Return the backend of ``TASKS[alias]``; raises ``InvalidTaskBackend`` if it is not ours."""
    backend = task_backends[alias]
    if not isinstance(backend, MainspringBackend):
        raise InvalidTaskBackend(
            f"TASKS[{alias!r}]['BACKEND'] is {type(backend).__name__}, not one of Mainspring's."
        )
    return backend


_FINISHED: Final = frozenset({TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED})


class _Facts(NamedTuple):
    is_module_level: bool
    in_main_module: bool
    is_async: bool
    first_argument: str | None


@lru_cache(maxsize=4096)
def _facts(func: Any) -> _Facts:
    # Inspecting a function takes 5 µs, and ``using()`` validates anew each time.
    is_module_level = is_module_level_function(func)
    names = get_func_args(func) if is_module_level else []
    return _Facts(
        is_module_level,
        getattr(func, "__module__", None) == "__main__",
        iscoroutinefunction(func),
        names[0] if names else None,
    )


def _as_id(result_id: str | UUID) -> str:
    return result_id.hex if isinstance(result_id, UUID) else str(result_id)


def _pauses(result_id: str, timeout: float | None) -> Iterator[float]:
    # From 1 ms to 50 ms: short waits are answered fast, long ones cost nearly nothing.
    end = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_POLL
    while True:
        if end is None:
            yield pause
        else:
            left = end - time.monotonic()
            yield max(min(pause, left), 0)
            if left <= 0:
                raise TimeoutError(f"Result {result_id} was not finished within {timeout} s.")
        pause = min(pause * 1.5, _SLOWEST_POLL)
