import gc
import json
import threading
from collections import OrderedDict, UserDict, UserList
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from http import HTTPStatus
from types import MappingProxyType
from uuid import uuid4

import pytest
from django.utils.functional import lazystr
from django.utils.json import normalize_json
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core import codec
from mainspring.core.codec import (
    MAX_DEPTH,
    MAX_DIGITS,
    NO_ARGUMENTS,
    decode_call,
    decode_value,
    encode_call,
    encode_value,
    normalize,
)

ENOUGH = 10 * 1024 * 1024

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(TEXTS, inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
    ),
    max_leaves=20,
)
# All that Python calls a text, a number, a list or a mapping, the impossible included.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.uuids()
    | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=3)
        | st.sets(st.integers(), max_size=3)
    ),
    max_leaves=10,
)


def same(one, other):
    """Whether two values are equal in type, too: 1, 1.0 and True differ, as do 0.0 and -0.0."""
    return repr(one) == repr(other)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Text(str):
    def __str__(self):
        return "something else"


class Real(float):
    pass


# What is accepted comes back


@given(st.lists(VALUES, max_size=4), st.dictionaries(TEXTS, VALUES, max_size=4))
def test_a_call_comes_back_exactly(args, kwargs):
    body = encode_call(args, kwargs, ENOUGH)
    back = decode_call(body)
    assert same(back, (normalize_json(args), normalize_json(kwargs)))
    assert encode_call(*back, ENOUGH) == body


@given(VALUES)
def test_a_value_comes_back_exactly(value):
    body = encode_value(value, ENOUGH)
    back = decode_value(body)
    assert same(back, normalize_json(value))
    assert same(back, normalize(value))
    assert encode_value(back, ENOUGH) == body


@given(ANYTHING)
def test_whatever_is_accepted_is_what_django_accepts_and_comes_back(value):
    try:
        body = encode_value(value, ENOUGH)
    except (TypeError, ValueError):
        return
    assert same(decode_value(body), normalize_json(value))


@given(VALUES)
def test_what_is_stored_is_json(value):
    body = encode_call([value], {"key": value}, ENOUGH)
    expected = [[normalize_json(value)], {"key": normalize_json(value)}]
    assert same(json.loads(body), expected)


@pytest.mark.parametrize(
    "value",
    [
        "",
        [],
        {},
        [[]],
        {"": {}},
        0,
        -0.0,
        0.1,
        1e16,
        1e22,
        5e-324,
        1.7976931348623157e308,
        2**63 - 1,
        2**63,
        2**64,
        -(2**63),
        -(2**63) - 1,
        10**MAX_DIGITS - 1,
        1 - 10**MAX_DIGITS,
        "\0",
        "\u2028",
        "\U0010ffff",
        True,
        [True, 1, 1.0],
        [1, 2, 3],
        [1.5, 2.0],
        ["a", "b"],
        ["a", None],
    ],
    ids=lambda value: repr(value)[:30],
)
def test_edges_come_back_exactly(value):
    assert same(decode_value(encode_value(value, ENOUGH)), value)
    assert same(decode_call(encode_call((value,), {}, ENOUGH)), ([value], {}))
    assert same(decode_call(encode_call((), {"k": value}, ENOUGH)), ([], {"k": value}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, 2), [1, 2]),
        (range(3), [0, 1, 2]),
        (UserList([1]), [1]),
        (UserDict(a=1), {"a": 1}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (MappingProxyType({"a": (1,)}), {"a": [1]}),
        (b"bytes", "bytes"),
        (bytearray(b"ab"), [97, 98]),
        (Colour.RED, "red"),
        ({Colour.RED: Level.HIGH}, {"red": 3}),
        ([Level.HIGH, Level.HIGH], [3, 3]),
        (Text("own"), "own"),
        (Real(1.5), 1.5),
    ],
    ids=repr,
)
def test_what_django_normalizes_is_normalized(value, expected):
    assert same(decode_value(encode_value(value, ENOUGH)), expected)
    assert same(decode_call(encode_call((value,), {"k": value}, ENOUGH))[0], [expected])


def test_a_normalized_list_is_another_one():
    mine = [1, 2]
    assert normalize(mine) == mine
    assert normalize(mine) is not mine


