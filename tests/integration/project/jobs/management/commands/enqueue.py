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
        """Take a flag."""
        parser.add_argument("--wait", action="store_true", help="also answer the return value")

    def handle(self, *, wait: bool, **_options: Any) -> None:
        """Answer each line with the result's id and the moment before the enqueue."""
        for line in sys.stdin:
            name, *args = json.loads(line)
            began = time.time()
            result = getattr(tasks, name).enqueue(*args)
            answer = [result.id, began]
            if wait:
                answer.append(result.wait(timeout=20).return_value)
            self.stdout.write(json.dumps(answer))
            self.stdout.flush()
