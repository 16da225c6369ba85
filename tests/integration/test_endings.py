"""How attempts end: each has an outcome, whatever it swallows, and leaves nothing behind."""

from collections.abc import Callable

import pytest

from mainspring.core.jobs import State

from .databases import on_engines
from .sites import Site
from .test_maps import ask

PERSISTENT = {"CONN_MAX_AGE": 600}


@pytest.fixture
def persistent_site(make_site: Callable[..., Site]) -> Site:
    """A site whose connections outlive the tasks that open them, with a table for notes."""
    site = make_site(connections=PERSISTENT, options={"GRACE": 30})
    site.execute("CREATE TABLE note (text varchar(100))", [()])
    return site


# Ends of asyncio tasks


def test_one_that_cancels_all_others_leaves_none_running(site: Site) -> None:
    site.enqueue_all([("jobs.endings.acancels_all",), *[("asleep", 0.05)] * 20] * 5)
    worker = site.worker("--processes=1")
    for seen in site.wait_for_all():
        assert seen.state == State.SUCCESSFUL or seen.kinds == ["CancelledError"]
    assert site.stop(worker) == 0


# What is swallowed


@pytest.mark.parametrize(
    ("name", "threads"),
    [("joins", 1), ("swallows", 1), ("swallows", 2), ("aswallows", 1)],
)
def test_what_has_timed_out_has_failed(site: Site, name: str, threads: int) -> None:
    site.worker("--processes=1", f"--threads={threads}")
    seen = site.wait_for(site.enqueue(f"jobs.endings.{name}"))
    assert (seen.state, seen.kinds) == (State.FAILED, ["TaskTimeout"])
    assert "The call took longer than 0.4 s." in seen.errors[0][1]
    assert not site.logged("Killing")


@pytest.mark.parametrize(
    ("name", "threads"), [("takes_its_time", 1), ("takes_its_time", 2), ("atakes_its_time", 1)]
)
def test_who_cleans_up_is_not_told_again(site: Site, name: str, threads: int) -> None:
    site.worker("--processes=1", f"--threads={threads}")
    seen = site.wait_for(site.enqueue(f"jobs.endings.{name}"))
    assert seen.kinds == ["TaskTimeout"]
    assert len(site.lines("clean")) == 1
    assert not site.logged("Killing")


# What is left on a connection


@on_engines
@pytest.mark.parametrize(
    "name", ["waits_for_database", "begins", "waits_for_database_in_transaction"]
)
def test_the_next_one_gets_a_connection_of_its_own(persistent_site: Site, name: str) -> None:
    site = persistent_site
    site.worker("--processes=1")
    before = site.wait_for(site.enqueue("jobs.endings.notes"))
    late = site.wait_for(site.enqueue(f"jobs.endings.{name}"), timeout=30)
    assert late.kinds == ["TaskTimeout"], late
    site.execute("INSERT INTO note VALUES ('kept')", [()])  # nobody keeps it locked
    after = site.wait_for(site.enqueue("jobs.endings.notes"))
    assert (after.state, after.errors) == (State.SUCCESSFUL, [])
    assert before.returned == after.returned  # nothing was committed, and it is the same process


@on_engines
def test_the_next_calls_of_a_map_get_a_connection_of_their_own(persistent_site: Site) -> None:
    site = persistent_site
    site.worker("--processes=1")
    values, errors = ask(
        site,
        "from jobs.endings import waits_at_some\n"
        "h = waits_at_some.map(range(30))\n"
        "h.wait(60)\n"
        "tell([v[0] for v in h.values(skip_failed=True)],\n"
        "  [e.errors[-1].exception_class_path.rpartition('.')[2] for e in h.errors()])",
    )
    # On a busy machine, others may take too long as well, before or after they have written.
    assert (set(values), set(errors)) == ({0}, {"TaskTimeout"})
    assert len(values) + len(errors) == 30
    ((written,),) = site.query("SELECT count(*) FROM note")
    assert len(values) <= written <= 29


@on_engines
@pytest.mark.parametrize("threads", [1, 2])
def test_metadata_is_saved_where_the_timeout_meets_its_saving(
    persistent_site: Site, threads: int
) -> None:
    site = persistent_site
    ids = site.enqueue_all([("jobs.endings.saves_all_the_time", number) for number in range(6)])
    site.worker("--processes=1", f"--threads={threads}")
    for one in ids:
        assert site.wait_for(one).kinds == ["TaskTimeout"]
    assert {one: site.metadata(one)["count"] for one in ids} == {
        one: int(count) for one, count in site.lines("counts")
    }
    assert not site.logged("is not saved")


# What is kept alive


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_of_an_attempt_is_alive_after_it(site: Site, threads: int) -> None:
    site.worker("--processes=1", f"--threads={threads}")
    site.wait_for(site.enqueue("jobs.endings.disables_collection"))
    kinds = ("fails", "afails", "hangs", "ahangs")
    names = [f"jobs.endings.{kind}_with_much" for kind in kinds]
    site.enqueue_all([(name,) for name in [*names, f"{names[0]}_in_transaction"] * 2])
    site.wait_for_all()
    assert ask(
        site,
        "from jobs.endings import fails_with_much_at\n"
        "h = fails_with_much_at.map(range(20))\n"
        "h.wait(60)\n"
        "tell(h.progress.failed)",
    ) == [10]
    assert site.wait_for(site.enqueue("jobs.endings.alive")).returned == 0
