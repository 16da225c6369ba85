"""What statements change that lasts longer than themselves."""

import pytest

from mainspring.runtime.sessions import change_of


@pytest.mark.parametrize(
    ("sql", "vendor", "change"),
    [
        ("SELECT 1", "postgresql", ""),
        ('INSERT INTO "t" ("a") VALUES (%s)', "postgresql", ""),
        ("SAVEPOINT s1", "postgresql", ""),
        ("SET search_path = other", "postgresql", "session"),
        ("  set  role alice;", "postgresql", "session"),
        ("/* by me */ SET ROLE alice", "postgresql", "session"),
        ("-- by me\nRESET ALL", "postgresql", "session"),
        ("SET LOCAL lock_timeout = '1s'", "postgresql", "transaction"),
        ("SET CONSTRAINTS ALL DEFERRED", "postgresql", "transaction"),
        ("SELECT set_config('a.b', 'c', false)", "postgresql", "session"),
        ("SELECT pg_try_advisory_lock(1)", "postgresql", "session"),
        ("SELECT pg_advisory_xact_lock(1)", "postgresql", "transaction"),
        ("SELECT * INTO TEMP t FROM u", "postgresql", "session"),
        ("CREATE TEMPORARY TABLE t (a int)", "mysql", "session"),
        ("CREATE TABLE temporary_things (a int)", "mysql", ""),
        ("SELECT GET_LOCK('a', 0)", "mysql", "session"),
        ("LOCK TABLES a WRITE", "mysql", "session"),
        ("LOCK TABLE a", "postgresql", "transaction"),
        ("BEGIN", "mysql", "session"),
        ("START TRANSACTION", "postgresql", "session"),
        ("BEGIN IMMEDIATE", "sqlite", ""),  # Django's own
        ("PRAGMA cache_size = 7", "sqlite", "session"),
        ("ATTACH ':memory:' AS other", "sqlite", "session"),
        ("SELECT 1; SET LOCAL a.b = 'c'; SET a.b = 'c'", "postgresql", "session"),
        ("SELECT 1; SET LOCAL a.b = 'c'", "postgresql", "transaction"),
        ("", "sqlite", ""),
        ("-- nothing", "sqlite", ""),
    ],
)
def test_changes_that_last(sql: str, vendor: str, change: str) -> None:
    assert change_of(sql, vendor) == change
