"""Lanes: they can be stopped in any state."""

import time
from unittest.mock import Mock

from mainspring.runtime.lanes import AsyncLane


def test_an_event_loop_that_has_ended_by_itself_can_be_stopped() -> None:
    lane = AsyncLane(Mock(), Mock(), Mock(), concurrency=1)
    lane.put([])
    loop = lane._loop
    assert loop is not None
    lane.stop()
    deadline = time.monotonic() + 5
    while not loop.is_closed():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    lane.stop()
