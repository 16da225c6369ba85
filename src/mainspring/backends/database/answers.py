"""Answers of the database that hold until somebody has written to it."""

from collections.abc import Callable


class Answer[T]:
    """The last answer to one question that is asked again and again, mostly in vain."""

    def __init__(self) -> None:
        self._mark: object = None
        self._answer: T | None = None

    def get(self, mark: object, ask: Callable[[], T]) -> T:
        """Return what ``ask`` has answered at the same :meth:`~Dialect.mark`, or answers now."""
        answer = self._answer
        if answer is None or mark is None or mark != self._mark:
            answer = self._answer = ask()
            self._mark = mark
        return answer
