"""``manage.py produce``: enqueues until its input ends, whatever becomes of the database."""

import os
import select
import sys
from argparse import ArgumentParser
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string

from jobs import tasks
from mainspring.exceptions import StoreUnavailable

_BEFORE_RETRY = 0.02  # seconds
_REST = 0.2  # seconds


class Command(BaseCommand):
    """Enqueues one call after the other; writes the ids it was given, and how often it was refused.

    The only error that it expects is the documented one, and all that it does is to try again. It
    rests as long as there is a file ``rest``.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the name or the import path of the task, and how long to pause after each call."""
        parser.add_argument("name")
        parser.add_argument("--pause", type=float, default=0.0, help="seconds")

    def handle(self, *, name: str, pause: float, **_options: Any) -> None:
        """Append to the files ``accepted.PID`` and ``refused.PID``."""
        task = import_string(name if "." in name else f"jobs.tasks.{name}")
        pid, idle = os.getpid(), Event()
        accepted = (tasks.FOLDER / f"accepted.{pid}").open("a", buffering=1)
        refused = (tasks.FOLDER / f"refused.{pid}").open("a", buffering=1)
        with accepted, refused:
            while not select.select([sys.stdin], [], [], pause)[0]:
                if (tasks.FOLDER / "rest").exists():
                    idle.wait(_REST)
                    continue
                try:
                    result = task.enqueue()
                except StoreUnavailable as error:
                    refused.write(f"{error}\n")
                    idle.wait(_BEFORE_RETRY)
                else:
                    accepted.write(f"{result.id}\n")
