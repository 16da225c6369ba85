"""Add an index of unfinished maps, so that workers can look at them in batches."""

from typing import Any, Final

from django.db import migrations

_NAME: Final = "mainspring_map_unfinished"
_CREATE: Final = f"CREATE INDEX {_NAME} ON mainspring_map (backend, id) WHERE finished_at IS NULL"


# Not in the models: MySQL and MariaDB, where no index has a condition, would warn of it. There the
# index by finished_at serves, as the primary key stands at its end.
def _create(_apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "mysql":
        schema_editor.execute(_CREATE)


def _drop(_apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "mysql":
        schema_editor.execute(f"DROP INDEX {_NAME}")


class Migration(migrations.Migration):
    dependencies = [("mainspring_database", "0007_schedules")]

    operations = [migrations.RunPython(_create, _drop)]
