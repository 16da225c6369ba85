"""Lets our dataclass stand below Django's frozen one.

Python refuses a dataclass that is not frozen below one that is, by a flag in the base's
``__dataclass_params__``. The flag is metadata only: what makes Django's tasks frozen is the
``__setattr__`` generated into their class, which this leaves alone. So Django's own tasks stay
frozen, and ours get ``object.__setattr__`` back. Where Django no longer freezes its class, there is
nothing to do.
"""

from django.tasks import Task as DjangoTask


def allow_unfrozen_subclasses(cls: type) -> bool:
    """Let dataclasses below the dataclass ``cls`` be unfrozen; return whether that was needed."""
    params = cls.__dataclass_params__  # type: ignore[attr-defined] # set by @dataclass
    if not params.frozen:
        return False
    params.frozen = False
    return True


allow_unfrozen_subclasses(DjangoTask)
