"""What a worker cannot read costs it nothing else: random damage, and rows of newer versions."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainspring.core import clock, codec, formats
from mainspring.core.ids import new_id
from mainspring.core.jobs import Job, State

from .databases import on_engines
from .processes import children, kill_tree
from .sites import Site
from .test_maps import ask, start_map
from .waiting import wait_until

SPARED = 20
_TEXTS: list[Any] = ["", "x", "[", '{"_format":', "a" * 200]
_BYTES: list[Any] = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b"5",
    b"[5]",
    b'"text"',
    b'{"a":',
    b'{"_format":9}',
    b'{"_format":-1}',
    b'{"_map":["0","items"]}',
    b'{"_map":[]}',
    b'{"backoff":{"fibonacci":{}}}',
    b'{"timeout":-5,"max_attempts":0}',
    b'[["a"]]',
    b"[" * 5000,
]
_NUMBERS: list[Any] = [-(2**63), -1, 0, 1, 2**53, 2**62, 2**63 - 1]
DAMAGE: dict[str, list[Any]] = {
    "arguments": _BYTES,
    "options": [*_BYTES, None],
    "metadata": _BYTES,
    "worker_ids": _BYTES,
    "errors": _BYTES,
    "return_value": _BYTES,
    "limit_group": ["", "[", "[]", "[5]", '[["c:a",1,null,7]]', '[["c:a","one"]]', '[["z",1]]'],
    "task_path": [one for one in _TEXTS if one],
    "started_at": _NUMBERS,
    "last_attempted_at": _NUMBERS,
    "finished_at": _NUMBERS,
    "enqueued_at": _NUMBERS,
    "run_after": _NUMBERS,
    "available_at": _NUMBERS,
}


def call(**columns: Any) -> Job:
    """Return one call, as stored."""
    now = clock.now()
    name, arguments = "jobs.tasks.add", codec.encode(((20, 22), {}))
    one = Job(
        new_id(now), "default", name, "default", 0, now, State.READY, None, arguments, None, now
    )
    return one._replace(**columns)


def damage(site: Site, jobs: list[Job], chance: random.Random) -> dict[str, str]:
    """Damage one column of each; return how."""
    how = {}
    for one in jobs:
        column = chance.choice(list(DAMAGE))
        value = chance.choice(DAMAGE[column])
        site.execute(f"UPDATE mainspring_job SET {column} = ? WHERE id = ?", [(value, one.id)])
        how[one.id] = f"{column} = {value!r:.40}"
    return how


def left_by_a_dead_host(site: Site, token: int, jobs: list[Job]) -> None:
    """Register a worker that is dead, and had claimed these."""
    then = clock.now() - 3600 * clock.SECOND
    site.execute(
        "INSERT INTO mainspring_worker "
        "(token, worker_id, backend, started_at, heard_at, leased_until) VALUES (?, ?, ?, ?, ?, ?)",
        [(token, f"gone-1-{token:08x}", "default", then, then, then + clock.SECOND)],
    )
    site.execute(
        "UPDATE mainspring_job SET state = 2, claim = ? WHERE id = ?",
        [(token << 32 | 1, one.id) for one in jobs],
    )


def pids(worker: Any) -> list[int]:
    """Return the processes of a worker."""
    return sorted(child.pid for child in children(worker))


@on_engines
@pytest.mark.parametrize("seed", [1, 2])
def test_random_damage_to_single_columns_stops_nothing_else(
    make_site: Callable[..., Site], seed: int
) -> None:
    chance = random.Random(seed)
    site = make_site(options={"LEASE": 1})
    ready = [call() for _ in range(60)]
    left, spared = [call() for _ in range(40)], [call() for _ in range(SPARED)]
    spared_of_the_dead = [call() for _ in range(SPARED)]
    site.data.store([*ready, *left, *spared, *spared_of_the_dead])
    left_by_a_dead_host(site, 5, [*left, *spared_of_the_dead[:10]])
    left_by_a_dead_host(site, 6, spared_of_the_dead[10:])
    how = damage(site, [*ready, *left], chance)
    nobodys = call()  # RUNNING, and by whom is lost
    site.data.store([nobodys])
    site.execute("UPDATE mainspring_job SET state = 2 WHERE id = ?", [(nobodys.id,)])
    worker = site.worker("--processes=1")
    for one in (*spared, *spared_of_the_dead):
        assert site.wait_for(one.id, timeout=60).state == State.SUCCESSFUL
    first = pids(worker)
    wait_until(lambda: not still_there(site, how), 30, "all damaged ones settled")
    # And new ones go on being run, by the same process.
    later = site.enqueue("add", 1, 2)
    assert site.wait_for(later).returned == 3
    assert pids(worker) == first
    assert site.logged("ended by itself") == site.logged("failed; it goes on") == []
    assert site.stop(worker) == 0


def still_there(site: Site, how: dict[str, str]) -> dict[str, str]:
    """Return what is damaged and is neither finished nor put off to another moment."""
    sql = "SELECT id, state FROM mainspring_job WHERE state IN (1, 2)"
    return {job_id: how[job_id] for job_id, _ in site.query(sql) if job_id in how}


@on_engines
def test_rows_of_a_newer_version_are_left_to_it(site: Site) -> None:
    """They are named in the log once, and what else there is goes on."""
    newer = [
        call(options=b'{"_format":2,"shape":"round"}'),
        call(options=b'{"max_attempts":3,"backoff":{"fibonacci":{"first":1}}}'),
    ]
    damaged = call(options=b'{"max_attempts":')
    plain = [call() for _ in range(5)]
    site.data.store([*newer, damaged, *plain])
    worker = site.worker("--processes=2")
    for one in plain:
        assert site.wait_for(one.id).returned == 42
    assert site.wait_for(damaged.id).kinds == ["Unreadable"]
    for one in newer:
        assert site.wait_for(one.id, State.SCHEDULED)
        ((available_at,),) = site.query(
            "SELECT available_at FROM mainspring_job WHERE id = ?", one.id
        )
        assert formats.is_aside(available_at)
    before = pids(worker)
    for number in range(20):  # it claims again and again
        assert site.wait_for(site.enqueue("add", number, 1)).returned == number + 1
    assert pids(worker) == before
    for one in (*newer, damaged):
        assert len([r for r in site.log() if r["extra"].get("task_id") == one.id]) == 1
    assert site.logged("ended by itself") == []


@on_engines
def test_one_unreadable_row_of_a_killed_worker_keeps_nobody_from_being_rescued(
    make_site: Callable[..., Site],
) -> None:
    """Its options became unreadable while it ran."""
    site = make_site(options={"LEASE": 2})
    worker = site.worker("--threads=4")
    held = [site.enqueue("hold", f"go-{number}") for number in range(4)]
    for one in held:
        site.wait_for(one, State.RUNNING)
    for number in range(4):
        site.wait_for_file(f"go-{number}.started")
    odd = {held[0]: b'{"backoff":{"fibonacci":{}}}', held[1]: b'{"_format":3}', held[2]: b"\xff"}
    site.execute(
        "UPDATE mainspring_job SET options = ? WHERE id = ?",
        [(options, job_id) for job_id, options in odd.items()],
    )
    kill_tree(worker)
    for number in range(4):
        site.touch(f"go-{number}.go")
    site.worker()
    assert site.wait_for(held[3]).state == State.SUCCESSFUL
    for job_id, options in odd.items():
        wanted = State.FAILED if options == b"\xff" else State.SCHEDULED
        assert site.wait_for(job_id, wanted).state == wanted
    assert site.logged("failed; it goes on") == []


def test_a_damaged_note_of_a_killed_worker_costs_only_the_calls_after_it(site: Site) -> None:
    worker = site.worker("--processes=1")
    map_id = start_map(site, "noted.map(range(400))")
    kept = wait_until(lambda: with_two_lines(site), 30, "notes of a row")
    kill_tree(worker)
    first, *_ = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(first + b'[1,2"\n[3]\n')
    other = site.enqueue("add", 1, 2)
    site.worker()
    assert site.wait_for(other).returned == 3
    (values,) = ask(site, f"h = get_map({map_id!r})\nh.wait(60)\ntell(list(h.values()))", 90)
    assert values == list(range(400))
    assert site.logged("failed; it goes on") == []


def with_two_lines(site: Site) -> Path | None:
    """Return the notes of a row that runs, once there are some."""
    for path in (site.folder / "tmp").glob("mainspring-*/kept-*"):
        if path.read_bytes().count(b"\n") > 1:
            return path
    return None


def test_a_board_of_a_newer_version_is_left_alone(site: Site) -> None:
    """What its worker had claimed is rescued by those that know what it says, or by its lease."""
    worker = site.worker("--processes=1")
    held = site.enqueue("hold", "go")
    site.wait_for_file("go.started")
    (board,) = [
        path
        for path in (site.folder / "tmp").glob("mainspring-*/*")
        if path.read_bytes()[:3] == b"MSB"
    ]
    kill_tree(worker)
    newer = bytearray(board.read_bytes())
    newer[3:4] = b"9"
    board.write_bytes(newer)
    second = site.worker("--processes=1")
    assert site.wait_for(site.enqueue("add", 1, 2)).returned == 3
    assert site.job(held).state == State.RUNNING  # its lease has not ended
    assert board.read_bytes() == newer
    wait_until(lambda: len(site.logged(str(board))) == 1, 10, "said once")
    assert site.stop(second) == 0
