"""One codec: arguments, return values and errors as JSON bytes, and back, to the byte.

Django's rule says what JSON is: what ``django.utils.json.normalize_json`` accepts. What would come
back as something else (NaN, infinity, keys that are not strings) is refused as well.
"""

import gc
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from types import NoneType
from typing import Any, Final

import msgspec
from msgspec import Raw

MAX_DEPTH: Final = 500
"""How deep lists and mappings may nest: every supported Python reads that back in any thread."""

MAX_DIGITS: Final = 4000
"""How many digits a whole number may have and still be read back."""

# Of these types, only a text with lone surrogates or a huge number is refused, by the encoder.
_PLAIN: Final = frozenset({str, int, bool, NoneType})
_SCALARS: Final = _PLAIN | {float}
_TEXTS: Final = frozenset({str})
_LISTS: Final = frozenset({list, tuple})
_HUGE: Final = 10**MAX_DIGITS

# Built-in types first: asking an abstract class takes 0.2 µs.
_MAPPINGS: Final = (dict, Mapping)
_SEQUENCES: Final = (list, tuple, Sequence)
_SUBCLASSED: Final = (str, int, float, bytes)
_CONTAINERS: Final = frozenset({dict, list, tuple})

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

NO_ARGUMENTS: Final = encode(((), {}))

# Where a value stands: what it is a part of, then the keys and indexes that lead to it. A list that
# is changed in place, as making the text for each item takes longer than checking the item.
type _Place = list[Any]


def encode_call(args: Sequence[Any], kwargs: Mapping[str, Any], max_bytes: int) -> bytes:
    """Return the arguments of a call as JSON bytes.

    Raises ``TypeError`` or ``ValueError``, naming the argument, where one is not JSON or would not
    come back as it went in, and ``ValueError`` where they are longer than ``max_bytes``.
    """
    body = _encode_if_plain(args, kwargs)
    if body is None:
        body = encode(_normalize_call(args, kwargs))
    if len(body) > max_bytes:
        raise ValueError(_too_long(args, kwargs, len(body), max_bytes))
    return body


