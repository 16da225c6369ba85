"""Boards, journals and notes that are damaged, older or newer: none stops another rescue."""

import logging
import os
import random
import struct
from pathlib import Path

import pytest

from mainspring.core import clock
from mainspring.core.jobs import Worker
from mainspring.exceptions import NewerFormat, Unreadable
from mainspring.runtime import lost, unreadable_files
from mainspring.runtime.board import FORMAT, Board
from mainspring.runtime.boards import boards

ONE, TWO = (f"{number:032x}" for number in (1, 2))
STORE = "a store"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(unreadable_files, "_told", set())


def left_by(worker: str) -> Path:
    """Return the board of a process that has died while it ran a job, and had another ended."""
    board = Board.create(STORE, worker)
    board._map[4:5] = b"\1"  # it had come alive
    board.start(ONE, 10)
    board.start(TWO, 20)
    board.end(TWO)
    board.close()
    return board.path


def lost_ones() -> dict[str, object]:
    return {one.worker_id: one for one in lost.find_lost(STORE)}


def with_bytes(path: Path, at: int, written: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(written)


def test_a_newer_board_is_left_alone_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    newer, ours = left_by("newer"), left_by("ours")
    with_bytes(newer, 0, b"MSB%d" % (FORMAT + 1))
    os.utime(newer, (0, 0))
    with pytest.raises(NewerFormat, match=f"reads up to {FORMAT}"):
        Board(newer)
    for _ in range(2):
        assert lost_ones().keys() == {"ours"}
    assert newer.exists()
    assert len([one for one in caplog.records if str(newer) in one.getMessage()]) == 1
    assert ours.exists()


@pytest.mark.parametrize("size", [64 * 1024, 128 * 1024])
def test_of_an_older_board_it_is_known_that_its_process_is_dead(size: int) -> None:
    older = left_by("older")
    with_bytes(older, 0, b"MSB1")
    os.truncate(older, size)
    (found,) = lost.find_lost(STORE)
    assert (found.worker_id, found.started) == ("older", {})
    assert found.started_at is not None
    assert found.has_started(ONE)
    lost.forget(STORE, found)
    assert not older.exists()


def test_a_damaged_board_is_set_aside_when_its_process_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged, ours = left_by("damaged"), left_by("ours")
    with_bytes(damaged, 0, b"\xff\x00GO")
    with pytest.raises(Unreadable, match="does not start with the header of a board"):
        Board(damaged)
    assert lost_ones().keys() == {"ours"}
    assert damaged.exists()  # it may just be being made
    os.utime(damaged, (0, 0))
    assert lost_ones().keys() == {"ours"}
    assert not damaged.exists()
    assert damaged.with_name(f"damaged-{damaged.name}").exists()
    assert [one.levelno for one in caplog.records] == [logging.WARNING, logging.ERROR]
    assert ours.exists()


def test_moments_and_a_status_that_cannot_be_are_none() -> None:
    path = left_by("a-worker")
    with_bytes(path, 64 + 32, struct.pack("<q", 2**62))
    with_bytes(path, 8, struct.pack("<i", 0x7F7F7F7F))
    before = clock.now()
    (found,) = lost.find_lost(STORE)
    assert before <= found.started[ONE] <= clock.now()
    assert found.ended == {TWO: 20}


def test_whatever_is_damaged_in_a_board_the_others_are_found() -> None:
    """Random bytes in random places, from a seed."""
    chance = random.Random(11)
    whole = left_by("whole")
    for number in range(100):
        path = left_by(f"damaged-{number}")
        for _ in range(chance.randint(1, 20)):
            at = chance.choice([chance.randrange(64), chance.randrange(300)])
            with_bytes(path, at, chance.randbytes(chance.choice([1, 1, 4, 8])))
        if chance.random() < 0.3:
            os.truncate(path, chance.randrange(1000))
        if chance.random() < 0.5:
            os.utime(path, (0, 0))
        found = lost_ones()
        assert "whole" in found
        for one in boards(STORE):
            if one.path != whole:
                one.remove()
            one.close()
        path.unlink(missing_ok=True)


def test_a_journal_that_cannot_be_read_tells_at_least_that_its_process_is_dead(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left_by("one")
    left_by("two")
    read = Board.read

    def read_or_fail(board: Board) -> object:
        if board.worker_id == "one":
            raise RuntimeError("of a kind that nobody foresaw")
        return read(board)

    monkeypatch.setattr(Board, "read", read_or_fail)
    for _ in range(2):
        found = {one.worker_id: one for one in lost.find_lost(STORE)}
    assert (found["one"].started, found["two"].started) == ({}, {ONE: 10})
    assert found["one"].has_started(ONE)
    assert caplog.text.count("of a kind that nobody foresaw") == 1


def test_the_token_of_a_worker_of_this_format_says_nothing() -> None:
    assert "~" not in Worker("host-1-abcdef", 1).id
