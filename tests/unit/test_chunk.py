"""The state of a row while it runs: slices, cuts, and what is given away."""

import threading

import pytest

from mainspring.core import codec
from mainspring.core.jobs import Job, State
from mainspring.runtime.chunk import Chunk

JOB = Job("0" * 32, "default", "m.f", "default", 0, 0, State.RUNNING, 1, b"[]", None, 0)


def chunk_of(number: int) -> Chunk:
    items = list(range(number))
    return Chunk(JOB._replace(arguments=codec.encode(items)), items, 0)


def run_all(chunk: Chunk, size: int) -> None:
    while (calls := chunk.next_slice(size)) is not None:
        chunk.values.extend(calls)


def test_slices_bring_all_calls_in_order() -> None:
    chunk = chunk_of(10)
    run_all(chunk, 3)
    assert chunk.values == list(range(10))
    assert not chunk.has_more


def test_the_rest_of_a_slice_follows_a_failure() -> None:
    chunk = chunk_of(5)
    calls = chunk.next_slice(5)
    assert calls is not None
    chunk.values.extend(calls[:2])
    chunk.values.append(None)
    assert chunk.rest_of_slice() == [3, 4]


def test_what_has_not_begun_is_taken_away() -> None:
    chunk = chunk_of(10)
    calls = chunk.next_slice(1)
    assert calls == [0]
    assert chunk.take_rest() == 1  # the one that runs stays
    chunk.values.extend(calls)
    assert chunk.next_slice(5) is None
    assert chunk.take_rest() is None


def test_what_was_taken_away_can_be_put_back() -> None:
    chunk = chunk_of(10)
    assert chunk.next_slice(1) == [0]
    assert chunk.take_rest() == 1
    chunk.put_back()
    chunk.values.append(0)
    run_all(chunk, 4)
    assert chunk.values == list(range(10))


def test_nothing_is_taken_from_the_last_call() -> None:
    chunk = chunk_of(2)
    run_all(chunk, 1)
    assert chunk.take_rest() is None


def test_a_slice_is_cut_after_the_call_that_runs() -> None:
    chunk = chunk_of(10)
    calls = chunk.next_slice(10)
    assert calls is not None
    ran: list[int] = []

    def call(item: int) -> int:
        ran.append(item)
        if item == 3:
            chunk.cut_slice()
        return item

    chunk.values.extend(map(call, calls))
    assert ran == [0, 1, 2, 3]
    run_all(chunk, 10)
    assert chunk.values == list(range(10))


def test_what_runs_is_taken_away_in_the_middle_of_a_slice() -> None:
    chunk = chunk_of(10)
    calls = chunk.next_slice(10)
    assert calls is not None
    kept: list[int | None] = []

    def call(item: int) -> int:
        if item == 6:
            kept.append(chunk.take_rest())
        return item

    chunk.values.extend(map(call, calls))
    assert kept == [7]
    assert chunk.values == list(range(7))
    assert chunk.next_slice(10) is None


def test_the_values_so_far_stay_when_a_call_raises() -> None:
    """What the runner builds on: list.extend() keeps what it has got."""
    values: list[int] = []

    def call(item: int) -> int:
        if item == 3:
            raise ValueError
        return item

    with pytest.raises(ValueError, match=r"^$"):
        values.extend(map(call, range(10)))
    assert values == [0, 1, 2]


def raced(size: int) -> None:
    chunk, begun, kept = chunk_of(2000), threading.Event(), list[int | None]()

    def take() -> None:
        begun.wait()
        chunk.cut_slice()
        kept.append(chunk.take_rest())

    other = threading.Thread(target=take)
    other.start()
    while (calls := chunk.next_slice(size)) is not None:
        begun.set()
        chunk.values.extend(map(int, calls))
    other.join()
    (number,) = kept
    assert chunk.values == list(range(2000 if number is None else number))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_two_threads_never_have_one_call_twice(size: int) -> None:
    """One runs, another takes away what it can: each call is with exactly one of them."""
    for _ in range(30):
        raced(size)


def test_what_was_given_away_is_forgotten() -> None:
    chunk = chunk_of(10)
    assert chunk.next_slice(1) == [0]
    keep = chunk.take_rest()
    assert keep == 1
    kept = JOB._replace(arguments=b"[0]")
    chunk.given_away(kept, [0])
    chunk.values.append(0)
    assert (chunk.job, chunk.items, chunk.has_more) == (kept, [0], False)
