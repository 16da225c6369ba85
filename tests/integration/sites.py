"""A site: a database, a folder, and the processes of one test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from mainspring.core import clock, codec
from mainspring.core.ids import new_id
from mainspring.core.jobs import Job, State

from .databases import SiteDatabase, SqliteFile
from .processes import kill_tree
from .waiting import wait_until

PROJECT = Path(__file__).parent / "project"
_ROOT = Path(__file__).parents[2]
_COLUMNS = ", ".join(Job._fields)


class Seen(NamedTuple):
    """A job, as the store has it."""

    id: str
    task: str
    state: State
    workers: list[str]
    errors: list[tuple[Any, ...]]
    """Of each attempt: the class's path, the text, when it began and ended, and its worker."""
    returned: Any
    started_at: float | None
    finished_at: float | None

    @property
    def kinds(self) -> list[str]:
        """The names of the errors' classes."""
        return [path.rpartition(".")[2] for path, *_ in self.errors]


class Site:
    """What one test works with. ``options`` are those of ``TASKS``."""

    def __init__(self, folder: Path, data: SiteDatabase | None = None, **settings: Any) -> None:
        self.folder = folder
        self.data = data or SqliteFile(folder / "db.sqlite3")
        self.settings = {"folder": str(folder), "database": self.data.settings, **settings}
        self.variables: dict[str, str] = {}
        """What is added to the environment of what is started from now on."""
        (folder / "tmp").mkdir()
        self.started: list[subprocess.Popen[str]] = []

    @property
    def database(self) -> Path:
        """The file that SQLite has."""
        return self.data.path

    # Processes

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the site's processes: boards are kept in the test's own folder."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "settings",
            "SITE": json.dumps(self.settings),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": os.pathsep.join(
                [str(PROJECT), str(self.folder), str(_ROOT), os.environ.get("PYTHONPATH", "")]
            ),
            # A test may change the code of its own apps more often than each second.
            **({"PYTHONDONTWRITEBYTECODE": "1"} if "apps" in self.settings else {}),
            "PYTHONFAULTHANDLER": "1",
            **self.variables,
        }

    def manage(self, *args: str, **options: Any) -> "subprocess.Popen[str]":
        """Start ``manage.py`` with these arguments, in a session of its own."""
        return self.start(sys.executable, str(PROJECT / "manage.py"), *args, **options)

    def start(self, *args: str, **options: Any) -> "subprocess.Popen[str]":
        """Start a program, in a session of its own."""
        with self.output.open("a") as output:
            process = subprocess.Popen(
                args,
                **{
                    "stdout": output,
                    "stderr": subprocess.STDOUT,
                    "env": self.environment,
                    **options,
                },
                cwd=self.folder,
                text=True,
                start_new_session=True,
                umask=self.settings.get("umask", -1),
            )
        self.started.append(process)
        return process

    def worker(self, *args: str, **options: Any) -> "subprocess.Popen[str]":
        """Start a worker."""
        return self.manage("mainspring", "worker", *args, **options)

    def call(self, *calls: tuple[Any, ...]) -> list[Any]:
        """Have another process enqueue calls and wait for each; return what they returned."""
        process = self.manage("enqueue", "--wait", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        answers, _ = process.communicate("".join(f"{json.dumps(call)}\n" for call in calls), 60)
        assert process.returncode == 0, self.output.read_text()
        return [json.loads(line)[2] for line in answers.splitlines()]

    def drain(self, *args: str, timeout: float = 60) -> None:
        """Run a worker until nothing is left."""
        assert self.worker("--drain", *args).wait(timeout) == 0, self.output.read_text()

    def stop(self, process: "subprocess.Popen[str]", timeout: float = 10) -> int:
        """End a worker with SIGTERM; return its exit status."""
        process.send_signal(signal.SIGTERM)
        return self.wait(process, timeout)

    def wait(self, process: "subprocess.Popen[str]", timeout: float = 10) -> int:
        """Wait for the end of a process; show where it hangs if it does not end."""
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGABRT)
            process.wait(timeout)
            raise AssertionError(self.output.read_text()) from None

    def kill_all(self) -> None:
        """Kill whatever the test has started and what that has forked."""
        for process in self.started:
            kill_tree(process)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    # Jobs

    def enqueue(
        self,
        name: str,
        *args: Any,
        queue: str = "default",
        priority: int = 0,
        after: float | None = None,
        **kwargs: Any,
    ) -> str:
        """Store one call of a task of ``jobs.tasks``; ``after`` are seconds from now."""
        return self.enqueue_all([(name, *args)], queue, priority, after, kwargs)[0]

    def enqueue_all(
        self,
        calls: list[tuple[Any, ...]],
        queue: str = "default",
        priority: int = 0,
        after: float | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> list[str]:
        """Store many calls at once; the first is the newest, and so the first to be run."""
        jobs = _jobs(calls, queue, priority, after, kwargs or {})
        self.data.store(jobs)
        return [job.id for job in jobs]

    def enqueue_together(self, **queues: list[tuple[Any, ...]]) -> dict[str, list[str]]:
        """Store calls of several queues at once."""
        jobs = {name: _jobs(calls, name, 0, None, {}) for name, calls in queues.items()}
        self.data.store([job for several in jobs.values() for job in several])
        return {name: [job.id for job in several] for name, several in jobs.items()}

    def execute(self, sql: str, rows: list[Any]) -> None:
        """Run a statement for each row."""
        self.data.execute(sql, rows)

    def query(self, sql: str, *params: Any) -> list[Any]:
        """Run a query."""
        return self.data.query(sql, params)

    def jobs(self) -> list[Seen]:
        """Return all jobs, the oldest first."""
        sql = f"SELECT {_COLUMNS} FROM mainspring_job ORDER BY id"
        return [_seen(Job(*row)) for row in self.query(sql)]

    def job(self, job_id: str) -> Seen:
        """Return one job."""
        ((*row,),) = self.query(f"SELECT {_COLUMNS} FROM mainspring_job WHERE id = ?", job_id)
        return _seen(Job(*row))

    def states(self) -> dict[State, int]:
        """Count the jobs by state."""
        sql = "SELECT state, count(*) FROM mainspring_job GROUP BY state"
        return {State(state): number for state, number in self.query(sql)}

    def workers(self) -> list[str]:
        """Return the ids of the registered workers."""
        return [row[0] for row in self.query("SELECT worker_id FROM mainspring_worker")]

    def boards(self) -> list[str]:
        """Return the names of the boards that there are, and of what lies beside them.

        Without those whose process was killed before it came alive: they go after a minute.
        """
        return [
            path.name for path in (self.folder / "tmp").glob("mainspring-*/*") if _is_left(path)
        ]

    def wait_for(self, job_id: str, *states: State, timeout: float = 20) -> Seen:
        """Wait until a job is in one of these states; by default, until it is finished."""
        wanted = states or (State.SUCCESSFUL, State.FAILED, State.CANCELLED)

        def there() -> Seen | None:
            seen = self.job(job_id)
            return seen if seen.state in wanted else None

        return wait_until(there, timeout, f"{job_id} {wanted}, {self.job(job_id)}")

    def wait_for_all(self, timeout: float = 30) -> list[Seen]:
        """Wait until all jobs are finished."""
        wait_until(lambda: not any(state < 3 for state in self.states()), timeout, "all finished")
        return self.jobs()

    def cancel(self, job_id: str) -> None:
        """Cancel a call in another process."""
        code = (
            f"from django.tasks import task_backends as b; b['default'].cancel_result({job_id!r})"
        )
        process = self.manage("shell", "--no-imports", "-c", code)
        assert process.wait(20) == 0, self.output.read_text()

    def metadata(self, job_id: str) -> dict[str, Any]:
        """Return the metadata of a job."""
        ((stored,),) = self.query("SELECT metadata FROM mainspring_job WHERE id = ?", job_id)
        return codec.decode(bytes(stored)) if stored else {}

    @staticmethod
    def is_alive(pid: int) -> bool:
        """Whether a process runs."""
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    # What tasks and workers leave in the folder

    @property
    def output(self) -> Path:
        """What the processes print."""
        return self.folder / "output.txt"

    def log(self, logger: str = "mainspring") -> list[dict[str, Any]]:
        """Return the records of a logger."""
        with suppress(FileNotFoundError):
            lines = (self.folder / "log.jsonl").read_text().splitlines()
            return [record for line in lines if (record := json.loads(line))["logger"] == logger]
        return []

    def logged(self, text: str, logger: str = "mainspring") -> list[dict[str, Any]]:
        """Return the records whose message has this text."""
        return [record for record in self.log(logger) if text in record["message"]]

    def wait_for_log(self, text: str, count: int = 1, timeout: float = 20) -> list[dict[str, Any]]:
        """Wait until so many records have this text."""

        def there() -> list[dict[str, Any]]:
            found = self.logged(text)
            return found if len(found) >= count else []

        return wait_until(there, timeout, f"{text!r} in the log")

    def wait_for_text(self, text: str, timeout: float = 20) -> None:
        """Wait until a process has printed this."""
        wait_until(lambda: text in self.output.read_text(), timeout, text)

    @staticmethod
    def now() -> float:
        """Return the present moment, in seconds."""
        return time.time()

    def wait_for_quiet(self, seconds: float) -> None:
        """Let some time pass in which something is not to happen."""
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > end, seconds + 5)

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.folder / name).exists()

    def touch(self, name: str) -> None:
        """Make a file."""
        (self.folder / name).touch()

    def wait_for_file(self, name: str, timeout: float = 20) -> str:
        """Wait for a file that is written at once; return its text."""
        path = self.folder / name
        return wait_until(lambda: path.exists() and path.read_text(), timeout, name)

    def lines(self, name: str = "ledger") -> list[list[str]]:
        """Return the words of each line that tasks wrote."""
        with suppress(FileNotFoundError):
            return [line.split() for line in (self.folder / name).read_text().splitlines()]
        return []


