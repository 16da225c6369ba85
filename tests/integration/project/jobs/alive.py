"""Tasks that do what may make a worker look dead, or alive."""

import os
import tempfile
import time
from pathlib import Path

from jobs.tasks import hold, there, write
from mainspring import task


@task
def reads_everything(name: str) -> int:
    """Read all files in the temporary folder, as a backup does, then wait."""
    for path in Path(tempfile.gettempdir()).rglob("*"):
        if path.is_file():
            path.read_bytes()
    return hold.func(name)


@task
def leaves_child(name: str) -> int:
    """Leave a child process that lives on, then wait."""
    pid = os.fork()
    if not pid:
        end = time.monotonic() + 60
        while not there(f"{name}.over") and time.monotonic() < end:
            time.sleep(0.05)
        os._exit(0)
    write(f"{name}.child", str(pid))
    return hold.func(name)