def decode_call(body: bytes) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments and keyword arguments that :func:`encode_call` wrote."""
    args, kwargs = decode(body)
    return args, kwargs


def encode_value(value: Any, max_bytes: int, what: str = "The return value") -> bytes | None:
    """Return a return value, or whatever ``what`` is, as JSON bytes, or None for None.

    Raises ``TypeError`` or ``ValueError`` like :func:`encode_call`.
    """
    if value is None:
        return None
    body = encode(_normalize(value, [what]))
    if len(body) > max_bytes:
        raise ValueError(
            f"{what} takes {len(body):,} bytes as JSON; MAX_PAYLOAD allows "
            f"{max_bytes:,}. Store it elsewhere and keep where it is."
        )
    return body


def encode_plain_items(items: list[Any]) -> bytes | None:
    """Return many values as one JSON list where all are plain ones, or lists of plain ones.

    None where some are not, or are too long to be checked together: 30 ns an item, where checking
    each by itself takes 150 ns.
    """
    if not are_plain(items) and not (
        _LISTS.issuperset(map(type, items)) and _are_parts_fine(items)
    ):
        return None
    try:
        return encode(items)
    except (TypeError, ValueError):  # a subclass of int; a lone surrogate
        return None


def are_plain(values: Sequence[Any]) -> bool:
    """Whether all are plain values, if the encoder takes them."""
    return _have_indexes(values) or _are_fine(values, set(map(type, values)))


def _have_indexes(values: Sequence[Any]) -> bool:
    # Of what passes, the encoder takes short whole numbers, true and false, and numbers that are
    # members of an enumeration: no need for a look at each one's type, which takes 20 ns.
    if not values or type(values[0]) is not int:
        return False
    try:
        array("q", values)
    except (TypeError, OverflowError):
        return False
    return True


def _are_parts_fine(items: list[Any]) -> bool:
    # What lists have at the same place is often of one type. Where they differ in length, some
    # columns are mixed, but nothing is left out.
    flat, width = list(chain.from_iterable(items)), max(len(items[0]), 1)
    columns = (flat[start::width] for start in range(width))
    return all(_are_fine(column, set(map(type, column))) for column in columns)


def _are_fine(items: Sequence[Any], kinds: set[type]) -> bool:
    if not kinds <= _SCALARS:
        return False
    if len(kinds) == 1:
        (kind,) = kinds
        return kind not in _ARE_NUMBERS_FINE or _ARE_NUMBERS_FINE[kind](items)
    return all(
        are_fine([item for item in items if type(item) is kind])
        for kind, are_fine in _ARE_NUMBERS_FINE.items()
        if kind in kinds
    )


def _are_finite(numbers: Sequence[float]) -> bool:
    return all(map(math.isfinite, numbers))


def _are_short(numbers: Sequence[int]) -> bool:
    try:
        array("q", numbers)  # 9 ns a number, where the least and the greatest take 25
    except OverflowError:
        return _ARE_ALL_FINE[int](numbers)
    return True


_ARE_NUMBERS_FINE: Final[dict[type, Callable[[Sequence[Any]], bool]]] = {
    int: _are_short,
    float: _are_finite,
}


def decode_many(body: bytes | Raw) -> Any:
    """Return what may be a long list."""
    with no_collection():
        return decode(body)


@contextmanager
def no_collection() -> Iterator[None]:
    """Do not look for garbage meanwhile: for what makes many objects that stay.

    To look at ten thousand lists again and again takes as long as making them. 1 µs by itself.
    """
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_collecting:
            gc.enable()


def decode_value(body: bytes | None) -> Any:
    """Return the value that :func:`encode_value` wrote."""
    return None if body is None else decode(body)


def normalize(value: Any) -> Any:
    """Return ``value`` as it will come back from JSON, or raise like :func:`encode_value`."""
    return _normalize(value, ["The value"])


def _encode_if_plain(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes | None:
    # 0.2 µs for two plain arguments, where normalizing each takes 1 µs.
    if not args and not kwargs:
        return NO_ARGUMENTS
    for item in args:
        if type(item) not in _PLAIN:
            return None
    if kwargs and not (
        _PLAIN.issuperset(map(type, kwargs.values())) and _TEXTS.issuperset(map(type, kwargs))
    ):
        return None
    try:
        body = encode((args, kwargs))
    except ValueError:  # a lone surrogate or a huge number: _normalize finds out where
        return None
    # In a longer one, a number could have more digits than are allowed.
    return body if len(body) <= MAX_DIGITS else None


def _normalize_call(
    args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    return (
        [_normalize(item, [f"Argument {i}"]) for i, item in enumerate(args, 1)],
        {
            _key(key, ["The call", key]): _normalize(item, [f"Argument {key!r}"])
            for key, item in kwargs.items()
        },
    )


def _normalize(value: Any, place: _Place) -> Any:
    # One frame for each level of nesting, or the recursion limit would come before MAX_DEPTH.
    kind = type(value)
    check = _CHECKS.get(kind)
    if check is None and kind not in _CONTAINERS:
        check = _check_of_subclass(value)
    if check is not None:
        return check(value, place)
    if isinstance(value, _MAPPINGS):
        _check_depth(place)
        mapping = {}
        place.append(None)
        for key, item in value.items():
            place[-1] = key
            mapping[_key(key, place)] = _normalize(item, place)
        place.pop()
        return mapping
    if isinstance(value, _SEQUENCES):
        _check_depth(place)
        if _is_plain_list(value):
            return list(value)
        sequence = []
        place.append(None)
        for i, item in enumerate(value):
            place[-1] = i
            sequence.append(_normalize(item, place))
        place.pop()
        return sequence
    raise TypeError(
        f"Unsupported type: {_said(place)} is a {type(value).__qualname__}, which is not JSON. "
        "Use what JSON has (text, numbers, true, false, null, lists, mappings), such as an id or "
        "an ISO date."
    )


def _check_of_subclass(value: Any) -> Callable[[Any, _Place], Any] | None:
    if isinstance(value, Mapping):
        return None
    return next((_CHECKS[kind] for kind in _SUBCLASSED if isinstance(value, kind)), None)


def _is_plain_list(value: Any) -> bool:
    # 20 ns an item where all are of one built-in type; one by one, 120 ns.
    if type(value) is not list or not value:
        return False
    kind = type(value[0])
    if kind not in _ARE_ALL_FINE or any(type(item) is not kind for item in value):
        return False
    return _ARE_ALL_FINE[kind](value)


_ARE_ALL_FINE: Final[dict[type, Callable[[Sequence[Any]], bool]]] = {
    int: lambda items: min(items) > -_HUGE and max(items) < _HUGE,
    float: lambda items: all(map(math.isfinite, items)),
}


def _same(value: Any, _place: _Place) -> Any:
    return value


def _text(value: str, place: _Place) -> str:
    plain = str.__str__(value)
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"Unsupported value: {_said(place)} has a lone surrogate at position {error.start}, "
            "which is not text."
        ) from None
    return plain


def _text_of_bytes(value: bytes, place: _Place) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(
            f"Unsupported value: {_said(place)} is bytes that are not UTF-8 text."
        ) from None


def _whole(value: int, place: _Place) -> int:
    if not -_HUGE < value < _HUGE:
        raise ValueError(
            f"Unsupported value: {_said(place)} is a whole number of more than {MAX_DIGITS} "
            "digits; use a text."
        )
    return int.__index__(value)


def _real(value: float, place: _Place) -> float:
    if not math.isfinite(value):
        raise ValueError(
            f"Unsupported value: {_said(place)} is {float(value)}, which JSON does not have."
        )
    return float.__float__(value)


_CHECKS: Final[dict[type, Callable[[Any, _Place], Any]]] = {
    NoneType: _same,
    bool: _same,
    str: _text,
    int: _whole,
    float: _real,
    bytes: _text_of_bytes,
}


def _key(key: object, place: _Place) -> str:
    if not isinstance(key, str):
        raise TypeError(
            f"Unsupported type: the key {_said(place)} is a {type(key).__qualname__}; JSON would "
            "bring it back as a text, so keys must be str."
        )
    return _text(key, place)


def _check_depth(place: _Place) -> None:
    if len(place) > MAX_DEPTH:
        raise ValueError(f"Unsupported value: {_said(place)} nests deeper than {MAX_DEPTH} levels.")


def _said(place: _Place) -> str:
    text = str(place[0]) + "".join(f"[{key!r}]" for key in place[1:])
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= 100 else f"{text[:60]}…{text[-30:]}"


def _too_long(args: Sequence[Any], kwargs: Mapping[str, Any], length: int, max_bytes: int) -> str:
    sizes = {
        name: len(encode(_normalize(item, ["Argument"])))
        for name, item in [*enumerate(args, 1), *kwargs.items()]
    }
    longest = max(sizes, key=sizes.__getitem__, default=None)
    alone = "" if longest is None else f", argument {longest!r} alone {sizes[longest]:,}"
    return (
        f"The arguments take {length:,} bytes as JSON{alone}; MAX_PAYLOAD allows {max_bytes:,}. "
        "Store the data elsewhere and pass where it is."
    )
