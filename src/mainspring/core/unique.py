"""Uniqueness: which calls are equal, and for how long one of them stands for the others."""

from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from mainspring.core import clock, codec, templates
from mainspring.core.jobs import Job, State
from mainspring.core.tasks import Task

UNTIL: Final = {"start": State.RUNNING, "end": State.SUCCESSFUL}
"""By ``unique_until``: the first state in which a call stands for no other one any more."""

# Two mappings are equal whatever the order of their keys.
_encode_sorted: Final = msgspec.json.Encoder(order="deterministic").encode


class Unique(NamedTuple):
    """What makes a call unique."""

    key: str
    """64 hexadecimal digits, the same for equal calls of a task and backend alias."""
    until: State
    """The first state in which an equal call does not count any more."""
    expires_at: int | None
    """From when on this call stands for no other one, whatever its state; None for never."""

    def counts(self, state: int, expires_at: int | None, now: int) -> bool:
        """Whether a call in this ``state``, which expires then, stands for an equal one ``now``."""
        return state < self.until and (expires_at is None or now < expires_at)


def unique_of(task: Task[..., Any], job: Job) -> Unique | None:
    """Return what makes the call of ``task`` that ``job`` carries unique; None if nothing does.

    The key is made of the arguments as the task will get them. Raises ``TypeError`` or
    ``ValueError`` where the task's text cannot be made of them or its function returns neither a
    text nor None, and whatever that function raises.
    """
    rule = getattr(task, "unique", False)  # a task of Django's own has none
    if not rule:
        return None
    text = _text_of(task, rule, job.arguments)
    if text is None:
        return None
    key = sha256(codec.encode([job.backend, job.task_path, text])).hexdigest()
    lasts = task.unique_for
    expires_at = None if lasts is None else job.enqueued_at + clock.in_microseconds(lasts)
    return Unique(key, UNTIL[task.unique_until], expires_at)


def problem_of(task: Task[..., Any]) -> str | None:
    """Return, as a sentence, what is wrong with a task's ``unique``; None where it is fine."""
    rule: Any = task.unique
    if isinstance(rule, str):
        problem = templates.problem_of(rule) or templates.problem_with(
            rule, task.func, task.takes_context
        )
        return None if problem is None else f"unique={rule!r} {problem}."
    if isinstance(rule, bool) or callable(rule):
        return None
    return (
        "unique must be True, False, a text such as 'invoice {0}', or a function of the call's "
        f"arguments that returns a text, not {rule!r}."
    )


def _text_of(task: Task[..., Any], rule: Any, arguments: bytes) -> str | None:
    if rule is True:
        return _encode_sorted(codec.decode(arguments)).decode()
    args, kwargs = codec.decode_call(arguments)
    if isinstance(rule, str):
        try:
            return templates.format_call(rule, task.func, task.takes_context, args, kwargs)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            where = f"unique={rule!r} of {task.module_path}"
            raise kind(f"{where} cannot be made: {error}.") from error
    text = rule(*args, **kwargs)
    if text is not None and not isinstance(text, str):
        raise TypeError(
            f"The function unique of {task.module_path} must return a text, or None for a call "
            f"that is not unique, not {text!r}."
        )
    return text
