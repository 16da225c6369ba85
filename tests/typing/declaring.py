"""What a type checker makes of declared tasks. Checked by mypy in .ci/run, never executed.

A ``type: ignore`` in here is an assertion: mypy warns about one that is not needed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_type

from mainspring import Task, TaskContext, task


@task
def add(left: int, right: int = 1) -> int:
    return left + right


@task(priority=5, queue_name="mail", backend="default")
def send(to: str, *, subject: str) -> None:
    del to, subject


@task(takes_context=True)
def report(context: TaskContext, month: str) -> dict[str, int]:
    assert_type(context.attempt, int)
    assert_type(context.task_result.id, str)
    return {month: context.attempt}


@task
async def fetch(url: str) -> list[str]:
    return [url]


def fields_have_djangos_types(declared: Task[[int], str]) -> None:
    assert_type(declared.priority, int)
    assert_type(declared.queue_name, str)
    assert_type(declared.backend, str)
    assert_type(declared.run_after, datetime | None)
    assert_type(declared.takes_context, bool)
    assert_type(declared.name, str)
    assert_type(declared.module_path, str)


def fields_can_be_set(declared: Task[[int], str]) -> None:
    declared.priority = 5
    declared.run_after = datetime(2030, 1, 1, tzinfo=UTC)
    declared.priority = "high"  # type: ignore[assignment]
    assert_type(declared.update(priority=5, queue_name="mail"), Task[[int], str])


def copies_keep_their_type(declared: Task[[int], str]) -> None:
    assert_type(declared.using(priority=5), Task[[int], str])
    assert_type(declared.using(run_after=datetime.now(UTC)), Task[[int], str])


def calling_returns_what_the_function_returns() -> None:
    assert_type(add.call(1, 2), int)


async def async_calling_returns_what_the_function_awaits() -> None:
    assert_type(await fetch.acall("https://example.com"), list[str])


@dataclass(slots=True, kw_only=True)
class AuditedTask[**P, R](Task[P, R]):
    owner: str = ""


def a_subclass_adds_its_fields(declared: AuditedTask[[int], str]) -> None:
    assert_type(declared.owner, str)
    declared.owner = "billing"
    declared.owner = 1  # type: ignore[assignment]
    assert_type(declared.using(owner="billing"), AuditedTask[[int], str])