def _is_left(path: Path) -> bool:
    if path.name.startswith("seen-"):  # what has been seen of leases, for workers to come
        return False
    try:
        return path.name.startswith(("stacks-", "kept-")) or path.read_bytes()[4:5] not in {
            b"",
            b"\0",
        }
    except FileNotFoundError:
        return False


def took(job: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    began = time.monotonic()
    job()
    return time.monotonic() - began


def _jobs(
    calls: list[tuple[Any, ...]],
    queue: str,
    priority: int,
    after: float | None,
    kwargs: dict[str, Any],
) -> list[Job]:
    now = clock.now()
    jobs = []
    for index, (name, *args) in enumerate(calls):
        at = now - index
        run_after = None if after is None else at + int(after * clock.SECOND)
        jobs.append(
            Job(
                new_id(at),
                "default",
                name if "." in name else f"jobs.tasks.{name}",
                queue,
                priority,
                run_after or at,
                State.SCHEDULED if run_after else State.READY,
                None,
                codec.encode_call(args, kwargs, 10_000_000),
                run_after,
                at,
            )
        )
    return jobs


def _seen(job: Job) -> Seen:
    return Seen(
        job.id,
        job.task_path.removeprefix("jobs.tasks."),
        State(job.state),
        codec.decode(job.worker_ids or b"[]"),
        [tuple(error) for error in codec.decode(job.errors or b"[]")],
        codec.decode(job.return_value or b"null"),
        job.started_at and job.started_at / clock.SECOND,
        job.finished_at and job.finished_at / clock.SECOND,
    )


def in_seconds(seconds: float) -> datetime:
    """Return a moment from now."""
    return datetime.now().astimezone() + timedelta(seconds=seconds)
