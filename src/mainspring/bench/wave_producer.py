"""The producer of `mainspring bench bloat`: keeps a backlog while many jobs pass through."""

import sys
import time
from typing import Any, Final

import django

_STEP: Final = 1000
_READY: Final = (
    "SELECT count(*) FROM (SELECT FROM mainspring_job_live WHERE state = 1 LIMIT %s) AS ready"
)


def main(jobs: int, backlog: int) -> None:
    """Enqueue ``jobs`` tasks, as many as keep the backlog at about ``backlog``."""
    django.setup()
    from django.db import connection

    from mainspring.bench.queue_tasks import no_op

    calls = [(i, 2) for i in range(_STEP)]
    for number in range(0, jobs, _STEP):
        no_op.enqueue_many(calls)
        while not number % (10 * _STEP) and _count_ready(connection, backlog) >= backlog:
            time.sleep(0.05)


def _count_ready(connection: Any, most: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_READY, (most,))
        ((ready,),) = cursor.fetchall()
        return int(ready)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
