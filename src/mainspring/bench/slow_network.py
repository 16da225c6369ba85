"""A network that takes its time: a proxy which delays what passes, and does not make it less.

What is sent while other data is under way follows at the same distance, as on a long cable; so it
is round trips that cost, and nothing else.
"""

import asyncio
import selectors
import subprocess
import sys
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

_UNDER_WAY: Final = 64 * 2**20  # bytes, per direction; 50 MB/s with a delay of 1 s
_STARTS_WITHIN: Final = 30  # seconds


class SlowNetwork:
    """A process that listens on loopback, at ``port``, and passes all on to a server and back.

    ``host`` is a name, an address, a Unix socket or the folder that has PostgreSQL's. Each
    direction takes ``delay_seconds``, so that a round trip takes twice as long. A context manager:
    the process ends with the block, or with the process that made it.
    """

    def __init__(self, host: str | Path, port: int | str, delay_seconds: float) -> None:
        self._arguments = [str(host), str(port), str(delay_seconds)]
        self.host: Final = "127.0.0.1"
        self.port = 0
        """Known within the block."""

    def __enter__(self) -> Self:
        """Start the process; raise ``RuntimeError`` if it ends at once."""
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "mainspring.bench.slow_network", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for whoever uses it
        )
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            self.__exit__()
            raise RuntimeError(f"No proxy to {self._arguments[0]}: its process has ended.")
        self.port = int(line)
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, and all connections with it."""
        self._process.communicate(timeout=_STARTS_WITHIN)


class _Side(asyncio.Protocol):
    """One end of a connection; what it receives is sent by its ``peer``, later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        self._loop = loop
        self._delay = delay
        self._transport: asyncio.Transport | None = None
        self.peer: _Side | None = None
        # What is to be sent by this side, and when; b"" ends this direction, None the connection.
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_blocked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._send_what_is_due()

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.send_later(data)
            if self.peer.is_full and self._transport is not None:
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        if self.peer is not None:
            self.peer.send_later(b"")
        return True  # the other direction goes on

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self.peer is not None:
            self.peer.send_later(None)

    @property
    def is_full(self) -> bool:
        return self._bytes > _UNDER_WAY

    def send_later(self, data: bytes | None) -> None:
        self._waiting.append((self._loop.time() + self._delay, data))
        self._bytes += len(data or b"")
        if self._timer is None:
            self._send_what_is_due()

    def _send_what_is_due(self) -> None:
        self._timer = None
        if self._transport is None:
            return
        now = self._loop.time()
        while self._waiting and not self._is_blocked:
            due, data = self._waiting[0]
            if due > now:
                self._timer = self._loop.call_at(due, self._send_what_is_due)
                break
            self._waiting.popleft()
            self._bytes -= len(data or b"")
            if data:
                self._transport.write(data)
            elif data is None:
                self._transport.close()
            elif self._transport.can_write_eof():
                self._transport.write_eof()
        if self.peer is not None and not self.is_full:
            self.peer.resume()

    def pause_writing(self) -> None:
        self._is_blocked = True

    def resume_writing(self) -> None:
        self._is_blocked = False
        if self._timer is None:
            self._send_what_is_due()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()


class _Front(_Side):
    """The end at the client; it makes the other one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float, connect: Any) -> None:
        super().__init__(loop, delay)
        self._connect = connect

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = _Side(self._loop, self._delay)
        self.peer.peer = self
        self._connecting = self._loop.create_task(self._reach())

    async def _reach(self) -> None:
        try:
            await self._connect(lambda: self.peer)
        except OSError:
            self.send_later(None)


def _connector(loop: asyncio.AbstractEventLoop, host: str, port: int) -> Any:
    if not host.startswith("/"):
        return partial(loop.create_connection, host=host, port=port)
    path = Path(host)
    socket = path / f".s.PGSQL.{port}" if path.is_dir() else path
    return partial(loop.create_unix_connection, path=str(socket))


async def _serve(host: str, port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    connect = _connector(loop, host, port)
    server = await loop.create_server(lambda: _Front(loop, delay, connect), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)  # it says nothing, and ends with whoever started this
    await ended.wait()
    server.close()


def main(host: str, port: str, delay: str) -> None:
    """Pass connections on until the standard input ends."""

    def new_loop() -> asyncio.AbstractEventLoop:
        # Others wait for whole milliseconds.
        return asyncio.SelectorEventLoop(selectors.SelectSelector())

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(host, int(port), float(delay)))


if __name__ == "__main__":
    main(*sys.argv[1:])
