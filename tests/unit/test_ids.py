import os
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from mainspring.core import clock
from mainspring.core.ids import _numbers, first_id_at, new_id

MOMENTS = st.integers(0, 2**55)


@given(MOMENTS)
def test_an_id_is_a_uuid_of_version_7(moment):
    text = new_id(moment)
    parsed = uuid.UUID(hex=text)
    assert parsed.hex == text
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert int(text[:12], 16) == moment // 1000


@given(MOMENTS, MOMENTS)
def test_ids_sort_by_the_moment(one, other):
    # 12 bits tell a millisecond's 1,000 microseconds apart.
    if one < other:
        assert new_id(one) < new_id(other)


@given(MOMENTS, MOMENTS)
def test_the_first_id_at_a_moment_bounds_all_others(moment, other):
    bound = first_id_at(moment)
    assert (new_id(other) > bound) == (other // 1000 >= moment // 1000)


def test_no_moment_is_too_early_for_a_bound():
    assert first_id_at(-5) == "0" * 12


def test_ids_of_one_millisecond_sort_by_the_microsecond():
    made = [new_id(moment) for moment in range(1_700_000_000_000_000, 1_700_000_000_001_000)]
    assert made == sorted(made)


def test_ids_of_one_moment_differ():
    moment = clock.now()
    assert len({new_id(moment) for _ in range(20_000)}) == 20_000


def test_ids_of_one_moment_differ_between_threads():
    moment = clock.now()
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda _: [new_id(moment) for _ in range(5_000)], range(4))
        assert len({one for ids in made for one in ids}) == 20_000


def test_a_forked_process_draws_numbers_of_its_own():
    moment = clock.now()
    new_id(moment)  # so that there are numbers left that both would use
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of forking beside other tests' threads
        child = os.fork()
    if not child:
        os.write(write, "".join(new_id(moment) for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    text = os.read(read, 100 * 32).decode()
    os.close(read)
    os.close(write)
    theirs = {text[i : i + 32] for i in range(0, len(text), 32)}
    assert len(theirs) == 100
    assert not theirs & {new_id(moment) for _ in range(_numbers.size)}
