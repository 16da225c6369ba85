"""Backoff: how long a call that failed waits for its next attempt."""

import dataclasses
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import lru_cache
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mainspring.core import clock
from mainspring.core.formats import unknown
from mainspring.exceptions import Unreadable

if TYPE_CHECKING:
    from mainspring.core.results import TaskResult

type Wait = float | timedelta
"""Seconds, or a timedelta."""

type Backoff = Wait | Steps | Callable[..., Wait | None]

_LONGEST: Final = 1e10  # seconds, some 300 years
_LONGEST_DELTA: Final = timedelta(seconds=_LONGEST)


@dataclass(frozen=True, slots=True)
class Steps:
    """The base of the waits that follow a rule; made by :func:`exponential` and its like."""

    kind: ClassVar[str]

    def seconds(self, failures: int) -> float:
        """Return the wait after so many failures, from 1."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Exponential(Steps):
    """See :func:`exponential`."""

    initial: float
    factor: float
    maximum: float
    jitter: bool
    kind: ClassVar[str] = "exponential"

    def seconds(self, failures: int) -> float:
        """Return the wait after so many failures."""
        try:
            longest = min(self.initial * self.factor ** (failures - 1), self.maximum)
        except OverflowError:
            longest = self.maximum
        return random.uniform(0, longest) if self.jitter else longest  # noqa: S311 # no secret


@dataclass(frozen=True, slots=True)
class Linear(Steps):
    """See :func:`linear`."""

    step: float
    maximum: float
    kind: ClassVar[str] = "linear"

    def seconds(self, failures: int) -> float:
        """Return the wait after so many failures."""
        return min(self.step * failures, self.maximum)


@dataclass(frozen=True, slots=True)
class Fixed(Steps):
    """See :func:`fixed`."""

    wait: float
    kind: ClassVar[str] = "fixed"

    def seconds(self, failures: int) -> float:
        """Return the wait, the same after each failure."""
        return self.wait if failures else 0.0


_KINDS: Final[dict[str, type[Steps]]] = {one.kind: one for one in (Exponential, Linear, Fixed)}


def exponential(
    initial: float = 1, factor: float = 2, maximum: float = 600, jitter: bool = True
) -> Exponential:
    """Return a backoff that grows by ``factor``, from ``initial`` up to ``maximum`` seconds.

    With ``jitter``, each wait is drawn between 0 and that, so that what failed together does not
    come back together ("full jitter", Marc Brooker, "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015). Raises ``ValueError`` for numbers that make no wait.
    """
    _require_positive(initial=initial, factor=factor, maximum=maximum)
    return Exponential(initial, factor, maximum, jitter)


def linear(step: float = 1, maximum: float = 600) -> Linear:
    """Return a backoff that is ``step`` seconds longer each time, up to ``maximum`` seconds.

    Raises ``ValueError`` for numbers that make no wait.
    """
    _require_positive(step=step, maximum=maximum)
    return Linear(step, maximum)


def fixed(seconds: float) -> Fixed:
    """Return a backoff of ``seconds`` each time. Raises ``ValueError`` if that is no wait."""
    _require_positive(seconds=seconds)
    return Fixed(seconds)


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not _is_number(number) or not 0 <= number <= _LONGEST:
            raise ValueError(f"{name} must be a number of at least 0, not {number!r}.")


def problem_of(backoff: Any) -> str:
    """Return what a backoff must be, if it is none; else an empty text."""
    if isinstance(backoff, Steps) or is_wait(backoff):
        return ""
    if callable(backoff) and _number_of_arguments(backoff):
        return ""
    return (
        "a number of seconds, a timedelta, exponential(), linear(), fixed(), or a function of "
        f"(context) or of (exception, task_result), where a wait takes 0 to {_LONGEST:g} seconds"
    )


def wait_after(
    backoff: Backoff, error: BaseException, result: "TaskResult[Any]", failures: int
) -> int | None:
    """Return how long to wait after ``error``, in microseconds; None if there is to be no retry.

    ``result`` has this error and attempt already. Raises what a callable raises, and ``TypeError``
    for what is no wait.
    """
    wait: Any
    if isinstance(backoff, Steps):
        wait = backoff.seconds(failures)
    elif callable(backoff):
        if _number_of_arguments(backoff) == 1:
            from mainspring.core.context import TaskContext

            wait = backoff(TaskContext(result))
        else:
            wait = backoff(error, result)
    else:
        wait = backoff
    return None if wait is None else require_wait(wait, f"The backoff of {result.task_path}")


def require_wait(wait: Any, source: str) -> int:
    """Return a delay in microseconds. Raises ``TypeError``, naming ``source``, if it is invalid."""
    if not is_wait(wait):
        raise TypeError(
            f"{source} returned {wait!r}; it must return a number of seconds from 0 to "
            f"{_LONGEST:g}, a timedelta in that range, or None for no retry."
        )
    return clock.in_microseconds(wait)


def to_json(backoff: Backoff) -> Any:
    """Return a backoff as JSON has it. Raises ``TypeError`` for a callable."""
    if isinstance(backoff, Steps):
        return {backoff.kind: asdict(backoff)}
    if callable(backoff):
        raise TypeError("a function")
    return backoff.total_seconds() if isinstance(backoff, timedelta) else backoff


def from_json(stored: Any) -> Backoff:
    """Return the backoff that :func:`to_json` encoded as ``stored``.

    Raises ``NewerFormat`` for an unknown kind or unknown fields, and ``Unreadable`` for a value
    that is not a backoff.
    """
    if is_wait(stored):
        wait: float = stored
        return wait
    if not isinstance(stored, dict) or len(stored) != 1:
        raise Unreadable(f"The options have an invalid backoff: {stored!r:.99}.")
    ((kind, fields),) = stored.items()
    known = _KINDS.get(kind)
    if known is None or not isinstance(fields, dict) or fields.keys() != _names(known):
        raise unknown(f"The backoff {stored!r:.99}")
    for name, value in fields.items():
        if not (isinstance(value, bool) if name == "jitter" else is_wait(value)):
            raise Unreadable(f"The options have an invalid backoff: {stored!r:.99}.")
    return known(**fields)


def _names(kind: type[Steps]) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def is_wait(value: Any) -> bool:
    """Return True if ``value`` is a delay: 0 to 1e10 seconds, as a number or timedelta."""
    if isinstance(value, timedelta):
        return timedelta() <= value <= _LONGEST_DELTA
    return _is_number(value) and 0 <= value <= _LONGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number_of_arguments(backoff: Callable[..., Any]) -> int:
    # 1 or 2; 0 for what takes neither.
    try:
        return _count_arguments(backoff)
    except TypeError:  # what cannot be hashed, such as an instance of a dataclass
        return _count_arguments.__wrapped__(backoff)


@lru_cache(maxsize=1024)
def _count_arguments(backoff: Callable[..., Any]) -> int:
    try:
        parameters = signature(backoff).parameters.values()
    except (TypeError, ValueError):
        return 0
    needed = [p.kind for p in parameters if p.default is Parameter.empty]
    if Parameter.KEYWORD_ONLY in needed:
        return 0
    positional = {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}
    number = sum(kind in positional for kind in needed)
    return number if number in {1, 2} else 0
