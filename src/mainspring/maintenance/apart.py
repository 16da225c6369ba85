"""Handle many items one by one, so that a failing one does not affect the others."""

import logging
from collections.abc import Callable
from typing import Final

from mainspring.exceptions import StoreUnavailable

logger = logging.getLogger("mainspring")

_MOST: Final = 1000  # names of failed items to remember


class Apart:
    """Handles named items, and logs each failing one once."""

    def __init__(self, what: str) -> None:
        """``what`` is the kind of the items, for the log, such as "Map"."""
        self._what = what
        self._failing: set[str] = set()

    def do(self, name: str, step: Callable[[], object]) -> bool:
        """Handle an item; return False if it failed. Raises ``StoreUnavailable``."""
        try:
            step()
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001
            self.failed(name, error)
            return False
        self._failing.discard(name)
        return True

    def failed(self, name: str, error: BaseException) -> None:
        """Log that an item has failed, unless that has been logged."""
        if name in self._failing:
            return
        if len(self._failing) >= _MOST:
            self._failing.clear()
        self._failing.add(name)
        logger.error(
            "%s %s cannot be handled by this worker; others are not affected",
            self._what,
            name,
            exc_info=error,
            extra={"name_of_failed": name},
        )
