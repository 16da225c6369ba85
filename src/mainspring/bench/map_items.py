"""The items that `mainspring bench map` maps over, the same for all."""

import random
from collections.abc import Iterator
from itertools import repeat
from typing import Final

TEXT: Final = "to be or not"

_SHORTEST: Final = 0.004  # seconds
_LONGEST: Final = 0.5
_EXPONENT: Final = 1.2  # a tenth of the calls take more than half of the time
_SEED: Final = 5


def rows(number: int) -> Iterator[tuple[int, str, bool, None]]:
    """Return argument lists, one after the other."""
    return zip(range(number), repeat(TEXT), repeat(True), repeat(None), strict=False)


def naps(number: int) -> list[float]:
    """Return seconds by a power law, the same each time, in no order."""
    chance = random.Random(_SEED)  # noqa: S311
    return [min(_SHORTEST * chance.paretovariate(_EXPONENT), _LONGEST) for _ in range(number)]


def ideal_seconds(seconds: list[float], processes: int) -> float:
    """Return how long it takes where nobody is ever idle."""
    return max(sum(seconds) / processes, *seconds)
