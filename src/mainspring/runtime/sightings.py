"""Keep what the workers of a machine have seen of leases, for later workers.

A lease has expired when it was seen unrenewed for its whole duration. A process may not live that
long, with ``--max-tasks`` or with occasional ``--drain`` workers. Therefore each look is written to
a small file beside the boards.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from mainspring.core import clock, codec
from mainspring.core.leases import Lease, Sightings
from mainspring.runtime.own_folder import digest, folder

_FORMAT: Final = 1
_decode: Final = msgspec.json.Decoder(
    tuple[int, str, float, float, list[tuple[str, int, int, float]]]
).decode
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class SightingsFile:
    """The file of one store. Never raises if it cannot be read or written."""

    def __init__(self, identity: str, worker_id: str, renewed_at: Callable[[], float]) -> None:
        """``identity`` identifies the store.

        ``worker_id`` is this worker, whose own lease is not stored. ``renewed_at`` returns when it
        last renewed that lease, by ``time.monotonic()``.
        """
        self._identity = identity
        self._worker_id = worker_id
        self.renewed_at = renewed_at

    def read(self) -> Sightings | None:
        """Return the sightings, by ``time.monotonic()``; None if there are none since boot."""
        try:
            number, boot, looked_at, renewed_at, rows = _decode(self._path().read_bytes())
            if number > _FORMAT or boot != _boot():
                return None
            since = {Lease(worker_id, heard, ends): at for worker_id, heard, ends, at in rows}
            return Sightings(since, looked_at, renewed_at)
        except (OSError, ValueError, RecursionError):  # there is none, or it is damaged
            return None

    def write(self, seen: Sightings) -> None:
        """Store the sightings, unless this worker is the only one."""
        rows: list[Any] = [
            [*lease, since]
            for lease, since in seen.since.items()
            if lease.worker_id != self._worker_id
        ]
        with suppress(OSError):
            path = self._path()
            if not rows:
                path.unlink(missing_ok=True)
                return
            written = codec.encode([_FORMAT, _boot(), seen.looked_at, seen.renewed_at, rows])
            # Atomically, so that no process reads a partial file.
            new = path.with_name(f"{path.name}-{os.getpid()}")
            try:
                new.write_bytes(written)
                new.replace(path)
            except OSError:  # for example, the disk is full
                new.unlink(missing_ok=True)
                raise

    def forget(self) -> None:
        """Make later processes restart their watch."""
        self.write(Sightings(_NOTHING, 0.0, 0.0))

    def _path(self) -> Path:
        return folder() / f"seen-{digest(self._identity)}"


_NOTHING: Final[Mapping[Lease, float]] = {}


@cache
def _boot() -> str:
    # A boot's id. If the system has none, its time is computed from the clock, to ten minutes: if
    # the clock is set, the watch on leases restarts.
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        started = clock.now() // clock.SECOND - int(time.monotonic())
        return f"{os.uname().nodename}-{started // 600}"
