"""A lock that shows that a process lives, whatever that does with the file."""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mainspring.runtime import proof_of_life


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "board"
    path.touch()
    return path


@contextmanager
def process(work: Callable[[], object]) -> Iterator[int]:
    """Have a child process do something and live on, until the block ends."""
    done, told = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            work()
            os.write(told, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.close(told)
    assert os.read(done, 1) == b"."
    os.close(done)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def is_over(file: Path) -> bool:
    with file.open("rb+") as opened:
        return proof_of_life.is_over(opened.fileno())


def test_it_holds_as_long_as_the_process_lives(file: Path) -> None:
    assert is_over(file)
    with process(lambda: proof_of_life.hold(file)):
        assert not is_over(file)
        with pytest.raises(OSError, match="Resource temporarily unavailable"):
            proof_of_life.hold(file)
    assert is_over(file)


def test_it_holds_though_the_process_closes_the_file(file: Path) -> None:
    def hold_and_read() -> None:
        proof_of_life.hold(file)
        file.read_bytes()

    with process(hold_and_read):
        assert not is_over(file)


def test_it_ends_when_it_is_let_go(file: Path) -> None:
    held = proof_of_life.hold(file)
    assert not is_over(file)
    proof_of_life.let_go(held)
    proof_of_life.let_go(held)
    assert is_over(file)


def test_a_child_does_not_hold_it_in_the_place_of_its_parent(file: Path) -> None:
    held = proof_of_life.hold(file)
    with process(lambda: proof_of_life.let_go(held)):
        assert not is_over(file)
        proof_of_life.let_go(held)
        assert is_over(file)


def test_a_child_may_have_the_same_descriptor_for_something_else(file: Path) -> None:
    held = proof_of_life.hold(file)

    def reuse() -> None:
        assert os.open(file, os.O_RDONLY) == held
        proof_of_life.let_go(held)
        os.fstat(held)

    with process(reuse):
        pass
    proof_of_life.let_go(held)


def test_a_worker_of_an_older_version_is_seen_and_sees(file: Path) -> None:
    """It holds, and looks for, a POSIX record lock."""
    with file.open("rb+") as opened:
        with process(lambda: proof_of_life.hold(file)), pytest.raises(BlockingIOError):
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        older = os.open(file, os.O_RDWR)
        with process(lambda: fcntl.lockf(older, fcntl.LOCK_EX | fcntl.LOCK_NB)):
            assert not is_over(file)
        os.close(older)