def test_nothing_is_stored_for_none():
    assert encode_value(None, 1) is None
    assert decode_value(None) is None


def test_calls_without_arguments_share_their_bytes():
    assert encode_call((), {}, ENOUGH) == NO_ARGUMENTS
    assert decode_call(NO_ARGUMENTS) == ([], {})


def test_what_comes_back_is_new_each_time():
    body = encode_call(([],), {}, ENOUGH)
    assert decode_call(body)[0][0] is not decode_call(body)[0][0]


# What is refused is named

REFUSED = [
    (datetime(2026, 1, 1), TypeError, "datetime"),
    (date(2026, 1, 1), TypeError, "date"),
    ({1}, TypeError, "set"),
    (Decimal(1), TypeError, "Decimal"),
    (uuid4(), TypeError, "UUID"),
    (object(), TypeError, "object"),
    (lazystr("lazy"), TypeError, "proxy"),
    (1j, TypeError, "complex"),
    ((i for i in ()), TypeError, "generator"),
    (float("nan"), ValueError, "nan"),
    (float("inf"), ValueError, "inf"),
    (float("-inf"), ValueError, "-inf"),
    ("\ud800", ValueError, "lone surrogate"),
    ("abc\udfff", ValueError, "position 3"),
    (b"\xff", ValueError, "UTF-8"),
    (10**MAX_DIGITS, ValueError, "digits"),
    (10**5000, ValueError, "digits"),
    (-(10**MAX_DIGITS), ValueError, "digits"),
]


@pytest.mark.parametrize(("value", "error", "said"), REFUSED, ids=[r[2] for r in REFUSED])
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda value: value, ""),
        (lambda value: [1, value], r"\[1\]"),
        (lambda value: [value] * 2, r"\[0\]"),
        (lambda value: {"a": [0, {"b": value}]}, r"\['a'\]\[1\]\['b'\]"),
    ],
    ids=["bare", "in a list", "twice", "deep"],
)
def test_what_is_not_json_is_refused_by_name(value, error, said, wrap, place):
    with pytest.raises(error, match=f"Argument 2{place} .*{said}"):
        encode_call((1, wrap(value)), {}, ENOUGH)
    with pytest.raises(error, match=f"Argument 'due'{place} .*{said}"):
        encode_call((1,), {"due": wrap(value)}, ENOUGH)
    with pytest.raises(error, match=f"The return value{place} .*{said}"):
        encode_value(wrap(value), ENOUGH)


@pytest.mark.parametrize("key", [1, None, True, 1.5, (1, 2), b"key"])
def test_keys_must_be_texts(key):
    with pytest.raises(TypeError, match=r"the key Argument 1\['a'\]\[.*keys must be str"):
        encode_call(({"a": {key: 1}},), {}, ENOUGH)
    with pytest.raises(TypeError, match="keys must be str"):
        encode_call((), {key: 1}, ENOUGH)


def test_a_key_with_a_lone_surrogate_is_refused():
    for args, kwargs in [(({"\ud800": 1},), {}), ((), {"\ud800": 1}), ((), {"a": {"\ud800": 1}})]:
        with pytest.raises(ValueError, match="lone surrogate") as caught:
            encode_call(args, kwargs, ENOUGH)
        str(caught.value).encode()  # the message itself can be written


def nested(depth, wrap):
    value = wrap(None)
    for _ in range(depth - 1):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}, lambda v: (v,)])
def test_nesting_has_a_limit_that_every_thread_reads_back(wrap):
    deepest = nested(MAX_DEPTH, wrap)
    body = encode_value(deepest, ENOUGH)
    found = []
    thread = threading.Thread(target=lambda: found.append(decode_value(body)))
    thread.start()
    thread.join()
    assert encode_value(found[0], ENOUGH) == body
    with pytest.raises(ValueError, match="nests deeper than 500 levels"):
        encode_value(nested(MAX_DEPTH + 1, wrap), ENOUGH)


def test_a_list_in_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nests deeper"):
        encode_call((endless,), {}, ENOUGH)


