"""`mainspring demo` as users run it: a process of its own, on a few files made here."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

_COMMAND = [sys.executable, "-c", "import sys; from mainspring.cli import main; sys.exit(main())"]
_PATIENCE = 120  # seconds; only a demo that hangs takes as long

_GOOD = """
class Spring:
    def wind(self): pass
    async def unwind(self): return "\\d"  # a doubtful escape

def main(): pass
"""


class Demo:
    """A running demo."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.output = ""

    def read_until(self, text: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        pytest.fail(f"It ended before it printed {text!r}:\n{self.output}")

    def finish(self) -> int:
        assert self.process.stdout is not None
        self.output += self.process.stdout.read()
        return self.process.wait()

    def row(self, start: str) -> list[str]:
        """The cells of the row of a table that starts so."""
        (line,) = [line for line in self.output.splitlines() if line.strip().startswith(start)]
        return re.split(r"  +", line.strip())


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder that the demo takes for the system's temporary one."""
    path = tmp_path / "temporary"
    path.mkdir()
    return path


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """30 files, 2 of them broken."""
    path = tmp_path / "sources"
    (path / "inner").mkdir(parents=True)
    for number in range(28):
        (path / "inner" / f"good{number}.py").write_text(_GOOD)
    (path / "syntax.py").write_text("def broken(:\n")
    (path / "coding.py").write_bytes(b"text = '\xff'\n")
    Path(os.fsdecode(os.fsencode(path) + b"/\xff.py")).write_text(_GOOD)
    (path / "notes.txt").write_text("no Python")
    (path / "folder.py").mkdir()
    os.mkfifo(path / "pipe.py")
    (path / "dangling.py").symlink_to(path / "nowhere.py")
    return path


@pytest.fixture
def slow_sources(tmp_path: Path) -> Path:
    """Files that take two processes far longer than any test waits."""
    path = tmp_path / "slow"
    path.mkdir()
    (path / "0.py").write_text("x = 1\n" * 50_000)
    for number in range(1, 1000):
        (path / f"{number}.py").hardlink_to(path / "0.py")
    return path


@pytest.fixture
def start(temporary: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start_demo(*arguments: object) -> Demo:
        process = subprocess.Popen(
            [*_COMMAND, "demo", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "100"},
        )
        started.append(Demo(process))
        return started[-1]

    def kill_all() -> None:
        for demo in started:
            demo.process.kill()
        for process in worker_processes(temporary):
            process.kill()

    watchdog = threading.Timer(_PATIENCE, kill_all)
    watchdog.start()
    yield start_demo
    watchdog.cancel()
    kill_all()
    for demo in started:
        demo.process.wait()
        assert demo.process.stdout is not None
        demo.process.stdout.close()


def worker_processes(temporary: Path) -> list[psutil.Process]:
    """The processes whose command line names something in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(temporary) in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:  # it has just ended, or is a zombie
            continue
    return found


def is_unicode(text: str) -> bool:
    """Whether a text has no bytes of a name that are none."""
    return text.encode(errors="replace").decode() == text


def assert_nothing_left(temporary: Path) -> None:
    assert worker_processes(temporary) == []
    assert list(temporary.iterdir()) == []


def test_tells_what_was_found_and_what_failed(
    start: Callable[..., Demo], sources: Path, temporary: Path
) -> None:
    demo = start("--files", sources, "--processes", 1)
    assert demo.finish() == 0, demo.output
    assert "one for each of 30 files" in demo.output
    assert "left out: 1 file, for a name that is not Unicode" in demo.output
    assert "30 of 30" in demo.output
    assert demo.row("28 files parsed") == ["28 files parsed", "84", "28", str(28 * 17)]
    assert re.search(r"^30 tasks in .+: [\d,]+ tasks/s, [\d.]+ MB/s", demo.output, re.MULTILINE)
    assert len(demo.row("From enqueue to start")) == len(demo.row("From start to end")) == 6
    named = [path for path in sources.rglob("*.py") if path.is_file() and is_unicode(str(path))]
    texts = [path.read_text("utf-8", "replace") for path in named]
    number = sum(len(text.splitlines()) for text in texts)
    assert re.search(rf"^Map +one call for each of {number} lines", demo.output, re.MULTILINE)
    assert re.search(rf"^{number} lines in .+: [\d,]+ calls/s", demo.output, re.MULTILINE)
    defs = sum(len(re.findall(r"\bdef\b", text)) for text in texts)
    assert demo.row("def") == ["def", str(defs)]
    assert "2 tasks failed" in demo.output
    assert demo.row("syntax.py") == ["syntax.py", "SyntaxError: invalid syntax"]
    assert demo.row("coding.py")[1].startswith("SyntaxError: ")
    assert "Warning" not in demo.output
    assert "\x1b" not in demo.output
    assert_nothing_left(temporary)


def test_keeps_the_project_where_asked(
    start: Callable[..., Demo], sources: Path, temporary: Path
) -> None:
    demo = start("--files", sources, "--processes", 1, "--keep")
    assert demo.finish() == 0, demo.output
    (folder,) = temporary.iterdir()
    assert {"manage.py", "sources", "website", "db.sqlite3", "worker.log"} <= {
        path.name for path in folder.iterdir()
    }
    assert "warning" not in (folder / "worker.log").read_text().lower()
    commands = [line.strip() for line in demo.output.partition("To look around:")[2].splitlines()]
    script = " && ".join(filter(None, commands))
    looked = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
    assert looked.returncode == 0, looked.stderr
    assert "TaskResult(" in looked.stdout
    assert "def count_source(" in looked.stdout
    assert_nothing_left(temporary)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "missing' does not exist"),
        ("notes.txt", "notes.txt' is not a folder"),
        ("folder.py", "folder.py holds no Python files"),
    ],
)
def test_refuses_what_holds_no_files(
    start: Callable[..., Demo], sources: Path, temporary: Path, name: str, message: str
) -> None:
    demo = start("--files", sources / name)
    assert demo.finish() == 2
    assert message in demo.output
    assert "Traceback" not in demo.output
    assert_nothing_left(temporary)


@pytest.mark.parametrize("moment", ["Project", "Worker", "Tasks", " of 1,000"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_cleanly(
    start: Callable[..., Demo],
    slow_sources: Path,
    temporary: Path,
    moment: str,
    number: signal.Signals,
) -> None:
    demo = start("--files", slow_sources, "--processes", 1)
    demo.read_until(moment)
    demo.process.send_signal(number)
    assert demo.finish() == 128 + number
    assert demo.output.splitlines()[-1] == "Stopped; nothing is left behind."
    assert "Traceback" not in demo.output
    assert_nothing_left(temporary)


def test_tells_why_the_worker_died(
    start: Callable[..., Demo], slow_sources: Path, temporary: Path
) -> None:
    demo = start("--files", slow_sources, "--processes", 1)
    demo.read_until("Tasks")
    supervisor = min(worker_processes(temporary), key=lambda process: process.create_time())
    supervisor.kill()
    assert demo.finish() == 1
    assert "mainspring demo: The worker ended by SIGKILL." in demo.output
    assert "The end of its log:\n  mainspring " in demo.output
    assert "Traceback" not in demo.output
    assert_nothing_left(temporary)
