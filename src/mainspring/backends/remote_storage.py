"""RemoteStorage: the storage verbs on a queue in the memory of another process.

For a MemoryBackend with processes: neither these nor the one that enqueues hold the queue, as who
runs Python code would hold up all others. See verb_server.py for the one that does.
"""

import os
import socket
import struct
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from multiprocessing import connection
from typing import Any, Concatenate, Final, NoReturn
from weakref import WeakSet

from django.utils.module_loading import import_string

from mainspring.backends.bells import PLACES, Waiting
from mainspring.backends.channel import Channel, apart
from mainspring.backends.database.vendors.signal_pipe import SignalPipe
from mainspring.backends.forking import fork
from mainspring.backends.locks import renewed
from mainspring.backends.memory import MemoryStorage
from mainspring.backends.storage import LostWorker, Rescued, Storage
from mainspring.conf import Config
from mainspring.core.chunks import Division
from mainspring.core.jobs import MOST_CLAIMED, Job, Outcome, Worker
from mainspring.exceptions import StoreUnavailable, TaskTimeout

CHANNEL: Final = b"c"
"""Sent with the other end of a new channel."""
BELL: Final = b"b"
"""Sent with the end of a pipe to write to when there may be work."""
HAIL: Final = struct.Struct("<cH")
"""What is sent with a descriptor: one of these, and the place of the process among the waiting."""

_NO_ANSWER: Final[Any] = None
_MUCH: Final = 100_000  # bytes
_ANSWER: Final = 1.0  # seconds
_MOST_RINGS: Final = 1 << 16  # bytes: what a pipe holds


def _asked[**P, R](
    verb: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate["RemoteStorage", P], R]:
    name = verb.__name__

    def ask(self: "RemoteStorage", /, *args: P.args, **kwargs: P.kwargs) -> R:
        found: R = self._ask(name, args, kwargs)
        return found

    ask.__name__, ask.__doc__ = name, verb.__doc__
    return ask


