"""A worker beside thousands of maps and limit keys, over a slow network, waits for none."""

from collections.abc import Callable

from mainspring.bench.slow_network import SlowNetwork
from mainspring.core.jobs import State

from .sites import Site
from .waiting import wait_until

NUMBER = 10_000
MAPS = """
INSERT INTO mainspring_map (
    id, backend, task_path, options, queue_name, priority, enqueued_at, stored, is_closed, level
)
SELECT lpad(to_hex(n), 20, '0') || 'aaaaaaaaaaaa', 'default', 'jobs.tasks.nothing', '{{}}',
    'elsewhere', 0, 0, 1, true, 0
FROM generate_series(1, {number}) AS n
"""
ROWS = """
INSERT INTO mainspring_job (
    id, backend, task_path, queue_name, priority, available_at, state, arguments, enqueued_at
)
SELECT lpad(to_hex(n), 20, '0') || '000000000000', 'default', 'jobs.tasks.nothing', 'elsewhere',
    0, 1, 1, '[[],{{}}]', 1
FROM generate_series(1, {number}) AS n
"""
HELD = """
INSERT INTO mainspring_job (
    id, backend, task_path, queue_name, priority, available_at, state, arguments, enqueued_at,
    limit_group
)
SELECT 'e' || lpad(to_hex(n), 19, '0') || 'bbbbbbbbbbbb', 'default', 'jobs.tasks.nothing',
    'default', 0, 1, -1, '[[],{{}}]', 1, '[["c:k' || n || '",1]]'
FROM generate_series(1, {number}) AS n
"""
WAITING = """
INSERT INTO mainspring_held (id, backend, limit_group, level, place, available_at)
SELECT id, backend, limit_group, 0, 0, 1 FROM mainspring_job WHERE state = -1
"""
LIMITS = """
INSERT INTO mainspring_limit (name, used, idle_at)
SELECT 'c:default:k' || n, convert_to('["' || lpad('1', 20, '0') || '000000000000"]', 'UTF8'),
    9000000000000000
FROM generate_series(1, {number}) AS n
"""


def test_thousands_of_maps_and_limit_keys_hold_up_nothing_over_a_slow_network(
    make_site: Callable[..., Site],
) -> None:
    """A look at each would take a minute: 2.3 ms for one round trip."""
    site = make_site("postgresql", options={"LEASE": 6})
    for sql in (MAPS, ROWS, HELD, WAITING, LIMITS):
        site.query(sql.format(number=NUMBER))
    database = site.settings["database"]
    with SlowNetwork(
        database["HOST"] or "127.0.0.1", int(database["PORT"] or 5432), 0.00115
    ) as net:
        site.settings["database"] = {**database, "HOST": net.host, "PORT": str(net.port)}
        worker = site.worker("--processes=1", "--queues=default")
        wait_until(site.workers)
        renewals = set[int]()

        def has_renewed() -> bool:
            ((heard_at,),) = site.query("SELECT heard_at FROM mainspring_worker")
            renewals.add(heard_at)
            return len(renewals) > 2

        wait_until(has_renewed, 15)
        # Staged by the loops, and run at once: they come round beside all that there is to look at.
        late = [site.enqueue("nothing", after=0.1) for _ in range(3)]
        for one in late:
            assert site.wait_for(one, timeout=10).state == State.SUCCESSFUL
        assert not site.logged("had been given up")
        assert site.stop(worker, timeout=20) == 0
