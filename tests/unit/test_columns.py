"""Lists of arguments by place."""

from itertools import product
from typing import Any

import pytest

from mainspring.core import codec
from mainspring.core.columns import encode_columns, lists_of

LONG = "to be or not to be, " * 10


def decoded(body: bytes | None) -> list[Any]:
    assert body is not None
    return lists_of(**codec.decode(body))


@pytest.mark.parametrize(
    "lists",
    [
        [[1]],
        [[1, "a", None, True]],
        [(number, LONG, True, None) for number in range(100)],
        [(1, 2.5, "a"), (2, 2.5, "b")],
        [(1, True), (True, 1), (0, False)],
        [[LONG, None]] * 3,
        [(1, None), (2, "a"), (3, 1.5)],
        [(2**70, "a"), (-(2**63), "a")],
    ],
)
def test_lists_of_plain_values_come_back(lists: list[Any]) -> None:
    found = decoded(encode_columns(lists))
    assert codec.encode(found) == codec.encode(lists)


def test_what_is_the_same_in_all_is_stored_once() -> None:
    body = encode_columns([(number, LONG, True, None) for number in range(1000)])
    assert body is not None
    assert body.count(LONG.encode()) == body.count(b"true") == body.count(b"null") == 1


def test_what_is_equal_and_another_type_is_not_the_same() -> None:
    lists = [list(pair) for pair in product((1, True, 1.0), repeat=2)]
    assert codec.encode(decoded(encode_columns(lists))) == codec.encode(lists)


@pytest.mark.parametrize(
    "odd", [10**4000, float("nan"), float("-inf"), "\ud800", b"x", {"a": 1}, [1], (), object()]
)
def test_what_is_not_plain_is_left_to_a_closer_look(odd: Any) -> None:
    for lists in ([(odd,)], [(1, odd), (1, odd)], [(1, odd), (1, 2)], [(1, 2), (odd, 2)]):
        assert encode_columns(lists) is None


@pytest.mark.parametrize("lists", [[[]], [[], [1]], [[1], [1, 2]], ["ab"], [1], [(1,), 1]])
def test_so_are_lists_of_other_kinds(lists: list[Any]) -> None:
    assert encode_columns(lists) is None
