"""What is proven to touch nothing, and what is not."""

import decimal
import json
import math
import os
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from django.utils import translation

from mainspring.core import harmless
from mainspring.core.harmless import prove

FACTOR, NAMES, WORD, TABLE = 3, ("a", "b"), re.compile(r"\w+"), {"a": 1}


def no_op(number: int) -> None:
    pass


def doubles(number: int) -> int:
    return number * FACTOR


def computes(number: int) -> float:
    return math.sqrt(sum(abs(one) for one in range(number))) + doubles(number)


def texts(text: str) -> list[str]:
    return [word.upper() for word in WORD.findall(text.strip()) if word not in NAMES]


def parses(text: str, *, deep: bool = False) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise TypeError(f"{text!r} {deep}") from error


def recurses(number: int) -> int:
    return 1 if number < 2 else number * recurses(number - 1)


def counts(number: int) -> int:
    numbers = {}
    for one in range(number):
        numbers[one] = lambda one=one: one
    return len(numbers)


def closes_over(factor: Any) -> Callable[[int], Any]:
    def multiply(number: int) -> Any:
        return number * factor

    return multiply


def activates(number: int) -> None:
    translation.activate("de")


def goes(number: int) -> None:
    os.chdir("/")


def calls_what_goes(number: int) -> None:
    goes(number)


def imports(number: int) -> None:
    import os

    os.umask(0)


def goes_round(number: int) -> None:
    json.codecs.builtins.open("/")  # type: ignore[attr-defined]


def looks_around(number: int) -> Any:
    return doubles.__globals__["os"]


def rebinds(number: int) -> None:
    global FACTOR
    FACTOR = number


def sets_attribute(number: int) -> None:
    doubles.mark = number  # type: ignore[attr-defined]


def declares(number: int) -> None:
    class Inner:
        pass


def rounds(number: int) -> None:
    decimal.getcontext().prec = number


def counts_exactly(number: int) -> str:
    return str(Decimal(number) / 3)


def reads_table(name: str) -> int:
    return TABLE[name]


def gets(name: str) -> Any:
    return getattr(doubles, name)


def names_nothing(number: int) -> Any:
    return nothing  # type: ignore[name-defined] # noqa: F821


async def waits(number: int) -> int:
    return number


HARMLESS = (no_op, doubles, computes, texts, parses, recurses, counts, closes_over(2))
UNPROVEN = (
    activates,
    goes,
    calls_what_goes,
    imports,
    goes_round,
    looks_around,
    rebinds,
    sets_attribute,
    declares,
    rounds,
    counts_exactly,
    reads_table,
    gets,
    names_nothing,
    waits,
    closes_over(os),
    closes_over(Decimal(2)),
    print,
    max,
    str.upper,
    "text".upper,
)


@pytest.mark.parametrize("func", HARMLESS)
def test_what_only_computes_is_harmless(func: Callable[..., Any]) -> None:
    proof = prove(func)
    assert proof is not None
    assert proof.holds


@pytest.mark.parametrize("func", UNPROVEN)
def test_what_might_touch_something_has_no_proof(func: Callable[..., Any]) -> None:
    assert prove(func) is None


def test_a_proof_ends_where_a_name_gets_another_value(monkeypatch: pytest.MonkeyPatch) -> None:
    proof = prove(computes)
    assert proof is not None
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "doubles", goes)
        assert not proof.holds
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "sum", goes)
        assert not proof.holds
    with monkeypatch.context() as patch:
        patch.setattr(doubles, "__code__", goes.__code__)
        assert not proof.holds
    assert proof.holds


def test_a_proof_ends_where_a_closure_or_a_default_changes() -> None:
    multiply = closes_over(2)
    proof = prove(multiply)
    assert proof is not None
    assert multiply.__closure__ is not None  # type: ignore[attr-defined]
    multiply.__closure__[0].cell_contents = os  # type: ignore[attr-defined]
    assert not proof.holds
    (proof := prove(parses)) and parses.__kwdefaults__.update(deep=True)
    assert proof is not None
    assert not proof.holds
    parses.__kwdefaults__.update(deep=False)


def test_a_package_of_the_project_is_not_taken_for_one_of_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("statistics")
    module.__file__ = "/srv/site/statistics/__init__.py"
    monkeypatch.setitem(sys.modules, "statistics", module)
    monkeypatch.setattr(goes, "__module__", "statistics.tasks")
    harmless._is_pythons_own.cache_clear()
    assert prove(calls_what_goes) is None
    harmless._is_pythons_own.cache_clear()
