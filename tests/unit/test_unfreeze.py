from dataclasses import FrozenInstanceError, dataclass

import django.tasks
import pytest

from mainspring.core.unfreeze import allow_unfrozen_subclasses


@dataclass(frozen=True, slots=True)
class Frozen:
    field: int = 0


def test_a_frozen_class_lets_unfrozen_ones_stand_below_it_and_stays_frozen():
    with pytest.raises(TypeError, match="cannot inherit non-frozen dataclass from a frozen one"):
        dataclass(type("Below", (Frozen,), {}))
    assert allow_unfrozen_subclasses(Frozen)
    below = dataclass(type("Below", (Frozen,), {"__setattr__": object.__setattr__}))()
    below.field = 5
    assert below.field == 5
    with pytest.raises(FrozenInstanceError):
        Frozen().field = 5
    assert not allow_unfrozen_subclasses(Frozen)


def test_where_nothing_is_frozen_nothing_is_done():
    assert not allow_unfrozen_subclasses(dataclass(type("Open", (), {})))
    assert not allow_unfrozen_subclasses(object)


def test_djangos_class_was_unfrozen_in_name_only():
    assert not django.tasks.Task.__dataclass_params__.frozen
    assert "__setattr__" in django.tasks.Task.__dict__
