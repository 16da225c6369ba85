"""The process that enqueues with a rival's own calls, told what to do by lines of JSON.

It runs in the rival's environment; ``mainspring.bench.rivals.client`` is the other end. Each
request is one line, ``{"do": COMMAND, …}``, and has one answer, ``{"value": …}`` or
``{"error": …}``.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TextIO

Calls = list[tuple[int, int]]


class Client:
    """What an adapter can do with its rival; to be subclassed."""

    chunk = 1000
    """How many calls ``enqueue_many`` is given at a time."""
    has_bulk = True

    def prepare(self) -> str:
        """Make a fresh home for the rival's queue; return the server's name and version."""
        raise NotImplementedError

    def open(self) -> None:
        """Connect."""

    def enqueue(self, number: int, stamp: int) -> object:
        """Enqueue one call of the no-op task."""
        raise NotImplementedError

    def enqueue_many(self, calls: Calls) -> object:
        """Enqueue all ``calls`` with the rival's bulk call."""
        raise NotImplementedError

    def stored(self) -> int | None:
        """Return how many outcomes are stored, or None where the rival stores none."""
        return None

    def empty(self) -> None:
        """Delete all jobs and results."""
        raise NotImplementedError

    def drop(self) -> None:
        """Remove what ``prepare`` made."""


class AsyncClient:
    """As Client, of coroutines: all of them run in one task, as an async context manager."""

    chunk = 1000
    has_bulk = True

    async def prepare(self) -> str:
        raise NotImplementedError

    async def open(self) -> None:
        pass

    async def enqueue(self, number: int, stamp: int) -> object:
        raise NotImplementedError

    async def enqueue_many(self, calls: Calls) -> object:
        raise NotImplementedError

    async def stored(self) -> int | None:
        return None

    async def empty(self) -> None:
        raise NotImplementedError

    async def drop(self) -> None:
        pass


def serve(client: Client) -> None:
    """Do what the lines of standard input say, until there are no more."""
    answers = _answers()
    commands: dict[str, Callable[..., Any]] = {
        "one_by_one": lambda number: _one_by_one(client, number),
        "bulk": lambda number: _bulk(client, number),
        "probe": lambda number, gap: _probe(client, number, gap),
        "has_bulk": lambda: client.has_bulk,
    }
    for line in sys.stdin:
        request = json.loads(line)
        command = request.pop("do")
        try:
            value = (commands.get(command) or getattr(client, command))(**request)
        except Exception as error:  # noqa: BLE001 # told to the other end, which decides
            _answer(answers, error=_told(error))
        else:
            _answer(answers, value=value)


def serve_async(client: AsyncClient, run: Callable[[Any], object] = asyncio.run) -> None:
    """As ``serve``, for coroutines; ``run`` may be that of another event loop."""
    run(_serve_async(client))


async def _serve_async(client: AsyncClient) -> None:
    answers = _answers()
    commands: dict[str, Callable[..., Awaitable[Any]]] = {
        "one_by_one": lambda number: _one_by_one_async(client, number),
        "bulk": lambda number: _bulk_async(client, number),
        "probe": lambda number, gap: _probe_async(client, number, gap),
    }
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        command = request.pop("do")
        if command == "has_bulk":
            _answer(answers, value=client.has_bulk)
            continue
        try:
            value = await (commands.get(command) or getattr(client, command))(**request)
        except Exception as error:  # noqa: BLE001 # told to the other end, which decides
            _answer(answers, error=_told(error))
        else:
            _answer(answers, value=value)


def _one_by_one(client: Client, number: int) -> float:
    start = time.perf_counter()
    for i in range(number):
        client.enqueue(i, 0)
    return time.perf_counter() - start


async def _one_by_one_async(client: AsyncClient, number: int) -> float:
    start = time.perf_counter()
    for i in range(number):
        await client.enqueue(i, 0)
    return time.perf_counter() - start


def _bulk(client: Client, number: int) -> float:
    chunks = list(_chunks(number, client.chunk))
    start = time.perf_counter()
    for calls in chunks:
        client.enqueue_many(calls)
    return time.perf_counter() - start


async def _bulk_async(client: AsyncClient, number: int) -> float:
    chunks = list(_chunks(number, client.chunk))
    start = time.perf_counter()
    for calls in chunks:
        await client.enqueue_many(calls)
    return time.perf_counter() - start


def _probe(client: Client, number: int, gap: float) -> None:
    for i, pause in enumerate(_pauses(number, gap)):
        client.enqueue(i, time.monotonic_ns())
        time.sleep(pause)


async def _probe_async(client: AsyncClient, number: int, gap: float) -> None:
    for i, pause in enumerate(_pauses(number, gap)):
        await client.enqueue(i, time.monotonic_ns())
        await asyncio.sleep(pause)


def _pauses(number: int, gap: float) -> Iterator[float]:
    # Uneven, so that they do not keep step with a worker that polls.
    return (gap * random.uniform(0.5, 1.5) for _ in range(number))  # noqa: S311


def _chunks(number: int, size: int) -> Iterator[Calls]:
    for first in range(0, number, size):
        yield [(i, 0) for i in range(first, min(first + size, number))]


def _answers() -> TextIO:
    # Whatever the rival prints goes to the log, not among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, **content: Any) -> None:
    print(json.dumps(content), file=answers, flush=True)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
