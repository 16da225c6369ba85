"""Log a worker's trouble with its store, once when it begins and once when it is over."""

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
        """Log that the store cannot be used, once until it works again."""
        if not self._has_failed:
            self._has_failed = True
            logger.error(
                "%s Worker %s goes on trying.",
                error,
                self._worker_id,
                extra={"worker_id": self._worker_id},
            )

    def store_works(self) -> None:
        """Log that the store can be used again, if it could not."""
        if self._has_failed:
            self._has_failed = False
            logger.info(
                "Worker %s can use its store again",
                self._worker_id,
                extra={"worker_id": self._worker_id},
            )

    def outcome_locked(self, task_id: str) -> None:
        """Log that an outcome waits for another transaction."""
        logger.warning(
            "The outcome of task id=%s cannot be stored yet, because another transaction has "
            "locked its row; worker %s stores it when the lock is released",
            task_id,
            self._worker_id,
            extra={"task_id": task_id, "worker_id": self._worker_id},
        )

    def outcome_failed(self, task_id: str, error: StoreUnavailable) -> None:
        """Log that an outcome cannot be stored, while others can."""
        logger.error(
            "The outcome of task id=%s cannot be stored, while others can; worker %s "
            "retries it: %s",
            task_id,
            self._worker_id,
            error,
            extra={"task_id": task_id, "worker_id": self._worker_id},
        )

    def outcome_refused(self, task_id: str, error: StoreUnavailable) -> None:
        """Log that a call fails because its outcome cannot be stored."""
        logger.error(
            "Task id=%s fails because its outcome was refused: %s",
            task_id,
            error,
            extra={"task_id": task_id, "worker_id": self._worker_id},
        )

    def outcomes_dropped(self, ids: Sequence[str]) -> None:
        """Log that outcomes came too late to be stored."""
        for task_id in ids:
            logger.warning(
                "Task id=%s has been given to another worker or deleted; worker %s drops its "
                "outcome",
                task_id,
                self._worker_id,
                extra={"task_id": task_id, "worker_id": self._worker_id},
            )
