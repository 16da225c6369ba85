"""The statements in sql/: each reads by an index, however many finished rows lie beside."""

import re
from importlib.resources import files

import pytest
from django.db import connections

from mainspring.backends.database.statements import statement
from mainspring.core.clock import SECOND
from mainspring.core.jobs import State
from tests.contract.jobs import claimed, deferred, enqueued, job, registered, succeeded
from tests.contract.router import STORE
from tests.contract.stores import Store

NAMES = sorted(
    file.name.removesuffix(".sql")
    for file in files("mainspring.backends.database").joinpath("sql", "sqlite").iterdir()
)

# What each statement reads jobs by; none of it grows with what has finished.
BY_READY = {"count_ready", "first_newest", "first_oldest", "next_priority", "next_queue"} | {
    "claim_newest",
    "claim_oldest",
}
BY_SCHEDULED = {"count_scheduled", "hold_due", "next_scheduled", "stage"}
BY_RUNNING = {"claimed", "count_running"}
IN_ORDER = BY_READY | BY_SCHEDULED | {"old_results", "first_held", "longest_held"}


def plan_of(name: str) -> list[str]:
    sql = statement("sqlite", name)
    numbers = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    parameters = max(numbers, default=0) or sql.count("%s")
    connection = connections[STORE]
    connection.ensure_connection()
    rows = connection.connection.execute(
        "EXPLAIN QUERY PLAN " + sql.replace("%s", "?"), ["[]"] * parameters
    )
    return [row[3] for row in rows]


@pytest.fixture(params=["empty", "beside many finished rows"])
def filled(request: pytest.FixtureRequest, store: Store) -> Store:
    """A store, also one that SQLite knows to hold finished rows nearly only."""
    if request.param != "empty":
        storage = store.storage
        worker = registered(storage)
        for _ in range(5):
            taken = claimed(storage, worker, *range(1000))
            storage.settle(worker, [succeeded(one, worker) for one in taken])
        enqueued(storage, *range(10))
        storage.claim(worker, ["*"], 5)
        storage.enqueue([deferred(SECOND) for _ in range(5)])
        connections[STORE].cursor().execute("ANALYZE")
    return store


# What the statement itself has found, by way of indexes.
_OF_ITS_OWN = ("SCAN CONSTANT ROW", "SCAN (subquery-", "SCAN held", "SCAN numbered", "SCAN page")


@pytest.mark.parametrize("name", NAMES)
def test_no_statement_scans_the_jobs(filled: Store, name: str) -> None:
    for line in plan_of(name):
        if line.startswith("SCAN"):
            assert (
                "json_each" in line
                or line.startswith(_OF_ITS_OWN)
                or "mainspring_worker" in line
                or "mainspring_limit" in line  # those in use only, once a minute
                or "INDEX mainspring_job_running" in line  # holds what is running only
                or "INDEX mainspring_job_ready" in line
            ), line


@pytest.mark.parametrize("name", sorted(IN_ORDER))
def test_no_statement_sorts(filled: Store, name: str) -> None:
    assert not [line for line in plan_of(name) if "TEMP B-TREE" in line]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        *((name, "mainspring_job_ready") for name in sorted(BY_READY)),
        *((name, "mainspring_job_scheduled") for name in sorted(BY_SCHEDULED)),
        *((name, "mainspring_job_running") for name in sorted(BY_RUNNING)),
    ],
)
def test_unfinished_jobs_are_read_by_their_partial_index(
    filled: Store, name: str, index: str
) -> None:
    assert any(index in line for line in plan_of(name))


def test_the_partial_indexes_hold_no_finished_rows(store: Store) -> None:
    with connections[STORE].cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'mainspring_job'")
        indexes = {name: sql for name, sql in cursor.fetchall() if sql and "INDEX" in sql}
    conditions = {name: re.findall(r'WHERE "state" = (\d)', sql) for name, sql in indexes.items()}
    assert conditions == {
        "mainspring_job_ready": [str(State.READY.value)],
        "mainspring_job_scheduled": [str(State.SCHEDULED.value)],
        "mainspring_job_running": [str(State.RUNNING.value)],
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_statement_says_what_it_is_for(name: str) -> None:
    text = files("mainspring.backends.database").joinpath("sql", "sqlite", f"{name}.sql")
    header = [line for line in text.read_text("utf-8").splitlines() if line.startswith("--")]
    assert re.match(r"-- [a-z_, ]+: .", header[0])
    sql = statement("sqlite", name)
    assert "--" not in sql
    if "?" in sql or "%s" in sql:
        assert any(line.startswith("-- Inputs") for line in header)


def test_a_claim_touches_no_finished_row(store: Store) -> None:
    """SQLite itself counts the steps: a claim takes as many beside many finished rows."""
    storage = store.storage
    worker = registered(storage)
    steps = []
    for _ in range(2):
        enqueued(storage, *range(20))
        steps.append(_steps_of_a_claim(store))
        for _ in range(3):
            taken = claimed(storage, worker, *range(900))
            storage.settle(worker, [succeeded(one, worker) for one in taken])
    assert steps[1] <= steps[0] * 1.1


def _steps_of_a_claim(store: Store) -> int:
    storage = store.another_process()
    worker = registered(storage)
    new = job(10**6)  # makes the claim begin from the same place in both
    storage.enqueue([new])
    connection = storage._own.get().connection  # type: ignore[attr-defined]
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(step, 10)
    taken = storage.claim(worker, ["default"], 10)
    connection.set_progress_handler(None, 0)
    assert len(taken) == 10
    storage.close()
    return steps
