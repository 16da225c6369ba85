"""Convert spans to the parameters of statements: an array for each column."""

from mainspring.backends.database.skipping import Walk
from mainspring.backends.database.vendors.postgresql.text import array

type Columns = tuple[list[str | None], str, str, str, str]


def columns(walk: Walk) -> Columns:
    """Return the queue, the top, last, bottom and first of each span, in order."""
    queues = [source.queue for source, spans in walk.spans for _ in spans]
    columns = zip(*(span for _, spans in walk.spans for span in spans), strict=True)
    top, last, bottom, first = (array(values) for values in columns) if queues else 4 * ("{}",)
    return queues, top, last, bottom, first
