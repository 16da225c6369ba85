"""What a type checker makes of scheduled tasks. Checked by mypy in .ci/run, never executed.

A ``type: ignore`` in here is an assertion: mypy warns about one that is not needed.
"""

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import assert_type

from mainspring import Task, cron, every, task


@every(timedelta(hours=1), jitter=timedelta(minutes=5), args=[1])
@every(minutes=10, jitter=1.5, catch_up="none")
@cron("0 3 * * *", timezone=UTC, kwargs={"left": 1}, overlap="skip", priority=5)
@cron("@daily", timezone="Europe/Berlin", name="daily", queue_name="mail")
@task
def add(left: int, right: int = 1) -> int:
    return left + right


assert_type(add.call(1), int)
add.enqueue("1")  # type: ignore[arg-type]


@dataclass(slots=True, kw_only=True)
class Audited(Task[[int], str]):
    owner: str = ""


def a_subclass_stays_one(audited: Audited) -> None:
    assert_type(cron("@daily")(audited), Audited)


def wrong_values_are_found() -> None:
    cron(5)  # type: ignore[arg-type]
    cron("@daily", catch_up="newest")  # type: ignore[arg-type]
    every(5)  # type: ignore[arg-type]

    @cron("@daily")  # type: ignore[type-var]
    def plain() -> None: ...
