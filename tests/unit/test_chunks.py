from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core import chunks, codec
from mainspring.core.chunks import MapRecord, Spec
from mainspring.core.jobs import Job, State
from tests.contract.jobs import START, job

MAX = 10_000
MAP = "018bcfe568007000828aa4d56d7baf48"
ITEMS = Spec(MAP, "items")
LISTS = Spec(MAP, "lists")
CALLS = Spec(MAP, "calls")
REDUCED = Spec(MAP, "items", "a.merge")

plain = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
values = st.recursive(
    st.one_of(plain, st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=5,
)


def row(first: int, spec: Spec = ITEMS, **columns: Any) -> Job:
    """Return a row of a map."""
    options = chunks.with_spec(None, spec)
    return job(**{"id": chunks.row_id(MAP, first), "options": options, **columns})


def settled(value: bytes | None, spec: Spec = ITEMS, **columns: Any) -> Job:
    """Return a row that has returned."""
    return row(0, spec, state=State.SUCCESSFUL, return_value=value, **columns)


# Ids


def test_the_ids_of_rows_sort_by_their_first_calls() -> None:
    firsts = [0, 1, 9, 10, 99_999, 10**6, chunks.MOST_CALLS - 1]
    ids = [chunks.row_id(MAP, first) for first in firsts]
    assert ids == sorted(ids)
    assert [chunks.first_of(one) for one in ids] == firsts
    assert {len(one) for one in ids} == {len(MAP)}


def test_merges_come_after_all_rows_level_by_level() -> None:
    rows = [chunks.row_id(MAP, first) for first in (0, chunks.MOST_CALLS - 1)]
    merges = [chunks.merge_id(MAP, *place) for place in [(1, 0), (1, 10**8), (2, 0), (10, 3)]]
    assert [*rows, *merges] == sorted([*rows, *merges])
    assert [chunks.is_merge(one) for one in [*rows, *merges]] == [False] * 2 + [True] * 4
    assert {len(one) for one in merges} == {len(MAP)}


def test_a_call_is_known_by_the_maps_id_and_its_number() -> None:
    assert chunks.call_id(MAP, 7) == f"{MAP}:7"
    assert chunks.parse_call_id(f"{MAP}:7") == (MAP, 7)
    last = chunks.MOST_CALLS - 1
    assert chunks.parse_call_id(chunks.call_id(MAP, last)) == (MAP, last)


@pytest.mark.parametrize("text", ["", MAP, f"{MAP}:", f"{MAP}:-1", f"{MAP}:x", f"{MAP}:1:2"])
def test_other_ids_are_those_of_no_call(text: str) -> None:
    assert chunks.parse_call_id(text) is None
    assert chunks.parse_call_id(f"{MAP}:٣") is None
    assert chunks.parse_call_id(f"{MAP}:{chunks.MOST_CALLS}") is None


# Options


@pytest.mark.parametrize("options", [None, b'{"priority":5}'])
def test_a_rows_options_carry_the_spec_beside_those_of_the_calls(options: bytes | None) -> None:
    spec = Spec(MAP, "lists", "a.merge", "skip", True)
    stored = chunks.with_spec(options, spec)
    assert chunks.spec_of(stored) == spec
    assert chunks.call_in(row(0, options=stored), ITEMS, 0, [1], None).options == options


@pytest.mark.parametrize("options", [None, b"{}", b'{"priority":5}'])
def test_an_ordinary_job_has_no_spec(options: bytes | None) -> None:
    assert chunks.spec_of(options) is None


def test_only_rows_of_a_map_have_chunks() -> None:
    assert [spec.has_chunks for spec in (ITEMS, LISTS, REDUCED, CALLS)] == [True] * 3 + [False]
    assert not REDUCED._replace(is_merge=True).has_chunks


def test_a_maps_record_knows_its_spec() -> None:
    options = chunks.with_spec(None, REDUCED)
    record = MapRecord(MAP, "default", "a.b", options, "default", 0, START)
    assert record.spec == REDUCED
    with pytest.raises(ValueError, match="has no spec"):
        _ = record._replace(options=b"{}").spec


# Arguments


@given(st.lists(values))
def test_items_come_back_as_they_went_in(items: list[Any]) -> None:
    body = chunks.encode_items(items, False, 0, MAX)
    assert chunks.items_in(body) == items
    # To the byte what each would be as the only argument of a call.
    alone = [codec.encode_call((item,), {}, MAX)[2:-5] for item in items]
    assert body == b"[%b]" % b",".join(alone)


@given(st.lists(st.lists(values, max_size=3)))
def test_lists_of_arguments_come_back_as_they_went_in(items: list[Any]) -> None:
    body = chunks.encode_items(items, True, 0, MAX)
    assert codec.encode(chunks.items_in(body)) == codec.encode(items)
    assert chunks.encode_items([tuple(item) for item in items], True, 0, MAX) == body


@pytest.mark.parametrize(
    ("item", "error"),
    [
        (object(), TypeError),
        (float("nan"), ValueError),
        ({1: 2}, TypeError),
        ("\ud800", ValueError),
        (10**5000, ValueError),
        ([10**5000], ValueError),
        ("x" * MAX, ValueError),
    ],
    ids=["object", "nan", "key", "surrogate", "huge", "huge in a list", "too long"],
)
def test_an_error_names_the_item(item: object, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        chunks.encode_items([1, "two", item, 4], False, 1000, MAX)
    assert raised.value.__notes__ == ["In item 1002 (counted from 0) of the map."]


@pytest.mark.parametrize("item", ["ab", 5, {"a": 1}, None])
def test_an_item_that_is_no_list_of_arguments_is_refused(item: object) -> None:
    with pytest.raises(TypeError, match="list or tuple of arguments") as raised:
        chunks.encode_items([[1], item], True, 0, MAX)
    assert "item 1 " in raised.value.__notes__[0]
    with pytest.raises(TypeError, match="list or tuple of arguments"):
        chunks.encode_items([item, item], True, 0, MAX)


def test_many_items_together_may_be_longer_than_one_may_be() -> None:
    items = ["x" * (MAX // 3)] * 10
    assert chunks.items_in(chunks.encode_items(items, False, 0, MAX)) == items


@given(st.lists(st.lists(values)))
def test_lists_are_joined(lists: list[list[Any]]) -> None:
    joined = chunks.join_lists([codec.encode(one) for one in lists])
    assert codec.decode(joined) == [item for one in lists for item in one]


# Values


@pytest.mark.parametrize(
    ("spec", "stored", "expected"),
    [
        (ITEMS, b"[1,null,3]", [1, None, 3]),
        (ITEMS, None, [None, None, None]),
        (LISTS, b"[[],{},0]", [[], {}, 0]),
        (REDUCED, b"[[1,2,3],6]", [1, 2, 3]),
        (REDUCED, b"[[1,2,3]]", [1, 2, 3]),
        (ITEMS, b"3", [None, None, None]),
        (REDUCED, b"[3,6]", [None, None, None]),
        (REDUCED, b"[3]", [None, None, None]),
        (REDUCED, None, [None, None, None]),
        (CALLS, b"[1,2]", [[1, 2]]),
        (CALLS, None, [None]),
    ],
)
def test_the_values_of_a_rows_calls(spec: Spec, stored: bytes | None, expected: list[Any]) -> None:
    assert chunks.values_in(settled(stored, spec), spec, 3) == expected


@pytest.mark.parametrize(
    ("values", "partial", "expected"),
    [(b"[1,2]", b"3", b"[[1,2],3]"), (b"2", b"3", b"[2,3]"), (b"[1,2]", None, b"[[1,2]]")],
)
def test_a_row_that_is_reduced_stores_both(
    values: bytes, partial: bytes | None, expected: bytes
) -> None:
    stored = chunks.returned_by(REDUCED, values, partial)
    assert stored == expected
    returned = settled(stored, REDUCED)
    assert chunks.partials_in(returned, REDUCED) == ([3] if partial else [1, 2])
    assert chunks.values_in(returned, REDUCED, 2) == ([None, None] if values == b"2" else [1, 2])


@pytest.mark.parametrize("values", [b"2", b"[1,2]"])
def test_a_row_that_is_not_reduced_stores_its_values(values: bytes) -> None:
    assert chunks.returned_by(ITEMS, values) == values


def test_a_merge_gives_its_value() -> None:
    spec = REDUCED._replace(is_merge=True)
    merge = settled(b"[1,2]", spec, id=chunks.merge_id(MAP, 1, 0))
    assert chunks.partials_in(merge, spec) == [[1, 2]]
    assert chunks.partials_in(settled(b"5", CALLS), CALLS) == [5]
    assert chunks.partials_in(settled(None, CALLS), CALLS) == [None]


# Calls, as seen


def test_a_call_of_a_row_is_a_job_of_its_own() -> None:
    of_many = settled(b"[1,null]", arguments=b'[{"a":1},[2]]')._replace(
        id=chunks.row_id(MAP, 40), worker_ids=b'["w"]'
    )
    items, returned = chunks.items_in(of_many.arguments), chunks.values_in(of_many, ITEMS, 2)
    first, second = (chunks.call_in(of_many, ITEMS, n, items, returned) for n in (0, 1))
    assert (first.id, second.id) == (f"{MAP}:40", f"{MAP}:41")
    assert codec.decode_call(first.arguments) == ([{"a": 1}], {})
    assert codec.decode_call(second.arguments) == ([[2]], {})
    assert (first.return_value, second.return_value) == (b"1", None)
    assert (first.options, first.worker_ids, first.state) == (None, b'["w"]', State.SUCCESSFUL)


def test_a_call_of_a_list_has_several_arguments() -> None:
    one = row(0, LISTS, arguments=b"[[1,2]]")
    call = chunks.call_in(one, LISTS, 0, [[1, 2]], None)
    assert codec.decode_call(call.arguments) == ([1, 2], {})
    assert call.return_value is None


def test_a_row_of_one_call_is_that_call() -> None:
    one = settled(b"7", CALLS, arguments=b'[[1],{"k":2}]')
    assert chunks.as_seen(one) == one._replace(id=f"{MAP}:0", options=None)


def test_a_job_is_seen_as_the_first_call_of_its_row() -> None:
    assert chunks.as_seen(settled(b"[5,6]", arguments=b"[1,2]")).return_value == b"5"
    ordinary = job(options=b'{"priority":5}')
    assert chunks.as_seen(ordinary) is ordinary
    merge = row(0, REDUCED._replace(is_merge=True), id=chunks.merge_id(MAP, 1, 0))
    assert chunks.as_seen(merge) == merge._replace(options=None)


def test_a_part_takes_over_the_claim_and_nothing_of_what_was() -> None:
    of_many = row(
        10,
        state=State.RUNNING,
        claim=77,
        priority=3,
        metadata=b"{}",
        started_at=1,
        last_attempted_at=2,
        worker_ids=b"[]",
        errors=b"[]",
    )
    part = chunks.part_of(of_many, 15, b"[15]")
    assert part.id == chunks.row_id(MAP, 15)
    assert part.arguments == b"[15]"
    assert part[1:8] == of_many[1:8]
    assert part.options == of_many.options
    assert part[-6:] == (None,) * 6
