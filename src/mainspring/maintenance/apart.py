"""Apart: many things are done one by one, and one that fails stops none of the others."""

import logging
from collections.abc import Callable
from typing import Final

from mainspring.exceptions import StoreUnavailable

logger = logging.getLogger("mainspring")

_MOST: Final = 1000  # names of failed ones that are remembered


class Apart:
    """Does things that have names; says once of each that it fails."""

    def __init__(self, what: str) -> None:
        """``what`` they are, for the log: such as "Map"."""
        self._what = what
        self._failing: set[str] = set()

    def do(self, name: str, step: Callable[[], object]) -> bool:
        """Do it; return False if it failed. Raises ``StoreUnavailable``, which concerns all."""
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
        """Say that one has failed, unless that was said."""
        if name in self._failing:
            return
        if len(self._failing) >= _MOST:
            self._failing.clear()
        self._failing.add(name)
        logger.error(
            "%s %s cannot be handled by this worker; the others go on",
            self._what,
            name,
            exc_info=error,
            extra={"name_of_failed": name},
        )
