import asyncio
import traceback

import pytest

from mainspring import Task, TaskError
from mainspring.core.calls import MAX_TRACEBACK, Call, describe
from tests.unit import tasks


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Vicious(Exception):
    @property
    def __cause__(self):
        raise RuntimeError("no cause")


def test_a_call_knows_what_running_it_takes():
    assert Call.of(tasks.add) == (tasks.add.func, False, False)
    assert Call.of(tasks.add_soon).is_async
    assert Call.of(tasks.describe).takes_context


class CountedTask(Task):
    __slots__ = ()

    def call(self, *args, **kwargs):
        return "called", Task.call(self, *args, **kwargs)

    async def acall(self, *args, **kwargs):
        return "called soon"


def double(number):
    return 2 * number


async def wait():
    pass


def test_a_task_with_a_call_of_its_own_is_called_by_it():
    assert Call.of(CountedTask(func=double)).func(2) == ("called", 4)
    call = Call.of(CountedTask(func=wait))
    assert asyncio.run(call.func()) == "called soon"
    assert call.is_async


@pytest.mark.parametrize("error", [ValueError("text"), SystemExit(3), KeyboardInterrupt()])
def test_an_error_is_described_as_django_does(error):
    caught = raised(error)
    described = describe(caught)
    assert type(described) is TaskError
    assert described.exception_class is type(error)
    assert described.traceback == "".join(traceback.format_exception(caught))


def test_a_class_in_a_class_has_its_whole_path():
    class Inner(Exception):
        pass

    path = describe(Inner()).exception_class_path
    assert path == f"{__name__}.{Inner.__qualname__}"


@pytest.mark.parametrize("kind", [Unprintable, Vicious])
def test_an_error_that_breaks_its_own_text_is_described(kind):
    described = describe(raised(kind()))
    assert described.exception_class is kind
    assert kind.__name__ in described.traceback


def test_a_text_that_json_cannot_hold_is_escaped():
    text = describe(raised(ValueError("\ud800"))).traceback
    assert text.endswith("ValueError: \\ud800\n")
    text.encode()


def test_of_a_long_text_the_middle_is_left_out():
    text = describe(raised(ValueError("x" * 200_000 + "end"))).traceback
    assert len(text) < MAX_TRACEBACK + 100
    assert text.startswith("Traceback")
    assert text.endswith("xend\n")
    assert "characters …]" in text
