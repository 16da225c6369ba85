"""``manage.py enqueue``: enqueues from another process than the test's."""

import json
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from jobs import tasks


class Command(BaseCommand):
    """For each line of its input, a list of a task's name and arguments, enqueues and answers."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take no arguments."""

    def handle(self, **_options: Any) -> None:
        """Answer each line with the result's id and the moment before the enqueue."""
        for line in sys.stdin:
            name, *args = json.loads(line)
            began = time.time()
            result = getattr(tasks, name).enqueue(*args)
            self.stdout.write(json.dumps([result.id, began]))
            self.stdout.flush()
