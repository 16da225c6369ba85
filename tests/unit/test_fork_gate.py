"""Forks wait for those who are inside, and nobody enters meanwhile."""

import os
import sys
import threading

import pytest

from mainspring.backends import fork_gate
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


# Interrupted by a timeout


class Interruption(BaseException):
    pass


def is_interrupted(gate, at):
    """Enter and leave; return True if an exception came after ``at`` steps of the gate's code."""
    steps = 0

    def trace(frame, _event, _arg):
        nonlocal steps
        if frame.f_code.co_filename != fork_gate.__file__:
            return None
        steps += 1
        if steps > at:
            raise Interruption
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with gate:
            pass
    except Interruption:
        return True
    finally:
        sys.settrace(before)
    return False


def closing_beside(gate):
    """Close and open the gate in another thread, as a fork there does."""

    def close():
        gate._close()
        gate._open()

    return in_thread(close)


def test_if_an_exception_comes_in_its_own_code_one_fork_waits_at_most(gate, monkeypatch):
    at = 0
    while is_interrupted(gate, at):
        monkeypatch.setattr(fork_gate, "_PATIENCE", 0.01)
        closing_beside(gate).join(10)
        monkeypatch.setattr(fork_gate, "_PATIENCE", 60)
        with gate:
            closing = closing_beside(gate)
            closing.join(0.02)
            assert closing.is_alive()
        closing.join(10)
        assert not closing.is_alive()
        at += 1
    assert at > 5


def test_a_thread_that_has_ended_inside_is_not_waited_for(gate, monkeypatch):
    monkeypatch.setattr(fork_gate, "_PATIENCE", 60)
    in_thread(gate.__enter__).join(10)
    closing = closing_beside(gate)
    closing.join(10)
    assert not closing.is_alive()
