"""Have servers keep finished jobs apart from those that claims and settles work on."""

from pathlib import Path
from typing import Any, Final

from django.db import migrations

_SQL: Final = Path(__file__).parent / "sql"
_PARTITIONED: Final = frozenset({"postgresql", "mysql"})


def _partition(_apps: Any, schema_editor: Any) -> None:
    # The table is empty: until now, DatabaseBackend refused these databases.
    vendor = schema_editor.connection.vendor
    if vendor not in _PARTITIONED:
        return
    text = (_SQL / f"0002_{vendor}.sql").read_text("utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    for statement in code.split(";"):
        if statement.strip():
            schema_editor.execute(statement)


def _unpartition(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor in _PARTITIONED:
        schema_editor.execute("DROP TABLE mainspring_job")
        schema_editor.create_model(apps.get_model("mainspring_database", "StoredJob"))


class Migration(migrations.Migration):
    dependencies = [("mainspring_database", "0001_initial")]

    # Not atomic for the sake of MySQL, which cannot roll this back; PostgreSQL does anyway.
    operations = [migrations.RunPython(_partition, _unpartition, atomic=False)]
