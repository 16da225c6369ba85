"""MariaDB, MySQL: end the index by time with the ready jobs, whose newest are looked for most."""

from typing import Any, Final

from django.db import migrations

_INDEX: Final = (
    "ALTER TABLE mainspring_job DROP KEY mainspring_job_available, "
    "ADD KEY mainspring_job_available ({}, backend, available_at)"
)


def _end_with(schema_editor: Any, state: str) -> None:
    if schema_editor.connection.vendor == "mysql":
        schema_editor.execute(_INDEX.format(state))


# MariaDB before 10.8 accepts DESC and ignores it.
def _ready_last(_apps: Any, schema_editor: Any) -> None:
    _end_with(schema_editor, "state DESC")


def _running_last(_apps: Any, schema_editor: Any) -> None:
    _end_with(schema_editor, "state")


class Migration(migrations.Migration):
    dependencies = [("mainspring_database", "0008_unfinished_maps")]

    operations = [migrations.RunPython(_ready_last, _running_last, atomic=False)]
