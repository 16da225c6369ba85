"""Add an index of unfinished maps, so that workers can look at them in batches."""

from typing import Any, Final

from django.db import migrations

_NAME: Final = "mainspring_map_unfinished"
_CREATE: Final = f"CREATE INDEX {_NAME} ON mainspring_map (backend, id) WHERE finished_at IS NULL"


# Not in the models, because Django would warn on MySQL and MariaDB, which have no conditional
# indexes. There, the index by finished_at is used, as it ends with the primary key.
def _create(_apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "mysql":
        schema_editor.execute(_CREATE)


def _drop(_apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "mysql":
        schema_editor.execute(f"DROP INDEX {_NAME}")


class Migration(migrations.Migration):
    dependencies = [("mainspring_database", "0007_schedules")]

    operations = [migrations.RunPython(_create, _drop)]
