"""``manage.py disturb``: locks and writes rows of jobs that run, as an operator's hand would."""

import select
import sys
from argparse import ArgumentParser
from random import Random
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, connection, transaction

from jobs.tasks import append
from mainspring.backends.database.models import StoredJob
from mainspring.core.jobs import State

_MOST = 5  # rows at a time
_PAUSE = 0.2  # seconds


class Command(BaseCommand):
    """Goes on until its input ends, whatever becomes of the database."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the seed of chance and the longest time that locks are held, in seconds."""
        parser.add_argument("seed", type=int)
        parser.add_argument("longest", type=float)

    def handle(self, *, seed: int, longest: float, **_options: Any) -> None:
        """Write a line to the file ``disturbed`` each time."""
        chance = Random(seed)
        while not select.select([sys.stdin], [], [], _PAUSE)[0]:
            seconds = chance.choice((0.0, chance.uniform(0, longest)))
            try:
                rows = _disturb(seconds)
            except (DatabaseError, InterfaceError):
                connection.close()
            else:
                append("disturbed", "locked" if seconds else "written", rows)


def _disturb(seconds: float) -> int:
    """Lock rows for so long; where that is no time at all, write them. Return how many."""
    running = StoredJob.objects.filter(state=State.RUNNING)
    with transaction.atomic():
        ids = list(running.select_for_update().values_list("pk", flat=True)[:_MOST])
        if seconds:
            Event().wait(seconds)
            return len(ids)
        # To what it is: another version of the row, which is all that it takes.
        return StoredJob.objects.filter(pk__in=ids).update(backend="default")
