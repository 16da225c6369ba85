"""Lets our dataclass stand below Django's frozen one.

Python refuses a dataclass that is not frozen below one that is, by a flag in the base's
``__dataclass_params__``. The flag is metadata only: what makes Django's tasks frozen is the
``__setattr__`` generated into their class, which this leaves alone. So Django's own tasks stay
frozen, and ours get ``object.__setattr__`` back. Where Django no longer freezes its class, there is
nothing to do.
"""

from typing import TYPE_CHECKING


def allow_unfrozen_subclasses(cls: type) -> bool:
    """Let dataclasses below the dataclass ``cls`` be unfrozen; return whether that was needed."""
    params = getattr(cls, "__dataclass_params__", None)  # set by @dataclass
    if params is None or not params.frozen:
        return False
    params.frozen = False
    return True


if TYPE_CHECKING:

    class DjangoTask:
        """What type checkers take for Django's class: they would refuse ours below a frozen one."""
else:
    from django.tasks import Task as DjangoTask

    allow_unfrozen_subclasses(DjangoTask)
