"""Fixtures that every test may use."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.stores import Stores


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> "Iterator[Stores]":
    """What opens stores, each new and empty."""
    from tests.contract.stores import Stores

    with django_db_blocker.unblock():
        yield Stores(tmp_path_factory.mktemp("stores"))
