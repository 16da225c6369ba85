import pytest

from mainspring.runtime import board as board_module
from mainspring.runtime.board import Board, NoBoard

ONE, TWO, THREE = (f"{number:032x}" for number in (1, 2, 3))


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Board.create("a store", "a-worker")
    yield made
    made.close()


def test_a_new_board_is_empty(board):
    assert board.read() == ({}, {})
    assert board.worker_id == "a-worker"


def test_what_runs_and_what_has_ended_are_told_apart(board):
    board.start(ONE, 10)
    board.start(TWO, 20)
    board.end(ONE)
    assert board.read() == ({TWO: 20}, {ONE: 10})


def test_what_is_settled_is_struck_out_and_the_rest_keeps_its_state(board):
    for moment, job_id in enumerate((ONE, TWO, THREE)):
        board.start(job_id, moment)
    board.end(ONE)
    board.end(THREE)
    board.settled({ONE})
    assert board.read() == ({TWO: 1}, {THREE: 2})
    board.end(TWO)
    board.settled({TWO})
    assert board.read() == ({}, {THREE: 2})
    board.start(ONE, 30)
    assert board.read() == ({ONE: 30}, {THREE: 2})


def test_it_is_read_as_written_by_another_who_opens_it(board):
    board.start(ONE, 10)
    another = Board(board.path)
    assert another.read() == ({ONE: 10}, {})
    another.close()


def test_a_full_board_says_so_and_has_room_again_after_a_settle(board):
    room = board.room
    ids = [f"{number:032x}" for number in range(room)]
    for job_id in ids:
        board.start(job_id, 1)
    while board.room or board._offset <= board_module._LAST:
        ids.append(f"{len(ids):032x}")
        board.start(ids[-1], 1)
    with pytest.raises(OverflowError, match="settle first"):
        board.start("f" * 32, 1)
    board.settled(set(ids))
    assert board.read() == ({}, {})
    assert board.room == room


def test_in_memory_there_is_nothing_to_tell():
    board = NoBoard()
    board.start(ONE, 10)
    board.end(ONE)
    board.settled({ONE})
    assert board.room > 1000
