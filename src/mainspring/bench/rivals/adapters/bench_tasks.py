"""The no-op task of the rivals that are Django apps."""

# mypy: ignore-errors

import os

from bench_page import note

if os.environ["MAINSPRING_BENCH_RIVAL"] == "django-vtasks":
    from django_vtasks import task
else:
    from django.tasks import task


@task
def no_op(number, stamp):
    """Count the call."""
    note(number, stamp)


if os.environ.get("MAINSPRING_BENCH_ASYNC"):

    @task
    async def async_no_op(number, stamp):
        """Count the call."""
        note(number, stamp)

    no_op = async_no_op
