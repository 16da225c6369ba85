"""What a worker says of its store: once when trouble begins, once when it is over."""

import logging
from collections.abc import Sequence

from mainspring.exceptions import StoreUnavailable

logger = logging.getLogger("mainspring")


class Telling:
    """The log records of one worker."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._has_failed = False

    def store_failed(self, error: StoreUnavailable) -> None:
        """Say that the store cannot be used, unless that was said last."""
        if not self._has_failed:
            self._has_failed = True
            logger.error(
                "%s Worker %s goes on trying.",
                error,
                self._worker_id,
                extra={"worker_id": self._worker_id},
            )

    def store_works(self) -> None:
        """Say that the store can be used again, if it could not."""
        if self._has_failed:
            self._has_failed = False
            logger.info(
                "Worker %s can use its store again",
                self._worker_id,
                extra={"worker_id": self._worker_id},
            )

    def outcomes_dropped(self, ids: Sequence[str]) -> None:
        """Say that outcomes came too late to be stored."""
        for task_id in ids:
            logger.warning(
                "Task id=%s has been given to another worker or deleted; worker %s drops its "
                "outcome",
                task_id,
                self._worker_id,
                extra={"task_id": task_id, "worker_id": self._worker_id},
            )
