"""Spans as the parameters that statements take: an array for each column."""

from functools import lru_cache

from mainspring.backends.database.skipping import Walk
from mainspring.backends.database.stretches import EVERYTHING
from mainspring.backends.database.vendors.postgresql.text import array

type Columns = tuple[list[str | None], str, str, str, str]


def columns(walk: Walk) -> Columns:
    """Return the queue, the top, last, bottom and first of each span, in order."""
    if walk.until is None:  # nothing is skipped: always the same
        queues: list[str | None] = [source.queue for source, _ in walk.spans]
        return (queues, *_everything(len(queues)))
    queues = [source.queue for source, spans in walk.spans for _ in spans]
    columns = zip(*(span for _, spans in walk.spans for span in spans), strict=True)
    top, last, bottom, first = (array(values) for values in columns) if queues else 4 * ("{}",)
    return queues, top, last, bottom, first


@lru_cache(100)
def _everything(number: int) -> tuple[str, str, str, str]:
    top, last, bottom, first = (array([value] * number) for value in EVERYTHING)
    return top, last, bottom, first
