import os
import threading

import pytest

from mainspring.runtime import board as board_module
from mainspring.runtime.board import Board, Journal, NoBoard, Started, ticks
from mainspring.runtime.boards import boards

ONE, TWO, THREE = (f"{number:032x}" for number in (1, 2, 3))


def journal(running=None, ended=None, overdue=None):
    """What a board says of jobs that this thread started at these moments, without a timeout."""
    return Journal(*map(by_this_thread, (running or {}, ended or {}, overdue or {})))


def by_this_thread(moments):
    return {job_id: Started(at, 0, 0, threading.get_ident()) for job_id, at in moments.items()}


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Board.create("a store", "a-worker")
    yield made
    made.close()


def test_a_new_board_is_empty(board):
    assert board.read() == journal()
    assert board.worker_id == "a-worker"


def test_what_runs_and_what_has_ended_are_told_apart(board):
    board.start(ONE, 10)
    board.start(TWO, 20)
    board.end(ONE)
    assert board.read() == journal({TWO: 20}, {ONE: 10})


def test_what_is_settled_is_struck_out_and_the_rest_keeps_its_state(board):
    for moment, job_id in enumerate((ONE, TWO, THREE)):
        board.start(job_id, moment)
    board.end(ONE)
    board.end(THREE)
    board.settled({ONE})
    assert board.read() == journal({TWO: 1}, {THREE: 2})
    board.end(TWO)
    board.settled({TWO})
    assert board.read() == journal({}, {THREE: 2})
    board.start(ONE, 30)
    assert board.read() == journal({ONE: 30}, {THREE: 2})


def test_it_is_read_as_written_by_another_who_opens_it(board):
    board.start(ONE, 10)
    another = Board(board.path)
    assert another.read() == journal({ONE: 10}, {})
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
    assert board.read() == journal()
    assert board.room == room


def test_each_job_has_its_moment_its_timeout_and_its_thread(board):
    board.start(ONE, 10, began=5, timeout=9)
    other = threading.Thread(target=board.start, args=(TWO, 20))
    other.start()
    other.join()
    found = board.read().running
    assert found[ONE] == Started(10, 5, 9, threading.get_ident())
    assert found[TWO] == Started(20, 0, 0, other.ident)
    assert (found[ONE].deadline, found[TWO].deadline) == (14, None)
    assert (board.started(ONE), board.started(THREE)) == (found[ONE], None)


def test_the_first_deadline_is_that_of_a_running_job(board):
    assert board.first_deadline() is None
    board.start(ONE, 1)
    assert board.first_deadline() is None
    board.start(TWO, 1, began=10, timeout=60)
    board.start(THREE, 1, began=20, timeout=30)
    assert board.first_deadline() == 50
    board.end(THREE)
    assert board.first_deadline() == 70
    board.settled({TWO, THREE})
    assert board.first_deadline() is None


def test_what_is_overdue_is_marked_once_and_told_apart(board):
    for job_id, timeout in ((ONE, 40), (TWO, 41), (THREE, 0)):
        board.start(job_id, 1, began=10, timeout=timeout)
    assert board.mark_overdue(49) == []
    assert board.mark_overdue(50) == [ONE]
    assert board.mark_overdue(50) == []
    found = board.read()
    assert (found.running.keys(), found.ended, found.overdue.keys()) == ({TWO, THREE}, {}, {ONE})
    assert board.first_deadline() == 51


def test_what_has_ended_is_never_overdue(board):
    board.start(ONE, 1, began=1, timeout=4)
    board.end(ONE)
    assert board.mark_overdue(10) == []


def test_a_job_that_is_told_to_end_is_due_at_once(board):
    board.start(ONE, 1)
    board.start(TWO, 1, began=ticks(), timeout=2**60)
    before = ticks()
    board.expire(ONE)
    board.expire(TWO)
    board.expire(THREE)  # which is not there
    assert before <= board.first_deadline() <= ticks()
    assert board.mark_overdue(ticks()) == [ONE, TWO]


def test_which_job_the_event_loop_runs_can_be_read_by_another(board):
    assert board.stepping() is None
    board.start(ONE, 1)
    board.start(TWO, 1)
    board.step(TWO)
    another = Board(board.path)
    assert another.stepping() == TWO
    board.step(ONE)
    assert another.stepping() == ONE
    another.close()


def test_which_job_the_event_loop_runs_is_still_known_when_others_are_settled(board):
    for job_id in (ONE, TWO, THREE):
        board.start(job_id, 1)
    board.step(THREE)
    board.settled({ONE})
    assert board.stepping() == THREE
    board.settled({TWO})
    assert board.stepping() == THREE
    board.start(ONE, 1)
    board.settled({THREE})
    assert board.stepping() is None


def test_which_thread_ended_the_process_can_be_read_by_another(board):
    assert board.exiting_thread == 0
    board.record_exiting(threading.get_ident())
    another = Board(board.path)
    assert another.exiting_thread == threading.get_ident()
    another.close()


def test_the_stacks_lie_beside_it_and_go_with_it(board):
    assert board.stacks() == ""
    board.stacks_path.write_bytes(b"Thread 0x1\n  \xff\n")
    assert board.stacks() == "Thread 0x1\n  \ufffd\n"
    assert list(boards("a store")) != []
    board.remove()
    assert not board.path.exists()
    assert not board.stacks_path.exists()


def test_in_memory_there_is_nothing_to_tell():
    board = NoBoard()
    board.start(ONE, 10)
    board.end(ONE)
    board.settled({ONE})
    assert board.room > 1000


def test_a_board_whose_supervisor_was_killed_before_it_wrote_it_goes_after_a_while(board):
    path = board.path.with_name(f"{board.path.name}-2")
    path.touch()
    for one in boards("a store"):
        one.close()
    assert path.exists()
    os.utime(path, (0, 0))
    for one in boards("a store"):
        one.close()
    assert not path.exists()
