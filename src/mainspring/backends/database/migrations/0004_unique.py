"""A table of unique calls: by key, the job that stands for all calls of that key."""

from typing import Any, Final

from django.db import migrations, models

import mainspring.backends.database.fields

# As in 0002, names compare byte by byte; without the index for LIKE that Django adds to a text.
_SERVERS: Final = {
    "postgresql": (
        """
        CREATE TABLE mainspring_unique (
            key varchar(64) COLLATE "C" PRIMARY KEY,
            job_id varchar(32) COLLATE "C" NOT NULL,
            expires_at bigint
        )
        """,
        "CREATE INDEX mainspring_unique_job ON mainspring_unique (job_id)",
    ),
    "mysql": (
        """
        CREATE TABLE mainspring_unique (
            `key` char(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
            job_id char(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            expires_at bigint,
            KEY mainspring_unique_job (job_id)
        ) ENGINE = InnoDB
        """,
    ),
}


def _make_again(apps: Any, schema_editor: Any) -> None:
    statements = _SERVERS.get(schema_editor.connection.vendor)
    if statements is not None:
        schema_editor.delete_model(apps.get_model("mainspring_database", "UniqueCall"))
        for statement in statements:
            schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("mainspring_database", "0003_options")]

    operations = [
        migrations.CreateModel(
            name="UniqueCall",
            fields=[
                (
                    "key",
                    models.CharField(
                        editable=False, max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("job_id", models.CharField(max_length=32)),
                ("expires_at", mainspring.backends.database.fields.MomentField(null=True)),
            ],
            options={
                "verbose_name": "unique call",
                "db_table": "mainspring_unique",
                "indexes": [models.Index(fields=["job_id"], name="mainspring_unique_job")],
            },
        ),
        migrations.RunPython(_make_again, migrations.RunPython.noop, atomic=False),
    ]