def test_a_long_place_is_shortened():
    with pytest.raises(TypeError) as caught:
        encode_value({"k" * 1000: {"l" * 1000: object()}}, ENOUGH)
    assert len(str(caught.value)) < 400


def test_too_long_arguments_name_the_longest():
    with pytest.raises(ValueError, match=r"argument 2 alone 52; MAX_PAYLOAD allows 50"):
        encode_call(("a", "b" * 50), {"c": 1}, 50)
    with pytest.raises(ValueError, match=r"argument 'c' alone 102; MAX_PAYLOAD allows 50"):
        encode_call(("a",), {"c": "b" * 100}, 50)
    with pytest.raises(ValueError, match="The arguments take 7 bytes as JSON; MAX_PAYLOAD"):
        encode_call((), {}, 5)


def test_the_limit_is_in_bytes_and_inclusive():
    body = encode_call(("é" * 10,), {}, ENOUGH)
    assert encode_call(("é" * 10,), {}, len(body)) == body
    with pytest.raises(ValueError, match="MAX_PAYLOAD"):
        encode_call(("é" * 10,), {}, len(body) - 1)
    assert encode_value("é" * 10, 22) is not None
    with pytest.raises(ValueError, match=r"The return value takes 22 bytes.*allows 21"):
        encode_value("é" * 10, 21)


def test_a_long_plain_call_is_looked_at_closely():
    # Beyond 4,000 bytes the quick way is left, as a number could have too many digits.
    assert decode_call(encode_call(("x" * 5000,), {}, ENOUGH)) == (["x" * 5000], {})
    with pytest.raises(ValueError, match="Argument 1 is a whole number"):
        encode_call((10**4200,), {}, ENOUGH)


def test_no_argument_is_changed():
    mine = {"a": (1, [2])}
    encode_call((mine,), {"k": mine}, ENOUGH)
    assert mine == {"a": (1, [2])}


def test_the_codec_knows_every_built_in_type_it_takes():
    assert set(codec._CHECKS) == {type(None), bool, str, int, float, bytes}


# Many values at once

HUGE = 10**codec.MAX_DIGITS


@pytest.mark.parametrize(
    "items",
    [
        [],
        [1, 2, 3],
        ["a", 1, None, True, 1.5],
        [2**63, -(2**70), 0],
        [(1, "a"), (2, "b")],
        [[1, "a"], (2.5,), [], [None, True, "x", 4]],
        [[], [1]],
        [HUGE - 1, 1],
        [1, True, False],
        [1, HTTPStatus.OK],
        [1, 1.5],
    ],
)
def test_many_plain_values_come_back(items):
    body = codec.encode_plain_items(items)
    assert body is not None
    assert codec.decode_many(body) == [
        list(item) if isinstance(item, tuple) else item for item in items
    ]


@pytest.mark.parametrize(
    "odd", [HUGE, -HUGE, float("nan"), float("inf"), "\ud800", b"x", {"a": 1}, object()]
)
def test_many_values_with_one_that_is_not_plain_are_left_to_a_closer_look(odd):
    for items in (
        [1, odd, 2],
        [odd],
        ["a", None, odd, 1.5],
        [(1, 2), (1, odd)],
        [(1,), (1, 2, odd, 3), ()],
        [[], [odd]],
    ):
        assert codec.encode_plain_items(items) is None


class Special(int):
    """A number that is more than one."""


class Indexed:
    """What may stand for a number, and is none."""

    def __index__(self):
        return 2


@pytest.mark.parametrize("odd", [Special(2), Indexed()])
def test_what_only_looks_like_a_number_is_left_to_a_closer_look(odd):
    assert codec.encode_plain_items([1, odd]) is None
    assert codec.encode_plain_items([odd, 1]) is None


def test_lists_in_lists_are_left_to_a_closer_look():
    assert codec.encode_plain_items([[1, [2]]]) is None
    assert codec.encode_plain_items([1, [2]]) is None


def test_reading_many_leaves_the_collector_as_it_was():
    assert gc.isenabled()
    codec.decode_many(b"[[1],[2]]")
    assert gc.isenabled()
    with pytest.raises(ValueError, match="truncated"):
        codec.decode_many(b"[")
    assert gc.isenabled()
