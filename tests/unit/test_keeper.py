"""The keeper: what it is asked to do is done, also if it is asked at an unlucky moment."""

import threading
from typing import Any
from unittest.mock import Mock

from mainspring.runtime.keeper import Keeper


class LateEvent(threading.Event):
    """Is set just after the first wait for it has timed out."""

    has_timed_out = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self.has_timed_out:
            self.has_timed_out = True
            self.set()
            return False
        return super().wait(timeout)


def busy_worker() -> Any:
    worker = Mock(is_busy=True, is_stopping=False, has_leftovers=False, is_occupied=False)
    worker.holdings.oldest_finished_at.return_value = None
    worker.holdings.settler.is_due = False
    return worker


def test_jobs_are_claimed_ahead_if_it_is_asked_just_after_it_has_waited() -> None:
    worker, has_claimed = busy_worker(), threading.Event()
    worker.claim_ahead.side_effect = has_claimed.set
    keeper = Keeper(worker)
    keeper._hurried = LateEvent()
    keeper.start()
    keeper.watch()
    assert has_claimed.wait(5)
    keeper.stop()
    worker.claim_ahead.assert_called_once()
