"""Vacuumer: makes the room of settled jobs usable again, where the store has to be told to."""

import logging
import threading
from typing import Final

from mainspring.backends.storage import Storage
from mainspring.exceptions import StoreUnavailable
from mainspring.maintenance.loop import Loop

logger = logging.getLogger("mainspring")

_INTERVAL: Final = 1.0  # seconds


class Vacuumer(Loop):
    """Vacuums in a thread of its own, as it may take longer than a lease."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._thread: threading.Thread | None = None

    def step(self, now: int) -> float:  # noqa: ARG002 # the same for all loops
        """Start a vacuum if one may be due and none runs."""
        is_running = self._thread is not None and self._thread.is_alive()
        if not is_running and self._storage.may_need_vacuum():
            self._thread = threading.Thread(
                target=self._vacuum, name="mainspring-vacuum", daemon=True
            )
            self._thread.start()
        return _INTERVAL

    def _vacuum(self) -> None:
        try:
            self._storage.vacuum()
        except StoreUnavailable as error:  # it is due again soon
            logger.warning("Vacuum failed: %s", error, extra={"loop": "Vacuumer"})
        finally:
            self._storage.close_thread()
