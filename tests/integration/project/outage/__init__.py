"""An app: once the test has made a file ``outage``, the answer to the next claim is lost.

It is written to a file ``lost``; from then on, workers do not reach the database until ``outage``
is gone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import OperationalError

from mainspring.backends.database.access import DatabaseAccess
from mainspring.backends.database.worker_verbs import WorkerVerbs
from mainspring.exceptions import StoreUnavailable

_OUTAGE = settings.FOLDER / "outage"
_LOST = settings.FOLDER / "lost"


def _or_fail(block: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def fail_now(self: DatabaseAccess) -> Iterator[Any]:
        if _LOST.exists() and _OUTAGE.exists():
            raise StoreUnavailable("no connection, as the test has it")
        with block(self) as cursor:
            yield cursor

    return fail_now


def _and_lose(exchange: Callable[..., Any]) -> Callable[..., Any]:
    def do_and_lose(self: Any, *args: Any) -> Any:
        do = type(self._dialect).exchange

        def do_now(*values: Any) -> Any:
            if _LOST.exists() and _OUTAGE.exists():
                raise OperationalError("no connection, as the test has it")
            answer = do(self._dialect, *values)
            if answer[1] and _OUTAGE.exists():
                _LOST.write_text("a claim")
                raise OperationalError("the answer was lost, as the test has it")
            return answer

        self._dialect.exchange = do_now
        return exchange(self, *args)

    return do_and_lose


DatabaseAccess._reading = _or_fail(DatabaseAccess._reading)  # type: ignore[method-assign]
DatabaseAccess._writing = _or_fail(DatabaseAccess._writing)  # type: ignore[method-assign]
WorkerVerbs._exchange = _and_lose(WorkerVerbs._exchange)  # type: ignore[method-assign]
