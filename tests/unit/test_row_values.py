"""What came of a row's calls, as it is put together."""

from typing import Any

from mainspring.core import outcomes
from mainspring.core.errors import TaskError
from mainspring.core.jobs import Job, State
from mainspring.runtime.row_values import End, Failure, Values, encode_values, joined

JOB = Job("0" * 32, "default", "m.f", "default", 0, 0, State.RUNNING, 1, b"[1]", None, 0)


def failed(offset: int, error: BaseException) -> Failure:
    found = outcomes.failed(JOB, "w", 1, 2, TaskError(type(error).__name__, str(error)))
    return Failure(offset, found)


def encoded(values: list[Any], max_bytes: int = 1000) -> list[End]:
    return joined(encode_values(values, 5, max_bytes, failed), max_bytes)


def shown(ends: list[End]) -> list[Any]:
    return [tuple(end) if isinstance(end, Values) else end.offset for end in ends]


def test_plain_values_are_one_list() -> None:
    assert encoded([1, "a", None, True]) == [Values(5, 4, b'[1,"a",null,true]')]


def test_nulls_take_no_room() -> None:
    (end,) = encoded([None] * 3)
    assert end == Values(5, 3, None)
    assert end.line == b"[null,null,null]"
    assert encoded([]) == []


def test_values_with_parts_are_one_list() -> None:
    assert encoded([{"a": [1.5]}, [1, [2]], "x"]) == [Values(5, 3, b'[{"a":[1.5]},[1,[2]],"x"]')]


def test_a_value_that_is_not_json_fails_alone() -> None:
    assert shown(encoded([1, object(), 3, 4, float("nan")])) == [
        (5, 1, b"[1]"),
        6,
        (7, 2, b"[3,4]"),
        9,
    ]


class Lazy(dict[str, Any]):
    def items(self) -> Any:
        raise SystemExit("not now")


class Array:
    def __eq__(self, other: object) -> bool:
        raise ValueError("The truth value of an array is ambiguous.")

    __hash__ = object.__hash__


def test_a_value_whose_own_class_raises_fails_alone() -> None:
    assert shown(encoded([1, Lazy(a=1), 3])) == [(5, 1, b"[1]"), 6, (7, 1, b"[3]")]
    assert shown(encoded([None, Array(), None])) == [(5, 1, None), 6, (7, 1, None)]


def test_a_value_that_is_too_long_fails_alone() -> None:
    assert shown(encoded(["a" * 50, "b" * 10], 40)) == [5, (6, 1, b'["bbbbbbbbbb"]')]


def test_many_values_may_be_longer_than_one() -> None:
    assert shown(encoded(["a" * 30] * 3, 40)) == [(5, 3, b'["%b","%b","%b"]' % ((b"a" * 30,) * 3))]


def test_lists_of_several_slices_become_one() -> None:
    ends: list[End] = [Values(0, 2, b"[1,2]"), Values(2, 1, None), Values(3, 1, b"[4]")]
    assert joined(ends, 1000) == [Values(0, 4, b"[1,2,null,4]")]
    assert joined([Values(0, 2, None), Values(2, 1, None)], 1000) == [Values(0, 3, None)]


def test_more_than_a_megabyte_becomes_several_rows() -> None:
    third = "a" * 400_000
    found = [tuple(end)[:2] for end in encoded([third] * 6, 500_000)]
    assert found == [(5, 2), (7, 2), (9, 2)]
