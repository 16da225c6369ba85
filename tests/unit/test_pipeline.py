"""The pipeline of a PostgreSQL session, where a server goes down in the midst of its answers."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from mainspring.backends.database.vendors.postgresql import session


class BrokenConnection:
    """What psycopg 3.3 does when such a server has sent one answer more than it was asked for."""

    is_closed = False

    @contextmanager
    def pipeline(self) -> Iterator[None]:
        """Fail at the end."""
        yield
        deque[int]().popleft()

    def close(self) -> None:
        """Take note."""
        self.is_closed = True

    def rollback(self) -> None:
        """Find it closed."""
        raise psycopg.OperationalError("the connection is closed")


def test_the_connection_is_lost() -> None:
    broken: Any = BrokenConnection()
    with (
        pytest.raises(psycopg.OperationalError, match="the connection ended"),
        session.pipeline(broken),
    ):
        pass
    assert broken.is_closed


def test_an_error_of_our_own_is_none_of_the_connection() -> None:
    broken: Any = BrokenConnection()
    with pytest.raises(IndexError, match="ours"), session.pipeline(broken):
        raise IndexError("ours")
    assert not broken.is_closed
