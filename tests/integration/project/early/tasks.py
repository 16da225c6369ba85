"""What is imported before the worker forks; EARLY names what to do then."""

import asyncio
import os
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from mainspring import task

_wanted = os.environ.get("EARLY", "").split(",")


def _query(number: int) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [number])
        return cursor.fetchone()[0]


@task
def selects(number: int) -> int:
    """Return the number as the database has it."""
    found: int = _query(number)
    connection.close()
    return found


@task
async def aselects(number: int) -> int:
    """Do as ``selects`` does, in the thread for sync code."""
    return await sync_to_async(selects.func)(number)


if "query" in _wanted:
    _query(0)
if "async" in _wanted:

    async def _asks() -> None:
        await sync_to_async(_query)(0)

    asyncio.run(_asks())
