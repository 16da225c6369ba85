"""A clock that a test sets: copied to a folder of ``PYTHONPATH`` as ``sitecustomize``.

Adds to ``time.time`` and ``time.time_ns`` what stands in the file that the variable
``STEPPED_CLOCK`` names, at every call, so that a test can step the clock of a running process.
``time.monotonic`` is left as it is, as by those who set a machine's clock.
"""

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final

_SECONDS: Final = struct.Struct("<q")


class SteppedClock:
    """The clock of a machine, in a file."""

    def __init__(self, path: Path) -> None:
        """Open or make the file."""
        if not path.exists():
            path.write_bytes(bytes(_SECONDS.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SECONDS.size)

    @property
    def ahead(self) -> int:
        """By how many seconds the clock is ahead."""
        return int(_SECONDS.unpack_from(self._map)[0])

    @ahead.setter
    def ahead(self, seconds: int) -> None:
        _SECONDS.pack_into(self._map, 0, seconds)


def _install(path: Path) -> None:
    clock, true_time, true_time_ns = SteppedClock(path), time.time, time.time_ns
    time.time = lambda: true_time() + clock.ahead
    time.time_ns = lambda: true_time_ns() + clock.ahead * 10**9


if __name__ == "sitecustomize" and "STEPPED_CLOCK" in os.environ:
    _install(Path(os.environ["STEPPED_CLOCK"]))
