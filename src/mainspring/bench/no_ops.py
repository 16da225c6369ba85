"""The tasks that `mainspring bench core` enqueues; imported once its settings are there."""

import django
from django.tasks import task as djangos_task

from mainspring.core.tasks import task


@task
def ours(a: int, b: int) -> None:
    """Do nothing, on Mainspring's ImmediateBackend."""


def no_op(a: int, b: int) -> None:
    """Do nothing, on Django's ImmediateBackend."""


djangos = djangos_task(backend="django")(no_op)
if django.VERSION >= (6, 1):
    # Django 6.0 pickles a task with its function, 6.1 by what stands under the function's path.
    no_op = djangos  # type: ignore[assignment]
