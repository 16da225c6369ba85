import heapq
import random
from datetime import UTC, datetime, timedelta

from django.tasks import TaskResultStatus
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from mainspring import TaskResult, fifo, lifo
from mainspring.core import clock
from mainspring.core.ordering import KEYS

START = datetime(2026, 1, 1, tzinfo=UTC)


def result(number=1, priority=0, run_after=None, enqueued_at=START, text=None):
    return TaskResult(
        id=text or f"{number:032x}",
        status=TaskResultStatus.READY,
        task_path="app.tasks.work",
        queue_name="default",
        priority=priority,
        run_after=run_after,
        backend="default",
        enqueued_at=enqueued_at,
    )


MOMENTS = st.integers(0, 3).map(lambda seconds: START + timedelta(seconds=seconds))
RESULTS = st.lists(
    st.builds(
        result,
        number=st.integers(0, 2**128 - 1),
        priority=st.integers(-2, 2),
        run_after=st.none() | MOMENTS,
        enqueued_at=MOMENTS,
    ),
    max_size=30,
    unique_by=lambda one: one.id,
)


@given(RESULTS)
def test_results_compare_by_lifo(results):
    assert sorted(results) == sorted(results, key=lifo)
    for one in results:
        for other in results:
            assert (one < other) == (lifo(one) < lifo(other)) == (other > one)
            assert (one <= other) == (lifo(one) <= lifo(other)) == (other >= one)


@given(RESULTS)
def test_fifo_turns_the_moments_round_and_not_the_priorities(results):
    newest_last = sorted(results, key=fifo)
    newest_first = sorted(results, key=lifo)
    for priority in {one.priority for one in results}:
        level = [one for one in newest_first if one.priority == priority]
        assert level == [one for one in newest_last if one.priority == priority][::-1]
    assert [one.priority for one in newest_last] == [one.priority for one in newest_first]


def test_the_higher_priority_goes_first_however_late():
    urgent = result(1, priority=1, enqueued_at=START)
    assert urgent < result(2, priority=0, enqueued_at=START + timedelta(days=1))


def test_run_after_counts_instead_of_the_moment_of_enqueueing():
    deferred = result(1, run_after=START + timedelta(seconds=5), enqueued_at=START)
    later = result(2, enqueued_at=START + timedelta(seconds=4))
    assert deferred < later
    assert sorted([deferred, later], key=fifo) == [later, deferred]


def test_ids_that_are_not_hexadecimal_have_their_order_too():
    ids = ["map:2", "map:1", "é", "", "a", "a:0", "f" * 64]
    results = [result(text=one) for one in ids if one]
    assert sorted(results, key=lifo) == sorted(results)
    assert [one.id for one in sorted(results, key=fifo)] == sorted(one for one in ids if one)


def test_without_time_zones_the_hour_that_comes_twice_keeps_its_order():
    with override_settings(USE_TZ=False):
        hour = timedelta(hours=1)
        instants = [datetime(2025, 10, 25, 22, 30, tzinfo=UTC) + hour * i for i in range(5)]
        results = [
            result(9 - i, enqueued_at=clock.to_datetime(clock.to_moment(instant)))
            for i, instant in enumerate(instants)
        ]
        shuffled = random.Random(1).sample(results, len(results))
        assert [one.id for one in sorted(shuffled)] == [one.id for one in results[::-1]]


def test_heapq_pops_in_order():
    results = [result(i, priority=i % 3) for i in range(100)]
    heap = random.Random(2).sample(results, len(results))
    heapq.heapify(heap)
    assert [heapq.heappop(heap) for _ in results] == sorted(results, key=lifo)


def test_the_option_order_has_these_keys():
    assert dict(KEYS) == {"lifo": lifo, "fifo": fifo}
