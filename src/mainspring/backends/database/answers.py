"""Answers of the database that hold until somebody has written to it."""

from collections.abc import Callable


class Answer[T]:
    """The last answer to one question that is asked again and again, mostly in vain."""

    def __init__(self) -> None:
        self._last: tuple[object, T] | None = None  # in one piece, as several threads may ask

    def get(self, mark: object, ask: Callable[[], T]) -> T:
        """Return what ``ask`` has answered at the same :meth:`~Dialect.mark`, or answers now."""
        last = self._last
        if last is None or mark is None or mark != last[0]:
            last = self._last = (mark, ask())
        return last[1]
