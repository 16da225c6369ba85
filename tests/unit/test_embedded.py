"""Embedded workers, whose process lives on where they fail."""

import threading
from typing import Any

import pytest
from django.test import override_settings

from mainspring.backends.base import mainspring_backend
from mainspring.runtime.embedded import EmbeddedWorker
from mainspring.runtime.worker import Worker

MEMORY = {"default": {"BACKEND": "mainspring.backends.memory.MemoryBackend"}}
# The guard's thread goes on, for what still runs.
RENEWING = {"mainspring-heartbeat", "mainspring-maintenance", "mainspring-keeper"}


def test_nobody_renews_the_lease_of_one_that_has_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())

    def fail(_worker: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Worker, "_turn", fail)
    with override_settings(TASKS=MEMORY):
        one = EmbeddedWorker(mainspring_backend("default"))
        one._thread.join(30)
    assert "broken" in caplog.text
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not left & RENEWING
