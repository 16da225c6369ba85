"""Waking the workers of the same machine: through named pipes, or inside the process."""

import os
import select
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final, Protocol

from mainspring.backends.locks import renewed

_SAFETY_POLL: Final = 0.05  # seconds, where no pipe can be made
_CLOCK_TICK: Final = 20_000_000  # nanoseconds, at most, from one file time to the next
_LOOK_AGAIN: Final = 1.0  # seconds after which a producer looks for new pipes in any case


class Wakeup(Protocol):
    """Tells workers that there may be work."""

    def notify(self) -> None:
        """Wake all workers that wait, in any process."""

    def forget(self) -> bool:
        """Take back notifications that this process has not waited for; whether there were any."""

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
        self._interrupted = False

    def notify(self) -> None:
        """Wake the process's own worker."""
        self._event.set()

    def forget(self) -> bool:
        """Take back a notification."""
        was_set = self._event.is_set()
        self._event.clear()
        return was_set

    def wait(self, timeout: float) -> bool:
        """Wait for a notification or for :meth:`interrupt`."""
        woken = self._interrupted or self._event.wait(timeout)
        self._event.clear()
        self._interrupted = False
        return woken

    def interrupt(self) -> None:
        """End the present or next wait."""
        self._interrupted = True
        self._event.set()

    def close(self) -> None:
        """Nothing is open."""


class PipeWakeup:
    """Between processes: each worker has a named pipe in a folder, each producer writes to all.

    A byte stays in the pipe until its worker takes it, so none comes too early; and as every
    worker has a pipe of its own, none takes the byte that another needs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = renewed(threading.Lock())
        self._pid = os.getpid()
        self._reset()

    def _reset(self) -> None:
        self._writers: dict[str, int] = {}
        self._seen: tuple[int, float] = (0, 0.0)  # the folder's change time, and when we looked
        self._pipe: tuple[Path, int] | None = None
        self._own: tuple[int, int] | None = None
        self._interrupted = False

    def notify(self) -> None:
        """Write a byte to each worker's pipe: 2 µs and 1 µs for each worker."""
        with self._lock:
            self._look_for_pipes()
            for name, descriptor in list(self._writers.items()):
                try:
                    os.write(descriptor, b"\0")
                except BlockingIOError:
                    pass  # full of bytes: told already
                except OSError:  # the worker is gone
                    del self._writers[name]
                    os.close(descriptor)

    def _look_for_pipes(self) -> None:
        self._forget_parent()
        now = time.monotonic()
        try:
            changed_at = self._folder.stat().st_mtime_ns
        except OSError:  # no worker has been here yet, or none that we may wake
            return
        if changed_at == self._seen[0] and now < self._seen[1] + _LOOK_AGAIN:
            return
        # What changes again before the file system's clock ticks shows the same time.
        is_settled = time.time_ns() - changed_at > _CLOCK_TICK
        self._seen = (changed_at if is_settled else 0, now)
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name not in self._writers and not entry.name.startswith("."):
                    self._open_writer(Path(entry.path))

    def _open_writer(self, path: Path) -> None:
        with suppress(OSError):  # without a reader: a worker that starts or was killed
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                self._writers[path.name] = descriptor
            else:
                os.close(descriptor)

    def forget(self) -> bool:
        """Read all bytes there are; at first there may have been some that had no pipe yet."""
        if self._own is None or self._pid != os.getpid():
            self._open_reader()
            return True
        if self._pipe is None:
            return False
        found = False
        with suppress(BlockingIOError):
            while os.read(self._pipe[1], 65536):
                found = True
        return found

    def wait(self, timeout: float) -> bool:
        """Wait for a byte in the pipe, which is left there, or for :meth:`interrupt`."""
        own = self._open_reader()
        poll = select.poll()
        poll.register(own[0], select.POLLIN)
        if self._pipe is not None:
            poll.register(self._pipe[1], select.POLLIN)
        else:
            timeout = min(timeout, _SAFETY_POLL)
        woken = self._interrupted or bool(poll.poll(timeout * 1000))
        with suppress(BlockingIOError):
            os.read(own[0], 4096)
        self._interrupted = False
        return woken

    def interrupt(self) -> None:
        """End the present or next wait of this process; may be called by a signal handler."""
        self._interrupted = True
        if self._own is not None and self._pid == os.getpid():
            with suppress(BlockingIOError):
                os.write(self._own[1], b"\0")

    def _open_reader(self) -> tuple[int, int]:
        with self._lock:
            self._forget_parent()
            if self._own is None:
                self._make_pipe()
                own = os.pipe()
                for descriptor in own:
                    os.set_blocking(descriptor, False)
                self._own = own
            return self._own

    def _make_pipe(self) -> None:
        path = self._folder / f"{self._pid}-{token_hex(4)}"
        with suppress(OSError):  # without it, the safety poll has to do
            rights = stat.S_IMODE(self._folder.parent.stat().st_mode)
            if not self._folder.exists():
                self._folder.mkdir(exist_ok=True)
                self._folder.chmod(rights)
            self._remove_dead_pipes()
            hidden = path.with_name(f".{path.name}")
            os.mkfifo(hidden)
            hidden.chmod(rights & 0o666)
            # Open for writing as well: the pipe then never reports that its writers are gone.
            descriptor = os.open(hidden, os.O_RDWR | os.O_NONBLOCK)
            # Producers see it only now: those that met it without a reader would not come again.
            hidden.rename(path)
            self._pipe = (path, descriptor)

    def _remove_dead_pipes(self) -> None:
        for path in self._folder.iterdir():
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # nobody reads it
                with suppress(OSError):  # another worker removes it as well
                    if time.time() - path.stat().st_mtime > 60:
                        path.unlink()

    def _forget_parent(self) -> None:
        # After a fork, the parent's pipes are not ours.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._close_all()

    def close(self) -> None:
        """Close the descriptors, and remove the pipe of this process."""
        with self._lock:
            if self._pipe is not None and self._pid == os.getpid():
                self._pipe[0].unlink(missing_ok=True)
            self._close_all()

    def _close_all(self) -> None:
        own = [] if self._own is None else list(self._own)
        pipe = [] if self._pipe is None else [self._pipe[1]]
        for descriptor in (*self._writers.values(), *pipe, *own):
            os.close(descriptor)
        self._reset()
