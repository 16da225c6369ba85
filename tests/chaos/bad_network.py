"""A network that delays, holds and cuts, as a test likes: a proxy in a thread."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

_CHUNK = 2**16

type Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class _Connection:
    """One connection that passes."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self.flows = asyncio.Event()
        self.flows.set()
        self.is_to_be_cut = False

    def abort(self) -> None:
        """Cut it at both ends, without the end of a message."""
        self.flows.set()
        for writer in self._writers:
            writer.transport.abort()


class BadNetwork:
    """Listens on loopback, at ``port``, and passes all on to a server and back; a context manager.

    ``host`` is a name, an address, or the folder that has PostgreSQL's socket.
    """

    host = "127.0.0.1"

    def __init__(self, host: str, port: int, chance: random.Random) -> None:
        self._address = (host, port)
        self._chance = chance
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bad-network")
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self.port = 0
        """Known within the block."""
        self.done = Counter[str]()
        """What was done to connections, and how often."""

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, self.host, 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        """Cut all and end."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _end(self) -> None:
        self._server.close()
        while self._tasks:
            self._abort(self._connections)
            await asyncio.wait(self._tasks)

    # What a test does

    def slow_down(self, seconds: float) -> None:
        """Have all that passes from now on take up to so long."""
        self._delay = seconds
        self.done["slowed down"] += seconds > 0

    def cut(self, share: float = 1.0) -> None:
        """Cut connections in the middle of the next message that passes, whichever its direction.

        Of what is cut, the first half arrives.
        """
        self._do(self._mark, share)

    def left_to_cut(self) -> int:
        """Return how many connections wait for a message to be cut in."""

        async def count() -> int:
            return sum(one.is_to_be_cut for one in self._connections)

        left: int = self._run(count())
        return left

    def hold(self, share: float = 1.0) -> None:
        """Have nothing pass on these connections, and leave both ends in doubt about it."""
        self._do(self._hold, share)

    def let_go(self) -> None:
        """Have pass what was held."""
        self._do(self._let_go, 1.0)

    def drop(self) -> None:
        """Cut what is held: what was sent in the meantime never arrives."""
        self._do(self._drop, 1.0)

    def _do(self, action: Callable[[list[_Connection]], None], share: float) -> None:
        async def act() -> None:
            action([one for one in self._connections if self._chance.random() < share])

        self._run(act())

    def _mark(self, chosen: list[_Connection]) -> None:
        for connection in chosen:
            connection.is_to_be_cut = True

    def _hold(self, chosen: list[_Connection]) -> None:
        self.done["connections held for longer than a lease"] += len(chosen)
        for connection in chosen:
            connection.flows.clear()

    def _let_go(self, chosen: list[_Connection]) -> None:
        for connection in chosen:
            connection.flows.set()

    def _drop(self, chosen: list[_Connection]) -> None:
        held = [connection for connection in chosen if not connection.flows.is_set()]
        self.done["connections dropped after that"] += len(held)
        self._abort(held)

    def _abort(self, chosen: "list[_Connection] | set[_Connection]") -> None:
        for connection in list(chosen):
            connection.abort()

    # Passing on

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError):
                await self._join(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await self._connect()
        connection = _Connection(writer, server_writer)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pass_on(connection, reader, server_writer, "to the server"),
                self._pass_on(connection, server_reader, writer, "to the client"),
            )
        finally:
            self._connections.discard(connection)
            connection.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._address
        if host.startswith("/"):
            return await asyncio.open_unix_connection(Path(host) / f".s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _pass_on(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: str,
    ) -> None:
        while data := await reader.read(_CHUNK):
            if self._delay:
                await asyncio.sleep(self._chance.uniform(0, self._delay))
            await connection.flows.wait()
            if connection.is_to_be_cut:
                writer.write(data[: len(data) // 2])
                with suppress(OSError):
                    await writer.drain()
                self.done[f"connections cut within a message {direction}"] += 1
                connection.abort()
                return
            writer.write(data)
            await writer.drain()
        connection.abort()  # clients of databases do not end the two directions one by one
