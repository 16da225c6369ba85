"""Fixtures of the contract: every test that takes ``store`` runs on every kind of store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring.backends.storage import Storage
from tests.contract.stores import KINDS, Kind, Store, Stores


@pytest.fixture(params=KINDS, ids=str)
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