class RemoteStorage(Storage):
    """Asks for each verb, on a channel of each thread.

    A channel is a pair of sockets, of which the process that holds the queue is sent one end: only
    who descends from the process that has made this can reach it. That process is started when it
    is first needed.
    """

    def __init__(self, config: Config) -> None:
        self.owner = os.getpid()
        """The process whose child holds the queue, or will."""
        self._config = config
        self._local = _Local()
        self._waiting = Waiting()
        self._channels = WeakSet[Channel]()
        self._bell = _Bell()
        self._bell_of = 0  # the process whose bell is known there
        self._lock = renewed(threading.Lock())
        self._control: socket.socket | None = None
        self._holder = 0
        self._ends_process = False

    @property
    def identity(self) -> str:
        """See :meth:`Storage.identity`."""
        return f"memory:{self.owner}:{self._config.alias}"

    def describe(self) -> str:
        """See :meth:`Storage.describe`."""
        return "the memory of a child process"

    # Where the queue is

    def start(self) -> None:
        """Start the process that holds the queue, unless it runs."""
        _ = self.control

    @property
    def control(self) -> socket.socket:
        """What leads to the process that holds the queue: readable when that is gone."""
        if self._control is None:
            with self._lock:
                if self._control is None:
                    self._control = self._start()
        return self._control

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.owner = parent = os.getpid()
        storage = MemoryStorage(self._config)

        def serve() -> None:
            ours.close()
            server = import_string("mainspring.backends.verb_server.VerbServer")
            server(storage, theirs, self._waiting).run(parent)

        with theirs:
            self._holder = fork(serve)
        return ours

    def end_process_with_it(self) -> None:
        """Have this process end at once when it finds that the queue is gone."""
        self._ends_process = True

    def _is_gone(self, error: OSError) -> NoReturn:
        if self._ends_process:
            os._exit(1)
        raise StoreUnavailable("The process that held the queue has ended.") from error

    def _ask(
        self, verb: str, args: Sequence[Any], kwargs: dict[str, Any], is_patient: bool = False
    ) -> Any:
        # ``is_patient``: there is no need to wait for the answer, if it raises nothing; the next to
        # ask in this thread takes it.
        try:
            channel = self._channel()
            succeeded, answer = True, _NO_ANSWER
            if self._local.is_awaited:
                self._local.is_awaited = False
                succeeded, answer = channel.receive()
            if succeeded:
                channel.send((verb, args, kwargs))
                self._local.is_awaited = is_patient
            if succeeded and not is_patient:
                succeeded, answer = channel.receive()
        except BaseException as error:
            # What ends a task can come in between: the next to ask must not get this answer.
            self.close_thread()
            if isinstance(error, OSError) and not isinstance(error, TaskTimeout):
                self._is_gone(error)
            raise
        if not succeeded:
            raise answer
        return answer

    def _channel(self) -> Channel:
        found = self._local.channel
        if found is None or self._local.pid != os.getpid():
            ours, theirs = socket.socketpair()
            with theirs:
                socket.send_fds(self.control, [HAIL.pack(CHANNEL, 0)], [theirs.fileno()])
            found = self._local.channel = Channel(ours)
            self._channels.add(found)
            self._local.pid, self._local.is_awaited = os.getpid(), False
        return found

    def close_thread(self) -> None:
        """See :meth:`Storage.close_thread`."""
        channel, self._local.channel = self._local.channel, None
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """See :meth:`Storage.close`; where the settings have changed, nobody gets at the queue."""
        self._bell.close()
        self._bell_of = 0
        self.close_thread()
        if self.is_closed and self._control is not None and self.owner == os.getpid():
            self._end(self._control)

    def _end(self, control: socket.socket) -> None:
        with suppress(OSError):
            control.shutdown(socket.SHUT_RDWR)  # for all who have it
        control.close()
        with suppress(ChildProcessError):  # somebody else has waited for all children
            os.waitpid(self._holder, 0)
        for channel in list(self._channels):
            channel.close()

    # Waiting

    def wait_for_work(self, timeout: float) -> bool:
        """See :meth:`Storage.wait_for_work`."""
        if self._bell_of != os.getpid():
            self._hang_up_bell()
        place = os.getpid() % PLACES
        self._waiting.set(place, True)
        try:
            return self._bell.wait(timeout)
        finally:
            self._waiting.set(place, False)

    def _hang_up_bell(self) -> None:
        try:
            hail = HAIL.pack(BELL, os.getpid() % PLACES)
            socket.send_fds(self.control, [hail], [self._bell.end_to_ring()])
        except OSError as error:
            self._is_gone(error)
        self._bell.take_one(_ANSWER)
        self._bell_of = os.getpid()

    def _forget_rings(self) -> None:
        # Before a claim, which sees what they rang for.
        if self._bell_of == os.getpid():
            self._bell.take_rings()

    def wake(self) -> None:
        """See :meth:`Storage.wake`."""
        self._bell.set()

    # Verbs for which less is needed than they are given

    def claims_held(self, jobs: Sequence[Job]) -> set[str]:
        """See :meth:`Storage.claims_held`."""
        found: set[str] = self._ask("claims_held", ([_light(job) for job in jobs],), {})
        return found

    def release(self, worker: Worker, jobs: Sequence[Job]) -> int:
        """See :meth:`Storage.release`."""
        released: int = self._ask("release", (worker, [_light(job) for job in jobs]), {})
        return released

    def divide(self, worker: Worker, job: Job, division: Division) -> bool:
        """See :meth:`Storage.divide`."""
        is_held: bool = self._ask("divide", (worker, _light(job), division), {})
        return is_held

    def save_metadata(self, job: Job, metadata: bytes | None) -> bool:
        """See :meth:`Storage.save_metadata`."""
        is_held: bool = self._ask("save_metadata", (_light(job), metadata), {})
        return is_held

    def rescue(self, now: int, lost: Sequence[LostWorker] = ()) -> list[Rescued]:
        """See :meth:`Storage.rescue`."""
        plain = [
            one._replace(
                started=dict(one.started),
                ended=dict(one.ended),
                overdue=dict(one.overdue),
                reached=dict(one.reached),
            )
            for one in lost
        ]
        rescued: list[Rescued] = self._ask("rescue", (now, plain), {})
        return rescued

    # Verbs that carry much

    def add_rows(self, map_id: str, rows: Sequence[Job], stored: int) -> None:
        """See :meth:`Storage.add_rows`.

        Where there is much to store, what this raises is raised by the next verb of the thread: the
        next rows are made meanwhile.
        """
        is_much = sum(len(row.arguments) for row in rows) > _MUCH
        self._ask("add_rows", (map_id, apart(rows), stored), {}, is_patient=is_much)

    def claim(self, worker: Worker, queues: Sequence[str], limit: int) -> list[Job]:
        """See :meth:`Storage.claim`."""
        self._forget_rings()
        jobs: list[Job] = self._ask("claim", (worker, queues, limit), {})
        self._look_again(jobs)
        return jobs

    def settle(self, worker: Worker, outcomes: Sequence[Outcome]) -> list[str]:
        """See :meth:`Storage.settle`."""
        lost: list[str] = self._ask("settle", (worker, apart(outcomes)), {})
        return lost

    def settle_and_claim(
        self,
        worker: Worker,
        outcomes: Sequence[Outcome],
        queues: Sequence[str],
        limit: int,
        freed: Collection[str] = (),
    ) -> tuple[list[str], list[Job]]:
        """See :meth:`Storage.settle_and_claim`."""
        if limit:
            self._forget_rings()
        asked = worker, apart(outcomes), queues, limit, freed
        found: tuple[list[str], list[Job]] = self._ask("settle_and_claim", asked, {})
        self._look_again(found[1])
        return found

    def _look_again(self, jobs: Sequence[Job]) -> None:
        # The claim was cut short by its bytes, so there may be more jobs.
        if sum(len(job.arguments) for job in jobs) >= MOST_CLAIMED:
            self.wake()

    # All others

    enqueue = _asked(Storage.enqueue)
    enqueue_unique = _asked(Storage.enqueue_unique)
    heartbeat = _asked(Storage.heartbeat)
    retire = _asked(Storage.retire)
    leases = _asked(Storage.leases)
    stage = _asked(Storage.stage)
    admit = _asked(Storage.admit)
    pause = _asked(Storage.pause)
    resume = _asked(Storage.resume)
    find_paused = _asked(Storage.find_paused)
    cancel = _asked(Storage.cancel)
    get_results = _asked(Storage.get_results)
    stats = _asked(Storage.stats)
    prune = _asked(Storage.prune)
    wait_until_final = _asked(MemoryStorage.wait_until_final)

    open_map = _asked(Storage.open_map)
    add_unique_rows = _asked(Storage.add_unique_rows)
    close_map = _asked(Storage.close_map)
    find_map = _asked(Storage.find_map)
    count_calls = _asked(Storage.count_calls)
    read_rows = _asked(Storage.read_rows)
    rows_in = _asked(Storage.rows_in)
    finish_map = _asked(Storage.finish_map)
    unfinished_maps = _asked(Storage.unfinished_maps)
    retry_failed = _asked(Storage.retry_failed)
    wait_until_map_ended = _asked(MemoryStorage.wait_until_map_ended)

    clock = _asked(Storage.clock)
    read_schedules = _asked(Storage.read_schedules)
    start_schedules = _asked(Storage.start_schedules)
    tick = _asked(Storage.tick)
    keep_schedules = _asked(Storage.keep_schedules)
    forget_schedules = _asked(Storage.forget_schedules)
    pause_schedule = _asked(Storage.pause_schedule)
    resume_schedule = _asked(Storage.resume_schedule)
    list_schedules = _asked(Storage.list_schedules)


class _Local(threading.local):
    channel: Channel | None = None
    pid = 0
    is_awaited = False
    """Is there an answer that nobody has taken?"""


class _Bell(SignalPipe):
    """The pipe that wakes this process; who holds the queue writes to it, too."""

    def end_to_ring(self) -> int:
        """Return the descriptor to write to."""
        self.open()
        if self._pipe is None:
            raise AssertionError("open() makes the pipe.")
        return self._pipe[1]

    def take_one(self, timeout: float) -> None:
        """Wait until it is rung, and take no more than that."""
        descriptor = self.open()
        connection.wait([descriptor], timeout)
        with suppress(BlockingIOError):
            os.read(descriptor, 1)

    def take_rings(self) -> None:
        """Take what it was rung, but not what it was set by this process."""
        with suppress(BlockingIOError):
            os.read(self.open(), _MOST_RINGS)


def _light(job: Job) -> Job:
    # Whether its claim holds, its id and claim say.
    return job._replace(arguments=b"", errors=None, return_value=None)
