import errno
import os
import signal
import sys
import time

import pytest

from mainspring.backends.forking import fork, reap_orphans, status_of
from mainspring.runtime.board import Board
from mainspring.runtime.options import WorkerOptions
from mainspring.runtime.own_folder import folder
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


def test_where_no_child_can_be_forked_it_is_tried_again(supervisor, board, monkeypatch, caplog):
    monkeypatch.setattr("os.fork", failing(errno.EAGAIN))
    supervisor._starts = [0.0]
    supervisor._start_due("a store")
    assert len(supervisor._starts) == 1
    assert supervisor._starts[0] > time.monotonic()
    assert supervisor._children == {}
    assert list(folder().iterdir()) == [board.path]
    assert "fork() failed: Resource temporarily unavailable" in caplog.text


def test_where_the_watcher_cannot_be_forked_it_is_tried_again(supervisor, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr("os.fork", failing(errno.ENOMEM))
        supervisor._start_watcher(lambda: sys.exit(0))
    assert "fork() failed: Cannot allocate memory" in caplog.text
    assert time.monotonic() < supervisor._watch_at < time.monotonic() + 60
    assert not supervisor._watcher
    supervisor._start_watcher(lambda: sys.exit(0))
    assert os.waitpid(supervisor._watcher, 0)[1] == 0
    assert supervisor._watch_at == float("inf")


def failing(number):
    def fork():
        raise OSError(number, os.strerror(number))

    return fork


def ended_child():
    pid = os.fork()
    if not pid:
        os._exit(7)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_orphans_are_waited_for_and_the_status_of_no_own_child_is_lost():
    def reap():
        orphan, own = ended_child(), ended_child()
        reap_orphans({own})
        assert os.waitstatus_to_exitcode(status_of(own)) == 7
        reap_orphans(())
        with pytest.raises(ChildProcessError):
            os.waitpid(orphan, 0)

    # In a process of its own, as it would wait for what other tests have started.
    assert os.waitpid(fork(reap), 0)[1] == 0


def test_what_is_to_be_started_later_holds_up_no_stop(supervisor):
    supervisor._stop("SIGTERM")
    supervisor._starts.append(time.monotonic() + 30)  # as where a fork has failed meanwhile
    supervisor._start_due("a store")
    assert supervisor._starts == []
