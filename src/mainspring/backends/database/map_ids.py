"""Which ids the rows of a map have: from the first of a pair on, and before the second."""

from typing import Final

_PREFIX: Final = 20  # what the ids of all rows of a map begin with
_LENGTH: Final = 32

type Bounds = tuple[str, str]


def is_map_id(text: str) -> bool:
    """Whether a map may have this id; databases compare others as something else than they are."""
    return len(text) == _LENGTH and text.isascii() and text.isalnum()


def calls_of(map_id: str) -> Bounds:
    """Return the bounds of the rows that hold calls."""
    return f"{map_id[:_PREFIX]}0", f"{map_id[:_PREFIX]}1"


def merges_of(map_id: str) -> Bounds:
    """Return the bounds of the merges."""
    return f"{map_id[:_PREFIX]}2", f"{map_id[:_PREFIX]}3"


def level_of(map_id: str, level: int) -> Bounds:
    """Return the bounds of what is merged at a level: that of the calls is 0."""
    if not level:
        return calls_of(map_id)
    return f"{map_id[:_PREFIX]}2{level:02d}", f"{map_id[:_PREFIX]}2{level + 1:02d}"


def rows_of(map_id: str) -> Bounds:
    """Return the bounds of all rows, merges included."""
    return f"{map_id[:_PREFIX]}0", f"{map_id[:_PREFIX]}3"


def around(first_id: str, last_id: str) -> Bounds:
    """Return the bounds of the maps, themselves, that rows between two may be of."""
    return first_id[:_PREFIX], f"{last_id[:_PREFIX]}g"


def key_of(job_id: str) -> str:
    """Return what a map's id and the ids of its rows have in common."""
    return job_id[:_PREFIX]
