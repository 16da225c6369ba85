"""Numbers as people read them."""

from collections.abc import Sequence
from math import ceil


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the least of the values, given in order, that ``share`` of them do not exceed."""
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def duration(seconds: float) -> str:
    """Return a span of time with two or three digits: 35 µs, 4.2 ms, 12 ms, 3.2 s, 2:05 min."""
    if seconds < 0.000_995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.995:
        milliseconds = seconds * 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,}:{rest:02} min"


def megabytes(size: float) -> str:
    """Return a number of bytes in millions."""
    return f"{size / 1e6:,.1f} MB" if size >= 99_500 else f"{size / 1e6:.3f} MB"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number of things: 1 file, 2,000 files."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
