"""LISTEN: one connection, in a thread that sleeps until somebody is told something."""

import logging
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from django.db import DatabaseError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Connection, RawCursor
from psycopg import Error as PsycopgError

from mainspring.backends.database.statements import statement
from mainspring.backends.database.vendors.postgresql import session
from mainspring.backends.database.vendors.postgresql.exchange import WORK
from mainspring.backends.database.vendors.postgresql.settling import SETTLED
from mainspring.backends.database.vendors.signal_pipe import SignalPipe
from mainspring.backends.locks import renewed

logger = logging.getLogger("mainspring")

_FIRST_RETRY: Final = 0.1  # seconds after the connection was lost
_SLOWEST_RETRY: Final = 5.0
_PATIENCE: Final = 5.0  # seconds that a worker waits for the first connection
_IDLE: Final = 10.0  # seconds until a connection that nobody needs is closed

type Call = Callable[[], None]


class Listener:
    """Tells a worker of work, and callers of results; starts by itself when asked to listen.

    Whenever it may have missed something, it tells all.
    """

    def __init__(
        self,
        connect: Callable[[], BaseDatabaseWrapper],
        backend: str,
        on_work: Call,
        may_listen: bool | None,
        on_ready_again: Callable[[str], None],
    ) -> None:
        """``on_ready_again`` receives the rest of a message after the backend; see Skipping."""
        self._may_listen = may_listen
        self._connect = connect
        self._backend = backend
        self._on_work = on_work
        self._on_ready_again = on_ready_again
        self._signal = SignalPipe()
        self._lock = renewed(threading.Lock())
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._serves_worker = False
        self._has_tried = threading.Event()
        self._watches: dict[str, dict[object, Call]] = {}
        self._is_stopping = False
        self.is_live = False
        """Whether callers are told of results."""
        self.is_deaf = self._may_listen is False

    def serve_worker(self) -> bool:
        """Tell of work from now on; whether this is new. Returns when it hears, or cannot."""
        if self._serves_worker and self._pid == os.getpid():
            return False
        with self._lock:
            self._serves_worker = True
            self._start()
        self._signal.set()
        self._has_tried.wait(_PATIENCE)
        return True

    def watch(self, job_id: str, call: Call) -> Call:
        """Have ``call`` called in the thread when a job may be finished; return what ends that."""
        mark = object()
        with self._lock:
            self._start()
            self._watches.setdefault(job_id, {})[mark] = call
        if not self.is_live:
            self._signal.set()

        def forget() -> None:
            with self._lock:
                calls = self._watches.get(job_id, {})
                calls.pop(mark, None)
                if not calls:
                    self._watches.pop(job_id, None)

        return forget

    def _start(self) -> None:
        if self._pid != os.getpid():  # a thread does not survive a fork
            self._reset()
        if self._thread is None and not self.is_deaf:
            self._thread = threading.Thread(
                target=self._turn, name="mainspring-listener", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """End the thread and its connection."""
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            self._is_stopping = True
            self._signal.set()
            thread.join()
        self._reset()
        self._signal.close()

    def _turn(self) -> None:
        pause = _FIRST_RETRY
        connection = self._connect()
        while not self._is_stopping:
            try:
                raw = self._listen(connection)
                if raw is None:
                    self.is_deaf = True
                    break
                pause = _FIRST_RETRY
                if self._has_tried.is_set():
                    self._on_work()  # something may have been missed
                self._has_tried.set()
                self._hear(raw)
            except (DatabaseError, InterfaceError, PsycopgError, OSError) as error:
                self._has_tried.set()
                logger.debug("The listener lost its connection: %s", error)
                self._signal.wait(pause)
                pause = min(pause * 2, _SLOWEST_RETRY)
            finally:
                self.is_live = False
                with suppress(DatabaseError, InterfaceError):
                    connection.close()
            with self._lock:
                if not self._is_needed():
                    self._thread = None
                    return
        # Who waits is to look by itself from now on.
        self._has_tried.set()
        self._on_work()
        self._tell_watches()

    def _is_needed(self) -> bool:
        return self._serves_worker or bool(self._watches)

    def _listen(self, connection: BaseDatabaseWrapper) -> Connection[Any] | None:
        connection.connect()
        raw: Connection[Any] = connection.connection
        if self._may_listen is None and session.is_pooled(raw):
            return None
        if self._serves_worker:
            _listen(raw, "listen_work")
        return raw

    def _hear(self, raw: Connection[Any]) -> None:
        # A worker that nobody waits in is not told of results: in a fleet, those are many.
        hears_work = self._serves_worker
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        poll.register(self._signal.open(), select.POLLIN)
        while not self._is_stopping:
            if self._serves_worker and not hears_work:
                _listen(raw, "listen_work")
                hears_work = True
                self._on_work()
            if self._watches and not self.is_live:
                _listen(raw, "listen_settled")
                self.is_live = True
                self._on_work()  # psycopg may have taken what came in between
                self._tell_watches()
            ready = poll.poll(_IDLE * 1000)
            self._signal.take()
            with self._lock:
                if not ready and not self._is_needed():
                    return
            raw.pgconn.consume_input()
            settled: set[str] = set()
            while notice := raw.pgconn.notifies():
                told = notice.extra.decode()
                if notice.relname.decode() == SETTLED:
                    settled.update(told.split(","))
                elif notice.relname.decode() == WORK:
                    self._hear_of_work(told)
            if settled:
                self._tell(settled)

    def _hear_of_work(self, told: str) -> None:
        backend, _, ready_again = told.partition("\n")
        if backend != self._backend:
            return
        if ready_again:
            self._on_ready_again(ready_again)
        self._on_work()

    def _tell(self, settled: set[str]) -> None:
        if "*" in settled:
            self._tell_watches()
            return
        with self._lock:
            calls = [call for one in settled for call in self._watches.get(one, {}).values()]
        for call in calls:
            call()

    def _tell_watches(self) -> None:
        with self._lock:
            calls = [call for one in self._watches.values() for call in one.values()]
        for call in calls:
            call()


def _listen(raw: Connection[Any], name: str) -> None:
    with RawCursor(raw) as cursor:
        cursor.execute(statement("postgresql", name).encode(), prepare=False)
