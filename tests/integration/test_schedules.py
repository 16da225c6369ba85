"""Schedules with real workers: of the code, the settings and entries; told to pause; caught up."""

import sys
import textwrap
from collections.abc import Callable
from itertools import pairwise

from mainspring.core.jobs import State

from .databases import on_engines
from .processes import children, kill_tree
from .scheduled import check_that_every_tick_is_there_once, every_second, ticked
from .sites import Site
from .waiting import wait_until

SECONDLY = "s0"


def with_app(make_site: Callable[..., Site], source: str, **settings: object) -> Site:
    """Make a site with an app more, whose tasks these are."""
    site = make_site(apps=["clockwork"], **settings)
    (site.folder / "clockwork").mkdir()
    (site.folder / "clockwork" / "__init__.py").touch()
    (site.folder / "clockwork" / "tasks.py").write_text(textwrap.dedent(source))
    return site


def command(site: Site, *words: str) -> None:
    """Run ``manage.py mainspring schedules``."""
    assert site.manage("mainspring", "schedules", *words).wait(20) == 0, site.output.read_text()


def wait_for_ticks(site: Site, number: int, name: str = SECONDLY) -> None:
    """Wait until a schedule has ticked so often more."""
    had = sum(one.schedule == name for one in ticked(site))
    wait_until(lambda: sum(one.schedule == name for one in ticked(site)) >= had + number, 30)


@on_engines
def test_what_code_and_settings_declare_is_enqueued(
    make_site: Callable[..., Site], engine: str
) -> None:
    source = """
    from datetime import timedelta
    from mainspring import cron, every, task

    @cron("* * * * * *", name="cron", args=[1], catch_up="all")
    @every(timedelta(seconds=1), name="every", args=[2], catch_up="all")
    @task
    def echo(number):
        return number

    @every(seconds=1, name="once")
    @task(unique=True)
    def once():
        return 3
    """
    site = with_app(make_site, source, options={"SCHEDULES": every_second(1, catch_up="all")})
    worker = site.worker("--processes=2")
    for name in ("cron", "every", "once", SECONDLY):
        wait_for_ticks(site, 2, name)
    site.stop(worker)
    found = ticked(site)
    check_that_every_tick_is_there_once([one for one in found if one.schedule != "once"], 3)
    returned = {job.returned for job in site.jobs() if job.state == State.SUCCESSFUL}
    assert {1, 2, 3} <= returned
    assert max(one.lateness for one in found) < 5


def test_what_was_missed_while_no_worker_was_there_is_made_up_for(
    make_site: Callable[..., Site],
) -> None:
    schedules = {
        **every_second(1),
        "all": {"task": "jobs.tasks.nothing", "every": 1, "catch_up": "all"},
    }
    site = make_site(options={"SCHEDULES": schedules})
    worker = site.worker("--processes=1")
    wait_for_ticks(site, 2)
    kill_tree(worker)
    site.wait_for_quiet(3)
    stopped = max(one.tick for one in ticked(site))
    worker = site.worker("--processes=1")
    wait_for_ticks(site, 3)
    site.stop(worker)
    found = ticked(site)
    check_that_every_tick_is_there_once([one for one in found if one.schedule == "all"], 1)
    between = [one for one in found if one.schedule == SECONDLY and one.tick > stopped]
    assert min(one.tick for one in between) >= stopped + 3  # the newest, and those after it


def test_a_schedule_is_paused_and_resumed_while_workers_run(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(options={"SCHEDULES": every_second(2, catch_up="all")})
    worker = site.worker("--processes=1")
    wait_for_ticks(site, 1)
    command(site, "pause", SECONDLY)
    paused = sum(one.schedule == SECONDLY for one in ticked(site))
    wait_for_ticks(site, 3, "s1")
    assert sum(one.schedule == SECONDLY for one in ticked(site)) == paused
    command(site, "resume", SECONDLY)
    wait_for_ticks(site, 2)
    site.stop(worker)
    ticks = sorted(one.tick for one in ticked(site) if one.schedule == SECONDLY)
    assert max(later - earlier for earlier, later in pairwise(ticks)) >= 4


def test_an_entry_is_added_and_removed_while_workers_run(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(options={"EXPOSED_TASKS": {"Nothing": "jobs.tasks.nothing"}})
    worker = site.worker("--processes=1")
    wait_until(site.workers)
    code = "from mainspring.backends.database.models import ScheduleEntry as S; "
    add = "S(name='added', task='Nothing', every=1, priority=3).save()"
    assert site.manage("shell", "--no-imports", "-c", code + add).wait(20) == 0
    wait_for_ticks(site, 2, "added")
    remove = "S.objects.all().delete()"
    assert site.manage("shell", "--no-imports", "-c", code + remove).wait(20) == 0
    site.wait_for_quiet(5.5)
    number = len(ticked(site))
    site.wait_for_quiet(1.5)
    assert len(ticked(site)) == number
    site.stop(worker)
    assert site.query("SELECT min(priority) FROM mainspring_job")[0][0] == 3


def test_a_worker_that_drains_enqueues_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site(options={"SCHEDULES": every_second(1)})
    site.enqueue("sleep", 2)
    site.drain()
    assert len(site.jobs()) == 1


def test_schedules_in_memory(site: Site) -> None:
    script = """
    import time
    import django
    from django.conf import settings

    backend = "mainspring.backends.memory.MemoryBackend"
    settings.configure(TASKS={"default": {"BACKEND": backend}}, USE_TZ=True)
    django.setup()
    from mainspring import every, task

    ran = []

    @every(seconds=1)
    @task
    def tick():
        ran.append(time.time())

    @task
    def start():
        pass

    start.enqueue()
    while len(ran) < 2:
        time.sleep(0.01)
    print("ticked twice", flush=True)
    """
    path = site.folder / "script.py"
    path.write_text(textwrap.dedent(script))
    assert site.wait(site.start(sys.executable, str(path)), 20) == 0
    assert "ticked twice" in site.output.read_text()


def test_ten_thousand_schedules_cost_an_idle_worker_next_to_nothing(
    make_site: Callable[..., Site],
) -> None:
    source = """
    from mainspring import cron, task

    def declare(number):
        def function():
            pass
        function.__qualname__ = function.__name__ = f"f{number}"
        declared = task(function)
        for index in range(50):
            cron(f"{index} 3 1 {1 + number % 12} *", name=f"s{number}-{index}")(declared)
        return declared

    tasks = [declare(number) for number in range(200)]
    """
    site = with_app(make_site, source)
    worker = site.worker("--processes=1")
    site.wait_for_log("10000 schedules", timeout=60)
    (process,) = wait_until(lambda: children(worker))
    site.wait_for_quiet(1)
    seconds, before = 10, process.cpu_times()
    site.wait_for_quiet(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    site.stop(worker)
    assert used / seconds < 0.01
