import errno
import signal
import time

import pytest

from mainspring.runtime.board import Board
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.supervisor import Supervisor, _Child


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Board.create("a store", "a-worker")


@pytest.fixture
def supervisor():
    return Supervisor(WorkerOptions(processes=0), None)


def test_the_board_of_a_child_that_may_have_registered_is_left_to_the_rescue(supervisor, board):
    board.come_alive()
    supervisor._ended(_Child(board, time.monotonic()), signal.SIGKILL)
    assert board.path.exists()
    assert supervisor._must_rescue


def test_the_board_of_a_child_that_never_came_alive_is_removed(supervisor, board):
    supervisor._ended(_Child(board, time.monotonic()), signal.SIGKILL)
    assert not board.path.exists()


def test_the_board_of_a_child_that_was_told_to_stop_as_it_started_is_removed(supervisor, board):
    board.come_alive()
    supervisor._ended(_Child(board, time.monotonic()), 0)
    assert not board.path.exists()


def test_where_no_board_can_be_made_it_is_tried_again(supervisor, monkeypatch, caplog):
    def create(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Board, "create", create)
    supervisor._starts = [0.0]
    supervisor._start_due("a store")
    assert len(supervisor._starts) == 1
    assert supervisor._starts[0] > time.monotonic()
    assert "No space left on device" in caplog.text
