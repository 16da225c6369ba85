"""Waits that end when told: pipes to oneself, and polling."""

import os
import threading
import time

from mainspring.backends.database.vendors.polling import Polling
from mainspring.backends.database.vendors.signal_pipe import SignalPipe, wait_for_any

LONG = 5.0  # seconds


def test_what_is_set_before_the_first_wait_is_not_lost() -> None:
    pipe = SignalPipe()
    pipe.set()
    assert pipe.wait(0)
    assert not pipe.wait(0)
    pipe.close()


def test_another_thread_ends_the_wait() -> None:
    pipe = SignalPipe()
    pipe.open()
    thread = threading.Thread(target=pipe.set)
    began = time.monotonic()
    thread.start()
    assert pipe.wait(LONG)
    assert time.monotonic() - began < LONG / 2
    thread.join()
    pipe.close()


def test_of_several_those_that_were_set_are_taken_back() -> None:
    one, two = SignalPipe(), SignalPipe()
    two.set()
    assert wait_for_any((one, two), LONG) == [two]
    one.set()
    two.set()
    assert wait_for_any((one, two), LONG) == [one, two]
    assert wait_for_any((one, two), 0) == []
    one.close()
    two.close()


def test_a_child_does_not_wake_its_parent() -> None:
    pipe = SignalPipe()
    pipe.open()
    child = os.fork()
    if child == 0:
        pipe.set()
        os._exit(0 if pipe.wait(0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not pipe.wait(0)
    pipe.close()


def test_polling_looks_less_and_less_often_until_something_was_found() -> None:
    polling = Polling(slowest=0.05)
    pauses: list[float] = []

    def look() -> bool:
        pauses.append(polling._pause)
        return len(pauses) == 20

    assert polling.wait(LONG, look)
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] == 0.05
    polling.found_work()
    assert polling.wait(LONG, lambda: pauses.append(polling._pause) or True)  # type: ignore[func-returns-value]
    assert pauses[-1] == pauses[0]
    polling.close()


def test_an_interrupt_ends_polling() -> None:
    polling = Polling(slowest=LONG)
    polling.interrupt()
    assert polling.wait(LONG, lambda: False)
    polling.close()
