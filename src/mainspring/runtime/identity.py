"""Who a worker process is."""

import os
from secrets import randbits, token_hex

from mainspring.core.jobs import Worker
from mainspring.runtime.board import host_name


def new_worker() -> Worker:
    """Return a new worker: its id is host, process of the supervisor, and random letters."""
    return Worker(f"{host_name()}-{os.getpid()}-{token_hex(4)}", randbits(31) or 1)
