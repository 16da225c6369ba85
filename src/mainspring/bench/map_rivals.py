"""What maps a function over items in other ways, none of them durable."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import batched, chain
from typing import Any, Final, NamedTuple

from mainspring.bench.map_functions import no_op, same
from mainspring.bench.map_items import rows

PROCESSES: Final = 2

_SIZES: Final = (1_000, 10_000, 100_000)
_WARM_UP: Final = 100  # calls

type Mapped = Callable[[int, int], Sequence[Any]]
"""Calls the no-op function for so many whole numbers, in chunks of a size; returns the values."""


class Rival(NamedTuple):
    """One other way."""

    name: str
    module: str
    """What has to be installed."""
    started: Callable[[], AbstractContextManager[Mapped]]
    """Its processes, as long as they are there."""
    share: float = 1.0
    """Of the calls: those that take too long get fewer."""

    @property
    def is_installed(self) -> bool:
        """Whether it can be measured."""
        return find_spec(self.module) is not None

    def measure(self, calls: int, sizes: Sequence[int] = _SIZES) -> dict[int, float]:
        """Return how many calls a second it does, by the size of chunks."""
        number = max(int(calls * self.share), 1)
        with self.started() as mapped:
            mapped(_WARM_UP, 1)
            return {size: _rate(partial(mapped, number, size), number) for size in sizes}


def pool_returned(function: Callable[..., object], calls: int, size: int) -> float:
    """Return how many calls a second ``Pool.starmap`` does, with several arguments each."""
    with multiprocessing.Pool(PROCESSES) as pool:
        pool.map(no_op, range(_WARM_UP), 1)
        return _rate(lambda: pool.starmap(function, rows(calls), size), calls)


def pool_reduced(calls: int, size: int) -> float:
    """Return how many calls a second ``Pool.map`` does where the values are summed up then."""
    with multiprocessing.Pool(PROCESSES) as pool:
        pool.map(no_op, range(_WARM_UP), 1)
        began = time.perf_counter()
        value = sum(pool.map(same, range(calls), size))
        seconds = time.perf_counter() - began
    if value != sum(range(calls)):
        raise AssertionError(f"{value} is not the sum")
    return calls / seconds


def _rate(mapped: Callable[[], Sequence[Any]], calls: int) -> float:
    began = time.perf_counter()
    values = mapped()
    seconds = time.perf_counter() - began
    if len(values) != calls:
        raise AssertionError(f"{len(values)} values of {calls} calls")
    return calls / seconds


@contextmanager
def _pool() -> Iterator[Mapped]:
    with multiprocessing.Pool(PROCESSES) as pool:
        yield lambda calls, size: pool.map(no_op, range(calls), size)


@contextmanager
def _executor() -> Iterator[Mapped]:
    with ProcessPoolExecutor(PROCESSES) as executor:
        yield lambda calls, size: list(executor.map(no_op, range(calls), chunksize=size))


@contextmanager
def _ray() -> Iterator[Mapped]:
    import ray

    @ray.remote  # type: ignore[untyped-decorator]
    def in_batch(numbers: list[int]) -> list[None]:
        return list(map(no_op, numbers))

    def mapped(calls: int, size: int) -> Sequence[Any]:
        # The items themselves are sent, as the others do.
        batches = map(list, batched(range(calls), size))
        lists = ray.get([in_batch.remote(batch) for batch in batches])
        return list(chain.from_iterable(lists))

    ray.init(
        num_cpus=PROCESSES, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    try:
        yield mapped
    finally:
        ray.shutdown()


@contextmanager
def _dask() -> Iterator[Mapped]:
    import dask.bag

    def mapped(calls: int, size: int) -> Sequence[Any]:
        items = dask.bag.from_sequence(range(calls), partition_size=size)
        found: Sequence[Any] = items.map(no_op).compute(
            scheduler="processes", num_workers=PROCESSES
        )
        return found

    yield mapped


@contextmanager
def _joblib() -> Iterator[Mapped]:
    from joblib import Parallel, delayed

    def mapped(calls: int, size: int) -> Sequence[Any]:
        with Parallel(PROCESSES, batch_size=size) as parallel:
            found: Sequence[Any] = parallel(delayed(no_op)(number) for number in range(calls))
        return found

    yield mapped


POOL: Final = Rival("Pool.map", "multiprocessing", _pool)
OTHERS: Final = (
    Rival("ProcessPoolExecutor.map", "concurrent.futures", _executor),
    Rival("Ray, in batches", "ray", _ray),
    Rival("Dask's bag", "dask", _dask, 0.1),
    Rival("joblib's Parallel", "joblib", _joblib, 0.1),
)
