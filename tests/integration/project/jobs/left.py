"""Calls of maps that leave something to the calls after them."""

import os
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.utils import translation

from mainspring import task

LEAVES_AT = 250  # by when rows have many calls


def _note(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO note (text) VALUES (%s)", [text])


def _begin() -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")


def _end_session() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        elif connection.vendor == "mysql":
            cursor.execute("KILL CONNECTION_ID()")
        else:
            connection.connection.close()
            cursor.execute("SELECT 1")


def _leave(how: str) -> None:
    if how == "autocommit":
        transaction.set_autocommit(False)
    elif how == "begin":
        _begin()
        _note("never to be seen")
    elif how == "session":
        _end_session()
    elif how == "language":
        translation.activate("de")
        os.chdir("/")
    raise ValueError(f"left {how}")


@task
def left_open(how: str, number: int) -> list[Any]:
    """Leave something at one number and fail; write a row at the others."""
    if number == LEAVES_AT:
        _leave(how)
    _note(str(number))
    return [translation.get_language(), str(Path.cwd()) == "/"]


@task
def left_silently(how: str, number: int) -> list[Any]:
    """Leave something at one number, and return."""
    try:
        return left_open.func(how, number)
    except Exception:
        return []


@task
def gathered(one: Any, other: Any) -> list[Any]:
    """Merge: write a row for each text; leave something at some."""
    if isinstance(other, list):  # what another row has come to
        return [*(_looks(one)), *other]
    if other == "leave":
        found = _looks(one)
        transaction.set_autocommit(False)
        translation.activate("de")
        return found
    return [*_looks(one), *_looks(other)]


def _looks(text: Any) -> list[Any]:
    if isinstance(text, list):
        return text
    _note(text)
    return [[text, translation.get_language(), connection.get_autocommit()]]


@task
def picked(text: str) -> str:
    """Return a text that is not bad: what is bad divides the row."""
    if text == "bad":
        raise ValueError(text)
    return text


@task
def no_queries_before(number: int) -> int:
    """Return how many queries of earlier tasks are logged; make one."""
    found = len(connection.queries)
    _note(str(number))
    return found
