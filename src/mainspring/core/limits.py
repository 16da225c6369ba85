"""Limits: how many calls may run at a time, and how many may start in a while."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from mainspring.core import clock, codec, templates
from mainspring.core.formats import decoded, unknown
from mainspring.exceptions import Unreadable

MOST_RUNNING: Final = 1000
MOST_STARTED: Final = 1_000_000
_SHORTEST: Final = 0.001  # seconds
_LONGEST: Final = 366 * 24 * 3600.0
_LONGEST_NAME: Final = 200
_FEWEST: Final = 2  # fields of a bound

# So that the text of four limits, with the largest numbers, has room in 255 characters.
_ROOM: Final = 42
_DIGEST: Final = 22  # characters of base64 for 16 bytes

type Key = str | Callable[..., str] | None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``limit`` calls run at a time, in all workers together.

    With a ``key``, each text that it makes of a call's arguments has a limit of its own: a text for
    ``str.format()`` such as ``"{user_id}"`` or ``"{0}"``, or a function. Tasks that give the same
    ``name`` share a limit; by default, each task has its own. Raises ``ValueError``, naming the
    argument, for what makes no limit.
    """

    limit: int
    """From 1 to 1,000."""
    key: Key = None
    name: str | None = None

    def __post_init__(self) -> None:
        _require_whole(self.limit, MOST_RUNNING)
        _require_key(self.key)
        _require_name(self.name)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` calls start within any ``per`` seconds, in all workers together.

    ``key`` and ``name`` as for :class:`Limit`; raises like it.
    """

    limit: int
    """From 1 to 1,000,000."""
    per: float | timedelta
    """Seconds, or a timedelta: from a millisecond to 366 days."""
    key: Key = None
    name: str | None = None

    def __post_init__(self) -> None:
        _require_whole(self.limit, MOST_STARTED)
        _require_duration(self.per)
        _require_key(self.key)
        _require_name(self.name)


def _require_whole(limit: Any, most: int) -> None:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= most:
        raise ValueError(f"limit must be a whole number from 1 to {most:,}, not {limit!r}.")


def _require_duration(per: Any) -> None:
    seconds = per.total_seconds() if isinstance(per, timedelta) else per
    if (
        not isinstance(seconds, int | float)
        or isinstance(seconds, bool)
        or not _SHORTEST <= seconds <= _LONGEST
    ):
        raise ValueError(
            f"per must be a number of seconds from 0.001 to 366 days, or a timedelta, not {per!r}."
        )


def _require_key(key: Any) -> None:
    if isinstance(key, str):
        if problem := templates.problem_of(key):
            raise ValueError(f"key={key!r} {problem}.")
    elif key is not None and not callable(key):
        raise ValueError(
            "key must be a text such as '{user_id}', a function of the call's arguments that "
            f"returns a text, or None, not {key!r}."
        )


def _require_name(name: Any) -> None:
    if name is None:
        return
    fits = isinstance(name, str) and 1 <= len(name) <= _LONGEST_NAME
    if not fits or "[" in name or "]" in name:
        raise ValueError(
            f"name must be a text of 1 to {_LONGEST_NAME} characters without brackets, not "
            f"{name!r}."
        )


class Bound(NamedTuple):
    """One of the limits that a call has to wait for: that of its key, where it has one."""

    name: str
    """What it is known by in a store: at most 44 printable characters of ASCII."""
    limit: int
    per: int | None = None
    """Microseconds; None where the calls that run at a time are limited."""

    @classmethod
    def of(cls, limit: Limit | Rate, name: str, key: str | None) -> "Bound":
        """Return the bound of a limit of this name, for the calls of this key."""
        whole = name if key is None else f"{name}[{key}]"
        if isinstance(limit, Limit):
            return cls(f"c:{short(whole)}", limit.limit)
        return cls(f"r:{short(whole)}", limit.limit, clock.in_microseconds(limit.per))


def short(name: str) -> str:
    """Return a string of at most 42 printable ASCII characters that identifies a name."""
    # Readable where it is short and plain; else with a digest, which nothing readable looks like:
    # a name has no brackets, and what has a key ends with one.
    plain = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in name)
    if plain == name and len(name) <= _ROOM:
        return name
    digest = urlsafe_b64encode(
        blake2b(name.encode(errors="surrogatepass"), digest_size=16).digest()
    )
    return f"{plain[: _ROOM - _DIGEST - 1]}]{digest[:_DIGEST].decode()}"


def group_of(bounds: Iterable[Bound]) -> str:
    """Return the string that identifies these bounds, whatever their order."""
    return codec.encode(
        [bound[:2] if bound.per is None else bound for bound in sorted(set(bounds))]
    ).decode()


@lru_cache(maxsize=4096)
def bounds_of(group: str) -> tuple[Bound, ...]:
    """Return the bounds that :func:`group_of` encoded as ``group``.

    Raises ``Unreadable``, or ``NewerFormat`` if a newer version has written the group.
    """
    return tuple(map(_bound_in, decoded(group.encode(errors="replace"), "limits", list)))


def _bound_in(found: Any) -> Bound:
    if not isinstance(found, list) or len(found) < _FEWEST:
        raise Unreadable(f"{found!r:.99} is not a limit.")
    if len(found) > len(Bound._fields):
        raise unknown(f"The limit {found!r:.99}")
    name, limit, per = (*found, None)[: len(Bound._fields)]
    numbers = [limit] if per is None else [limit, per]
    if not isinstance(name, str) or any(type(one) is not int or one < 1 for one in numbers):
        raise Unreadable(f"{found!r:.99} is not a limit.")
    return Bound(name, limit, per)


def known_bounds_of(group: str) -> tuple[Bound, ...]:
    """Return the bounds of a group; an empty tuple if this version cannot read them."""
    try:
        return bounds_of(group)
    except Unreadable:
        return ()


def has_slots(group: str | None) -> bool:
    """Return True if a running call of this group takes a slot that others wait for.

    Raises like :func:`bounds_of`.
    """
    return group is not None and any(bound.per is None for bound in bounds_of(group))


def has_rates(group: str | None) -> bool:
    """Return True if a rate counts the starts of this group; False if it cannot be read."""
    return group is not None and any(bound.per is not None for bound in known_bounds_of(group))
