"""Whatever a task does, it fails or succeeds on its own, and the next one never notices."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mainspring.core.jobs import State

from .sites import Seen, Site
from .waiting import wait_until

CALM = {
    "umask": 0o27,
    "recursion": 1000,
    "language": "en-us",
    "zone": "America/Chicago",
    "mood": "calm",
    "precision": 28,
    "notes": 0,
    "atomic": False,
    "autocommit": True,
}

RAISES = {
    "exits": "SystemExit",
    "interrupts": "KeyboardInterrupt",
    "ends_a_generator": "GeneratorExit",
    "cancels": "CancelledError",
    "stops_iteration": "StopIteration",
    "recurses": "RecursionError",
    "raises_broken": "BrokenError",
    "raises_surrogate": "ValueError",
    "raises_huge": "ValueError",
    "raises_group": "ExceptionGroup",
    "raises_in_circles": "ValueError",
    "raises_odd_class": "Odd",
    "leaves_nested_transaction": "ValueError",
    "lowers_recursion_limit": "ValueError",
}
RETURNS = ("object", "date", "set", "nan", "keys", "surrogate", "loop", "deep", "big", "coroutine")
SUCCEEDS = (
    "closes_connections",
    "leaves_transaction",
    "leaves_raw_transaction",
    "turns_autocommit_off",
    "breaks_connection",
    "changes_folder",
    "deletes_folder",
    "changes_umask",
    "clears_path",
    "replaces_path",
    "raises_recursion_limit",
    "speaks_french",
    "sets_context",
    "leaves_thread",
)
ARAISES = {
    "aexits": "SystemExit",
    "ainterrupts": "KeyboardInterrupt",
    "aends_a_generator": "GeneratorExit",
    "acancels": "CancelledError",
    "acancels_itself_and_waits": "CancelledError",
}
ASUCCEEDS = (
    "asets_context",
    "aleaves_transaction",
    "achanges_all",
    "acancels_itself",
    "astops_loop",
    "aspawns_exit",
    "aleaves_coroutine",
)


class Neighbours:
    """A worker, and what its tasks find after one that left a mess."""

    def __init__(self, site: Site, *args: str, look: str = "look", times: int = 1) -> None:
        site.execute("CREATE TABLE note (text varchar(100))", [()])
        self.site = site
        self.worker = site.worker("--processes=1", *args)
        self._look, self._times = look, times
        self._path = self._find()[0].pop("path")

    def run(self, name: str, *args: Any) -> Seen:
        """Run a task of ``jobs.rude``; check that the next ones do not notice."""
        seen = self.site.wait_for(self.site.enqueue(f"jobs.rude.{name}", *args))
        self.check()
        return seen

    def check(self) -> None:
        """Check that all is as it was."""
        for found in self._find():
            assert found.pop("path") == self._path
            assert found == {**CALM, "folder": str(self.site.folder)}

    def _find(self) -> list[dict[str, Any]]:
        ids = self.site.enqueue_all([(f"jobs.rude.{self._look}",)] * self._times)
        return [self.site.wait_for(one).returned for one in ids]

    def end(self) -> None:
        """Check that it was one process all the time."""
        assert len({worker for job in self.site.jobs() for worker in job.workers}) == 1
        assert not self.site.logged("ended with")
        assert self.site.stop(self.worker) == 0


@pytest.fixture(scope="module")
def neighbours(
    request: pytest.FixtureRequest, make_sites: Callable[..., Site]
) -> Iterator[Neighbours]:
    """One worker for all tests of a mode, so that each test is a neighbour of the others."""
    args, look, times, engine = request.param
    found = Neighbours(make_sites(engine, umask=0o27), *args, look=look, times=times)
    yield found
    found.end()


in_thread = pytest.param(((), "look", 1, "sqlite"), id="main-thread")
in_threads = pytest.param((("--threads=2",), "look", 4, "sqlite"), id="threads")
in_loop = pytest.param(((), "alook", 1, "sqlite"), id="event-loop")
on_postgresql = pytest.param((("--threads=2",), "look", 4, "postgresql"), id="postgresql")
on_mariadb = pytest.param(((), "look", 1, "mariadb"), id="mariadb")


@pytest.mark.parametrize(
    "neighbours", [in_thread, in_threads, on_postgresql, on_mariadb], indirect=True, scope="module"
)
class TestSync:
    """Tasks in the main thread and in threads."""

    @pytest.mark.parametrize("name", RAISES)
    def test_that_raise(self, neighbours: Neighbours, name: str) -> None:
        seen = neighbours.run(name)

        assert seen.state == State.FAILED
        assert seen.kinds == [RAISES[name]]
        assert len(seen.errors[0][1]) < 60_000
        assert len(seen.workers) == 1

    @pytest.mark.parametrize("what", RETURNS)
    def test_that_return_what_is_not_json(self, neighbours: Neighbours, what: str) -> None:
        seen = neighbours.run("returns", what)

        assert seen.state == State.FAILED
        assert seen.kinds[0] in {"TypeError", "ValueError"}
        assert "return value" in seen.errors[0][1]
        assert len(seen.errors[0][1]) < 60_000

    @pytest.mark.parametrize("name", SUCCEEDS)
    def test_that_leave_a_mess(self, neighbours: Neighbours, name: str) -> None:
        seen = neighbours.run(name)

        assert (seen.state, seen.errors) == (State.SUCCESSFUL, [])

    def test_that_delete_their_own_row(self, neighbours: Neighbours) -> None:
        site = neighbours.site
        before = len(site.logged("or deleted"))
        job_id = site.enqueue("jobs.rude.deletes_itself")
        wait_until(lambda: len(site.logged("or deleted")) > before)

        assert site.logged("or deleted")[-1]["extra"]["task_id"] == job_id
        assert site.query("SELECT id FROM mainspring_job WHERE id = ?", job_id) == []
        neighbours.check()

    def test_a_transaction_left_open_is_told(self, neighbours: Neighbours) -> None:
        before = len(neighbours.site.logged("left a transaction open"))
        neighbours.run("leaves_transaction")

        told = neighbours.site.logged("left a transaction open")
        assert len(told) == before + 1
        assert told[-1]["extra"] == {"database": "default"}


@pytest.mark.parametrize("neighbours", [in_loop], indirect=True, scope="module")
class TestAsync:
    """Tasks in the event loop."""

    @pytest.mark.parametrize("name", ARAISES)
    def test_that_raise(self, neighbours: Neighbours, name: str) -> None:
        seen = neighbours.run(name)

        assert (seen.state, seen.kinds) == (State.FAILED, [ARAISES[name]])

    @pytest.mark.parametrize("name", ASUCCEEDS)
    def test_that_leave_a_mess(self, neighbours: Neighbours, name: str) -> None:
        seen = neighbours.run(name)

        assert (seen.state, seen.errors) == (State.SUCCESSFUL, [])

    def test_beside_each_other(self, neighbours: Neighbours) -> None:
        """What others of the same loop do, at the same time, ends none of them."""
        site = neighbours.site
        site.enqueue_all([("asleep", 0.2)] * 20)
        rude = [*ARAISES, *ASUCCEEDS] * 3
        site.enqueue_all([(f"jobs.rude.{name}",) for name in rude])

        site.wait_for_all()

        assert [job.state for job in site.jobs() if job.task == "asleep"] == [State.SUCCESSFUL] * 20
        neighbours.check()
