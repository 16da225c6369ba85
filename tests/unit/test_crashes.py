"""Who was it, and where: what a worker process says as it dies."""

import subprocess
import sys

import pytest

from mainspring.runtime.board import Board, Started
from mainspring.runtime.crashes import culprits, stack_of

ONE, TWO, THREE = (f"{number:032x}" for number in (1, 2, 3))
CRASH = """\
Fatal Python error: Segmentation fault

Current thread 0x00007f0000000022 (most recent call first):
  File "/app/tasks.py", line 5 in crash
  File "/app/tasks.py", line 9 in outer

Thread 0x00007f0000000011 (most recent call first):
  File "/app/other.py", line 3 in wait

Extension modules: one, two (total: 2)
"""
ASKED = """\
Thread 0x00007f0000000033 (most recent call first):
  File "/app/hang.py", line 1 in first

Thread 0x00007f0000000022 (most recent call first):
  File "/app/tasks.py", line 7 in hang

Current thread 0x00007f0000000011 (most recent call first):
  File "/app/main.py", line 2 in sleep
"""
MAIN, CRASHED, THIRD = 0x7F0000000011, 0x7F0000000022, 0x7F0000000033


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Board.create("a store", "a-worker")
    yield made
    made.close()


def started(thread):
    return Started(1, 0, 0, thread)


RUNNING = {ONE: started(MAIN), TWO: started(CRASHED), THREE: started(THIRD)}


# Where it was


def test_the_stack_of_a_thread_is_found():
    assert stack_of(ASKED, CRASHED).splitlines() == [
        "Thread 0x00007f0000000022 (most recent call first):",
        '  File "/app/tasks.py", line 7 in hang',
        "",
    ]
    assert "line 2 in sleep" in stack_of(ASKED, MAIN)
    assert "line 7" not in stack_of(ASKED, MAIN)
    assert "line 1 in first" in stack_of(ASKED, THIRD)


def test_the_last_one_counts():
    stack = stack_of(ASKED + CRASH, CRASHED)
    assert "line 5 in crash" in stack
    assert "line 9 in outer" in stack
    assert "line 7 in hang" not in stack
    assert "line 7 in hang" in stack_of(CRASH + ASKED, CRASHED)


def test_a_thread_that_was_not_written_of_has_none():
    assert stack_of(ASKED, 5) == ""
    assert stack_of("", MAIN) == ""
    assert stack_of("no stacks\n", MAIN) == ""


def test_a_stack_that_is_cut_off_is_better_than_none():
    assert stack_of(CRASH[:120], CRASHED).startswith("Current thread")
    assert stack_of(ASKED[: ASKED.index("Thread 0x00007f0000000022") + 20], CRASHED) == ""


def test_an_endless_stack_is_shortened():
    endless = "Thread 0x1 (most recent call first):\n" + "  File nowhere, line 1 in f\n" * 5000
    assert len(stack_of(endless, 1)) == 20_000


# Who it was


def test_where_nobody_can_tell_it_may_have_been_any(board):
    assert culprits(board, RUNNING) == RUNNING
    assert culprits(board, {}) == {}


def test_the_thread_that_crashed_tells(board):
    board.stacks_path.write_text(CRASH)
    assert culprits(board, RUNNING) == {TWO: RUNNING[TWO]}


def test_the_last_crash_tells_and_what_was_asked_for_does_not(board):
    board.stacks_path.write_text(ASKED)
    assert culprits(board, RUNNING) == RUNNING
    board.stacks_path.write_text(ASKED + CRASH)
    assert culprits(board, RUNNING) == {TWO: RUNNING[TWO]}


def test_the_thread_that_ended_the_process_tells(board):
    board.record_exiting(THIRD)
    assert culprits(board, RUNNING) == {THREE: RUNNING[THREE]}


def test_a_thread_that_ran_no_job_leaves_it_open(board):
    board.record_exiting(5)
    assert culprits(board, RUNNING) == RUNNING


def test_of_those_in_the_event_loop_it_was_the_one_that_ran(board):
    for job_id in (ONE, TWO, THREE):
        board.start(job_id, 1)
    board.step(TWO)
    running = board.read().running
    (thread,) = {one.thread for one in running.values()}
    board.record_exiting(thread)
    assert culprits(board, running) == {TWO: running[TWO]}


def test_a_step_of_what_has_ended_since_tells_nothing(board):
    for job_id in (ONE, TWO, THREE):
        board.start(job_id, 1)
    board.step(TWO)
    board.end(TWO)
    running = board.read().running
    board.record_exiting(running[ONE].thread)
    assert culprits(board, running) == running


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("os._exit(5)", ""),
        ("faulthandler._sigsegv()", "in the_culprit"),
        ("signal.raise_signal(crashes.DUMP); os._exit(0)", "in the_culprit"),
    ],
    ids=["exit", "crash", "asked"],
)
def test_a_process_leaves_its_traces(board, last, said):
    """The process says who it was and where, by itself."""
    code = (
        "import faulthandler, os, signal, sys, threading\n"
        "from pathlib import Path\n"
        "from mainspring.runtime import crashes\n"
        "from mainspring.runtime.board import Board\n"
        "board = Board(Path(sys.argv[1]))\n"
        "crashes.leave_traces(board)\n"
        "board.start('1' * 32, 1)\n"
        "def the_culprit():\n"
        "    board.start('2' * 32, 2)\n"
        f"    {last}\n"
        "thread = threading.Thread(target=the_culprit)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    subprocess.run([sys.executable, "-c", code, board.path], check=False, capture_output=True)
    running = board.read().running
    assert running.keys() == {"1" * 32, "2" * 32}
    ((culprit, one),) = culprits(board, running).items()
    assert culprit == "2" * 32
    assert said in stack_of(board.stacks(), one.thread)
