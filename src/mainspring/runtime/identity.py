"""Who a worker process is."""

import os
import re
from secrets import randbits, token_hex

from mainspring.core.jobs import Worker


def new_worker() -> Worker:
    """Return a new worker: its id is host, process of the supervisor, and random letters."""
    return Worker(f"{_host_name()}-{os.getpid()}-{token_hex(4)}", randbits(31) or 1)


def is_embedded(worker_id: str, process: int) -> bool:
    """Whether a worker made itself in the process that it runs in: it has no supervisor."""
    return worker_id.split("-")[-2] == str(process)


def _host_name() -> str:
    # In the letters that a worker's id takes.
    return re.sub(r"[^\w.]+", "_", os.uname().nodename)[:64] or "host"
