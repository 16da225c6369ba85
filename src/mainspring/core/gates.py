"""Gates: which limits the calls of a task have to wait for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from mainspring.core import codec, templates
from mainspring.core.limits import Bound, Limit, Rate, group_of
from mainspring.core.tasks import Task


class _Named(NamedTuple):
    limit: Limit | Rate
    name: str
    """What it is shared by."""
    what: str
    """What it is, for people: a field of the task, or a setting."""


class Gate:
    """What the calls of one task have to pass: its own limits and those of its queue."""

    __slots__ = ("_func", "_group", "_limits", "_path", "_takes_context")

    def __init__(self, task: Task[..., Any], limits: Sequence[_Named]) -> None:
        """Raises ``ValueError`` where a limit's key names what is no argument of the task."""
        self._func, self._takes_context = task.func, task.takes_context
        self._path = task.module_path
        self._limits = limits
        for limit, _, what in limits:
            if isinstance(limit.key, str):
                problem = templates.problem_with(limit.key, self._func, self._takes_context)
                if problem:
                    raise ValueError(f"key={limit.key!r} of {what} {problem}.")
        is_same_for_all = all(limit.key is None for limit, _, _ in limits)
        self._group = self._made((), {}) if is_same_for_all else None

    def group_of(self, arguments: bytes) -> str:
        """Return the limit group of a call with these arguments, encoded.

        Raises ``TypeError`` or ``ValueError`` where a key cannot be made of them, and what a
        function that makes one raises.
        """
        return self._group or self._made(*codec.decode_call(arguments))

    def _made(self, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
        return group_of(
            Bound.of(named.limit, named.name, self._key(named, args, kwargs))
            for named in self._limits
        )

    def _key(self, named: _Named, args: Sequence[Any], kwargs: dict[str, Any]) -> str | None:
        key = named.limit.key
        if key is None:
            return None
        where = f"key={key!r} of {named.what} of {self._path}"
        if isinstance(key, str):
            try:
                return templates.format_call(key, self._func, self._takes_context, args, kwargs)
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"{where} cannot be made: {error}.") from error
        text: Any = key(*args, **kwargs)
        if not isinstance(text, str):
            raise TypeError(f"{where} must return a text, not {text!r}.")
        return text


def gate_of(task: Task[..., Any], queue_limits: Sequence[Limit | Rate]) -> Gate | None:
    """Return what calls of a task have to pass; None if nothing. Raises like :class:`Gate`.

    The task may be one of Django's own, which has no limits but those of its queue.
    """
    limits = [
        _Named(limit, limit.name or task.module_path, field)
        for field in ("concurrency", "rate")
        if (limit := getattr(task, field, None)) is not None
    ]
    limits += [
        _Named(
            limit, limit.name or f"queue:{task.queue_name}", f"QUEUE_LIMITS[{task.queue_name!r}]"
        )
        for limit in queue_limits
    ]
    return Gate(task, limits) if limits else None
