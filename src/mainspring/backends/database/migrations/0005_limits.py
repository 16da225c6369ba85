"""Tables of limits, of the jobs that wait for them, and of the queues that are paused."""

from typing import Any, Final

from django.db import migrations, models

import mainspring.backends.database.fields

_NAME: Final = (
    "CHARACTER SET utf8mb4 COLLATE /*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */ NOT NULL"
)
_ASCII: Final = "CHARACTER SET ascii COLLATE ascii_bin NOT NULL"

# As in 0002, names compare byte by byte; without the index for LIKE that Django adds to a text.
_SERVERS: Final = {
    "postgresql": (
        """
        CREATE TABLE mainspring_held (
            id varchar(32) COLLATE "C" PRIMARY KEY,
            backend varchar(64) COLLATE "C" NOT NULL,
            limit_group varchar(255) COLLATE "C" NOT NULL,
            level smallint NOT NULL,
            place bigint NOT NULL,
            available_at bigint NOT NULL
        )
        """,
        """
        CREATE INDEX mainspring_held_order
            ON mainspring_held (backend, limit_group, level, place)
        """,
        "CREATE INDEX mainspring_held_age ON mainspring_held (backend, limit_group, available_at)",
        # With room on its page for the next versions of a row that is written all the time.
        """
        CREATE TABLE mainspring_limit (
            name varchar(128) COLLATE "C" PRIMARY KEY,
            used bytea NOT NULL,
            idle_at bigint NOT NULL
        ) WITH (fillfactor = 50)
        """,
        """
        CREATE TABLE mainspring_pause (
            backend varchar(64) COLLATE "C" NOT NULL,
            queue_name varchar(64) COLLATE "C" NOT NULL,
            paused_at bigint NOT NULL,
            PRIMARY KEY (backend, queue_name)
        )
        """,
    ),
    "mysql": (
        f"""
        CREATE TABLE mainspring_held (
            id char(32) {_ASCII} PRIMARY KEY,
            backend varchar(64) {_NAME},
            limit_group varchar(255) {_ASCII},
            level smallint NOT NULL,
            place bigint NOT NULL,
            available_at bigint NOT NULL,
            KEY mainspring_held_order (backend, limit_group, level, place),
            KEY mainspring_held_age (backend, limit_group, available_at)
        ) ENGINE = InnoDB
        """,
        f"""
        CREATE TABLE mainspring_limit (
            name varchar(128) {_ASCII} PRIMARY KEY,
            used longblob NOT NULL,
            idle_at bigint NOT NULL
        ) ENGINE = InnoDB
        """,
        f"""
        CREATE TABLE mainspring_pause (
            backend varchar(64) {_NAME},
            queue_name varchar(64) {_NAME},
            paused_at bigint NOT NULL,
            PRIMARY KEY (backend, queue_name)
        ) ENGINE = InnoDB
        """,
    ),
}


def _make_again(apps: Any, schema_editor: Any) -> None:
    statements = _SERVERS.get(schema_editor.connection.vendor)
    if statements is not None:
        for name in ("HeldJob", "LimitUse", "PausedQueue"):
            schema_editor.delete_model(apps.get_model("mainspring_database", name))
        for statement in statements:
            schema_editor.execute(statement)


def _hold_no_more(_apps: Any, schema_editor: Any) -> None:
    # What waited for a limit is ready without one.
    schema_editor.execute("UPDATE mainspring_job SET state = 1 WHERE state = -1")


class Migration(migrations.Migration):
    dependencies = [("mainspring_database", "0004_unique")]

    operations = [
        migrations.CreateModel(
            name="HeldJob",
            fields=[
                (
                    "id",
                    models.CharField(
                        editable=False, max_length=32, primary_key=True, serialize=False
                    ),
                ),
                ("backend", models.CharField(max_length=64)),
                ("limit_group", models.CharField(max_length=255)),
                ("level", models.SmallIntegerField()),
                ("place", models.BigIntegerField()),
                ("available_at", mainspring.backends.database.fields.MomentField()),
            ],
            options={
                "verbose_name": "held job",
                "db_table": "mainspring_held",
                "indexes": [
                    models.Index(
                        fields=["backend", "limit_group", "level", "place"],
                        name="mainspring_held_order",
                    ),
                    models.Index(
                        fields=["backend", "limit_group", "available_at"],
                        name="mainspring_held_age",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LimitUse",
            fields=[
                (
                    "name",
                    models.CharField(
                        editable=False, max_length=128, primary_key=True, serialize=False
                    ),
                ),
                ("used", models.BinaryField()),
                ("idle_at", mainspring.backends.database.fields.MomentField()),
            ],
            options={"verbose_name": "limit", "db_table": "mainspring_limit"},
        ),
        migrations.CreateModel(
            name="PausedQueue",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "backend",
                        "queue_name",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("backend", models.CharField(max_length=64)),
                ("queue_name", models.CharField(max_length=64, verbose_name="queue")),
                ("paused_at", mainspring.backends.database.fields.MomentField()),
            ],
            options={"verbose_name": "paused queue", "db_table": "mainspring_pause"},
        ),
        migrations.RunPython(_make_again, _hold_no_more, atomic=False),
    ]
