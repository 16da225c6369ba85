"""Fixtures of the contract: every test that takes ``store`` runs on every kind of store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.tasks.signals import task_enqueued, task_finished, task_started

from mainspring import TaskResult
from mainspring.backends.storage import Storage
from tests.contract.stores import ONE_ORDER, Kind, Store, Stores


@pytest.fixture(params=ONE_ORDER, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    """One kind of store after the other."""
    kind: Kind = request.param
    return kind


@pytest.fixture
def store(stores: Stores, kind: Kind, tmp_path: Path) -> Iterator[Store]:
    """A new and empty store."""
    with stores.open(kind, tmp_path) as opened:
        yield opened


@pytest.fixture
def storage(store: Store) -> Storage:
    """The verbs of the store's alias ``default``."""
    return store.storage


@pytest.fixture
def heard() -> Iterator[list[tuple[str, TaskResult[Any]]]]:
    """What the signals told: their names, and the results that came with them."""
    told: list[tuple[str, TaskResult[Any]]] = []
    receivers = {}
    signals = {"enqueued": task_enqueued, "started": task_started, "finished": task_finished}
    for name, signal in signals.items():

        def receive(task_result: TaskResult[Any], name: str = name, **_: Any) -> None:
            told.append((name, task_result))

        receivers[name] = receive
        signal.connect(receive)
    yield told
    for name, signal in signals.items():
        signal.disconnect(receivers[name])
