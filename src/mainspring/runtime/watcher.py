"""``--reload``: a process that ends when a file of the project changes."""

import os
import sys
import time
from typing import Final, NoReturn

from django.utils.autoreload import StatReloader

from mainspring.runtime.supervisor import CHANGED

_INTERVAL: Final = 1.0  # seconds


def watch_files() -> NoReturn:
    """Look at all imported modules' files once a second; exit with status 3 when one changed."""
    reloader = StatReloader()
    supervisor = os.getppid()
    seen: dict[object, float] = {}
    while os.getppid() == supervisor:
        for path, changed_at in reloader.snapshot_files():
            if seen.setdefault(path, changed_at) != changed_at:
                sys.exit(CHANGED)
        time.sleep(_INTERVAL)
    sys.exit(0)
