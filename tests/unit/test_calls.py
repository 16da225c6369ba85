import asyncio
import gc
import traceback
import weakref

import pytest

from mainspring import Task, TaskError
from mainspring.core.calls import MAX_TRACEBACK, Call, describe, let_go
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


class Big:
    pass


def failing():
    """Fail with much in a variable, in frames that have their own errors in variables."""
    big = Big()
    alive.add(big)
    try:
        raise ValueError("first")
    except ValueError as error:
        kept = error
        raise ExceptionGroup("all", [LookupError("second"), kept]) from kept


alive = weakref.WeakSet()


def test_what_is_let_go_keeps_nothing_alive():
    gc.disable()
    try:
        error = raised_by(failing)
        assert len(alive) == 1
        let_go(error)
        assert len(alive) == 0
        assert error.__traceback__ is None
        assert str(error.__cause__) == "first"
    finally:
        gc.enable()


def raised_by(call):
    try:
        call()
    except BaseException as caught:
        return caught


def let_go_of_another(handled):
    """While one is handled, let go of an error that it led to."""
    try:
        raise handled
    except KeyError:
        error = raised_by(failing)
        error.__cause__.__context__ = handled
        let_go(error)


def test_what_the_caller_handles_is_left_as_it_is():
    handled = KeyError("handled")
    let_go_of_another(handled)
    assert handled.__traceback__ is not None
