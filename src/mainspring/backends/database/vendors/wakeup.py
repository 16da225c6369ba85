"""Waking a worker of the same machine: through a named pipe, or inside the process."""

import errno
import os
import select
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

_SAFETY_POLL: Final = 0.05  # seconds, where no pipe can be made


class Wakeup(Protocol):
    """Tells workers that there may be work."""

    def notify(self) -> None:
        """Wake a worker that waits, in any process."""

    def forget(self) -> bool:
        """Take back notifications that nobody has waited for; whether there were any."""

    def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds; whether notified or interrupted."""

    def interrupt(self) -> None:
        """End the present or next wait of this process."""

    def close(self) -> None:
        """Close what is open."""


class LocalWakeup:
    """Within one process: for a database in memory."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def notify(self) -> None:
        """Wake the process's own worker."""
        self._event.set()

    interrupt = notify

    def forget(self) -> bool:
        """Take back a notification."""
        was_set = self._event.is_set()
        self._event.clear()
        return was_set

    def wait(self, timeout: float) -> bool:
        """Wait for a notification."""
        woken = self._event.wait(timeout)
        self._event.clear()
        return woken

    def close(self) -> None:
        """Nothing is open."""


class PipeWakeup:
    """Between processes: a named pipe that every worker polls and every producer writes to.

    A byte stays in the pipe until a worker takes it, so none comes too early; all workers that
    poll see it, so none comes to a dead one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: int | None = None
        self._reader: int | None = None
        self._own: tuple[int, int] | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def notify(self) -> None:
        """Write a byte, if any worker has the pipe open; 1 µs."""
        for _ in range(2):
            if self._writer is None and not self._open_writer():
                return
            try:
                os.write(self._writer, b"\0")  # type: ignore[arg-type] # opened above
            except BlockingIOError:  # full of bytes: every worker has been told
                return
            except OSError:  # the workers are gone, and others may have come since
                self._writer = None
            else:
                return

    def _open_writer(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT, errno.EACCES, errno.EPERM):
                return False  # nobody waits, or not for us: workers look by themselves, too
            raise
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return False
        self._writer = descriptor
        return True

    def forget(self) -> bool:
        """Read all bytes there are."""
        if self._reader is None:
            return False
        found = False
        with suppress(BlockingIOError):
            while os.read(self._reader, 65536):
                found = True
        return found

    def wait(self, timeout: float) -> bool:
        """Wait for a byte in the pipe, which is left there, or for :meth:`interrupt`."""
        self._open_reader()
        assert self._own is not None
        poll = select.poll()
        poll.register(self._own[0], select.POLLIN)
        if self._reader is not None:
            poll.register(self._reader, select.POLLIN)
        else:
            timeout = min(timeout, _SAFETY_POLL)
        ready = poll.poll(timeout * 1000)
        with suppress(BlockingIOError):
            os.read(self._own[0], 4096)
        return bool(ready)

    def interrupt(self) -> None:
        """End the present or next wait of this process."""
        self._open_reader()
        assert self._own is not None
        with suppress(BlockingIOError):
            os.write(self._own[1], b"\0")

    def _open_reader(self) -> None:
        with self._lock:
            if self._pid != os.getpid():  # forked: the parent's own pipe is not ours
                self.close()
                self._pid = os.getpid()
            if self._own is not None:
                return
            own = os.pipe()
            for descriptor in own:
                os.set_blocking(descriptor, False)
            with suppress(OSError):  # without it, the safety poll has to do
                with suppress(FileExistsError):
                    os.mkfifo(self._path, 0o666)
                # Open for writing as well: the pipe then never reports that its writers are gone.
                self._reader = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
            self._own = own

    def close(self) -> None:
        """Close the descriptors; the pipe stays for others."""
        for descriptor in (self._writer, self._reader, *(self._own or ())):
            if descriptor is not None:
                os.close(descriptor)
        self._writer = self._reader = self._own = None
