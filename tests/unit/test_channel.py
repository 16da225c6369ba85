"""The channel between processes that share a queue in memory, and what wakes those that wait."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from mainspring.backends.bells import Bells, Waiting
from mainspring.backends.channel import Channel, apart
from mainspring.core.jobs import Job


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, other = map(Channel, socket.socketpair())
    yield one, other
    one.close()
    other.close()


def job(arguments: bytes) -> Job:
    return Job("id", "default", "path", "default", 0, 0, 1, None, arguments, None, 0)


@pytest.mark.parametrize("sizes", [[], [0], [10], [8192, 8193], [100_000] * 30, [10_000] * 1100])
def test_what_is_sent_comes(ends: tuple[Channel, Channel], sizes: list[int]) -> None:
    """Short and long, few and many at once, one message right behind the other."""
    jobs = [job(os.urandom(size)) for size in sizes]
    sender = threading.Thread(target=lambda: [ends[0].send(apart(jobs)) for _ in range(3)])
    sender.start()
    received = [ends[1].receive() for _ in range(3)]
    sender.join()
    assert received == [jobs] * 3
    assert all(type(one.arguments) is bytes for one in received[0])


def test_who_waits_is_told_that_nobody_is_there(ends: tuple[Channel, Channel]) -> None:
    ends[0].close()
    with pytest.raises(OSError, match="closed"):
        ends[1].receive()


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    made = [os.pipe() for _ in range(3)]
    for pipe in made:
        for descriptor in pipe:
            os.set_blocking(descriptor, False)
    yield made
    for reader, writer in made:
        os.close(reader)
        os.close(writer)


def rung(pipes: list[tuple[int, int]]) -> list[int]:
    """Return how often each was rung since."""
    found = []
    for reader, _ in pipes:
        try:
            found.append(len(os.read(reader, 100)))
        except BlockingIOError:
            found.append(0)
    return found


def test_one_of_those_that_wait_is_rung(pipes: list[tuple[int, int]]) -> None:
    """And all that do not wait; where the first leaves something, the next."""
    waiting = Waiting()
    bells = Bells(waiting)
    for place, (_, writer) in enumerate(pipes):
        bells.add(place, writer)
    assert rung(pipes) == [1, 1, 1]
    bells.ring()
    assert rung(pipes) == [1, 1, 1]
    waiting.set(0, True)
    waiting.set(1, True)
    bells.ring()
    assert rung(pipes) == [1, 0, 1]
    bells.ring_next()
    assert rung(pipes) == [0, 1, 0]
    bells.ring_next()
    assert rung(pipes) == [0, 0, 0]


def test_who_is_gone_is_rung_no_more() -> None:
    reader, writer = os.pipe()
    bells = Bells(Waiting())
    bells.add(0, writer)
    os.close(reader)
    bells.ring()
    bells.ring()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(writer)
