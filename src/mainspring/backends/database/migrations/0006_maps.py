"""A table of maps; on PostgreSQL, rows of many calls are compressed in less time, too."""

from typing import Any, Final

from django.db import migrations, models

import mainspring.backends.database.fields

_NAME: Final = (
    "CHARACTER SET utf8mb4 COLLATE /*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */ NOT NULL"
)
_ASCII: Final = "CHARACTER SET ascii COLLATE ascii_bin"

# As in 0002, names compare byte by byte; without the index for LIKE that Django adds to a text.
_SERVERS: Final = {
    "postgresql": (
        """
        CREATE TABLE mainspring_map (
            id varchar(32) COLLATE "C" PRIMARY KEY,
            backend varchar(64) COLLATE "C" NOT NULL,
            task_path varchar(255) COLLATE "C" NOT NULL,
            options bytea NOT NULL,
            queue_name varchar(64) COLLATE "C" NOT NULL,
            priority smallint NOT NULL,
            enqueued_at bigint NOT NULL,
            stored bigint NOT NULL,
            is_closed boolean NOT NULL,
            follow_up bytea,
            level smallint NOT NULL,
            result_id varchar(32) COLLATE "C",
            finished_at bigint
        )
        """,
        "CREATE INDEX mainspring_map_finished ON mainspring_map (backend, finished_at)",
    ),
    "mysql": (
        f"""
        CREATE TABLE mainspring_map (
            id char(32) {_ASCII} PRIMARY KEY,
            backend varchar(64) {_NAME},
            task_path varchar(255) {_NAME},
            options longblob NOT NULL,
            queue_name varchar(64) {_NAME},
            priority smallint NOT NULL,
            enqueued_at bigint NOT NULL,
            `stored` bigint NOT NULL,
            is_closed bool NOT NULL,
            follow_up longblob,
            level smallint NOT NULL,
            result_id char(32) {_ASCII},
            finished_at bigint,
            KEY mainspring_map_finished (backend, finished_at)
        ) ENGINE = InnoDB
        """,
    ),
}

_TABLES: Final = ("mainspring_job", "mainspring_job_live", "mainspring_job_finished")
_COLUMNS: Final = ("arguments", "return_value")
_HAS_LZ4: Final = (
    "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
)


def _make_again(apps: Any, schema_editor: Any) -> None:
    statements = _SERVERS.get(schema_editor.connection.vendor)
    if statements is not None:
        schema_editor.delete_model(apps.get_model("mainspring_database", "StoredMap"))
        for statement in statements:
            schema_editor.execute(statement)


def _compress(_apps: Any, schema_editor: Any) -> None:
    # Chunks of numbers are stored and settled in half of the time that they take with pglz.
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(_HAS_LZ4)
            has_lz4 = cursor.fetchone() == (True,)
        if has_lz4:
            _set_compression(schema_editor, "lz4")


def _compress_as_before(_apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        _set_compression(schema_editor, "DEFAULT")


def _set_compression(schema_editor: Any, method: str) -> None:
    for table in _TABLES:
        changes = ", ".join(f"ALTER COLUMN {name} SET COMPRESSION {method}" for name in _COLUMNS)
        schema_editor.execute(f"ALTER TABLE {table} {changes}")


class Migration(migrations.Migration):
    dependencies = [("mainspring_database", "0005_limits")]

    operations = [
        migrations.CreateModel(
            name="StoredMap",
            fields=[
                (
                    "id",
                    models.CharField(
                        editable=False, max_length=32, primary_key=True, serialize=False
                    ),
                ),
                ("backend", models.CharField(max_length=64)),
                ("task_path", models.CharField(max_length=255, verbose_name="task")),
                ("options", models.BinaryField()),
                ("queue_name", models.CharField(max_length=64, verbose_name="queue")),
                ("priority", models.SmallIntegerField()),
                ("enqueued_at", mainspring.backends.database.fields.MomentField()),
                ("stored", models.BigIntegerField(default=0, verbose_name="calls")),
                ("is_closed", models.BooleanField(default=False, verbose_name="is complete")),
                ("follow_up", models.BinaryField(null=True)),
                ("level", models.SmallIntegerField(default=0)),
                ("result_id", models.CharField(max_length=32, null=True)),
                ("finished_at", mainspring.backends.database.fields.MomentField(null=True)),
            ],
            options={
                "verbose_name": "map",
                "db_table": "mainspring_map",
                "indexes": [
                    models.Index(fields=["backend", "finished_at"], name="mainspring_map_finished")
                ],
            },
        ),
        migrations.RunPython(_make_again, migrations.RunPython.noop, atomic=False),
        migrations.RunPython(_compress, _compress_as_before, atomic=False),
    ]
