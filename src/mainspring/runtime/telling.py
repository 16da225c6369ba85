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

    def outcome_locked(self, task_id: str) -> None:
        """Say that an outcome waits for the end of another transaction."""
        logger.warning(
            "Task id=%s has an outcome that cannot be stored yet, as another transaction has "
            "locked its row; worker %s stores it when that has ended",
            task_id,
            self._worker_id,
            extra={"task_id": task_id, "worker_id": self._worker_id},
        )

    def outcome_failed(self, task_id: str, error: StoreUnavailable) -> None:
        """Say that an outcome cannot be stored, while others can."""
        logger.error(
            "Task id=%s has an outcome that cannot be stored, while those of others can; worker %s "
            "goes on trying: %s",
            task_id,
            self._worker_id,
            error,
            extra={"task_id": task_id, "worker_id": self._worker_id},
        )

    def outcome_refused(self, task_id: str, error: StoreUnavailable) -> None:
        """Say that a call fails, as what it came to cannot be stored."""
        logger.error(
            "Task id=%s fails, as its outcome was refused: %s",
            task_id,
            error,
            extra={"task_id": task_id, "worker_id": self._worker_id},
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
