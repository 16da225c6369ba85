"""What is known of the threads that run tasks."""

import asyncio
import os

import pytest

from mainspring.backends.forking import fork
from mainspring.runtime import isolation


def test_a_process_that_is_forked_knows_nothing_of_its_parents_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolation, "_sync_thread", isolation._SyncThread())
    monkeypatch.setattr(isolation, "_task_threads", set(isolation._task_threads))
    asyncio.run(isolation.atidy_connections())
    known = isolation._sync_thread.ident
    assert known in isolation._task_threads

    def look() -> None:
        assert known not in isolation._task_threads
        asyncio.run(isolation.atidy_connections())
        assert isolation._sync_thread.ident in isolation._task_threads

    assert os.waitpid(fork(look), 0)[1] == 0
