"""Forks wait for those who are inside, and nobody enters meanwhile."""

import os
import threading

import pytest

from mainspring.backends.fork_gate import Gate

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def fork(in_child):
    """Fork; return the status of the child."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = int(not in_child())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def gate():
    return Gate()


def enters(gate):
    with gate:
        return True


def test_a_fork_waits_for_who_is_inside(gate):
    entered, may_go, left = threading.Event(), threading.Event(), []

    def stay():
        with gate:
            entered.set()
            may_go.wait(10)
            left.append(True)

    thread = in_thread(stay)
    entered.wait(10)
    threading.Timer(0.05, may_go.set).start()
    assert fork(lambda: bool(left) and enters(gate)) == 0
    thread.join(10)
    assert enters(gate)


def test_who_pauses_is_not_waited_for(gate, monkeypatch):
    monkeypatch.setattr("mainspring.backends.fork_gate._PATIENCE", 60)
    paused, may_go, went_on = threading.Event(), threading.Event(), []

    def pause():
        with gate, gate:
            with gate.left():
                paused.set()
                may_go.wait(10)
            went_on.append(True)

    thread = in_thread(pause)
    paused.wait(10)
    assert fork(lambda: enters(gate)) == 0
    may_go.set()
    thread.join(10)
    assert went_on
    assert fork(lambda: enters(gate)) == 0


def test_who_stays_for_long_is_not_waited_for_for_ever(gate, monkeypatch):
    monkeypatch.setattr("mainspring.backends.fork_gate._PATIENCE", 0.05)
    entered, may_go = threading.Event(), threading.Event()

    def stay():
        with gate:
            entered.set()
            may_go.wait(10)

    thread = in_thread(stay)
    entered.wait(10)
    assert fork(lambda: enters(gate)) == 0
    may_go.set()
    thread.join(10)


def test_who_is_inside_itself_may_fork(gate):
    with gate:
        assert fork(lambda: enters(gate)) == 0
    assert fork(lambda: enters(gate)) == 0


def test_nobody_enters_during_a_fork(gate):
    gate._close()
    entered = threading.Event()

    def enter():
        with gate:
            entered.set()

    thread = in_thread(enter)
    assert not entered.wait(0.05)
    gate._open()
    thread.join(10)
    assert entered.is_set()
