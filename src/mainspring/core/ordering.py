"""The order in which jobs are to run, as sort keys for results.

One rule in every backend: the higher priority first, then the moment of becoming available
(``run_after``, else ``enqueued_at``), the newest first (LIFO) or the oldest first (FIFO).
``TaskResult`` compares by the first rule.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from mainspring.core.clock import to_moment

if TYPE_CHECKING:
    from mainspring.core.results import TaskResult

_LONGEST_ID: Final = 64  # bytes

type Key = Callable[[TaskResult[Any]], tuple[int, int, int]]


def lifo(result: "TaskResult[Any]") -> tuple[int, int, int]:
    """Sort key: the higher priority, then the newest first."""
    return -result.priority, -to_moment(result.available_at), -_number(result.id)


def fifo(result: "TaskResult[Any]") -> tuple[int, int, int]:
    """Sort key: the higher priority, then the oldest first."""
    return -result.priority, to_moment(result.available_at), _number(result.id)


def _number(result_id: str) -> int:
    # A number that sorts as the text does, so that LIFO can negate it.
    return int.from_bytes(result_id.encode().ljust(_LONGEST_ID, b"\0"))


KEYS: Final[dict[str, Key]] = {"lifo": lifo, "fifo": fifo}
"""The values of the option ``ORDER``."""

FAIR_EVERY: Final = 8
"""One claim in so many starts with the oldest ready job, whatever its priority, so that under
constant overload the wait of every job stays bounded."""
