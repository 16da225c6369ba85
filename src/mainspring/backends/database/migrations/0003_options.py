"""Give jobs room for options, metadata and limits; jobs that wait for a limit are live ones."""

from typing import Any, Final

from django.db import migrations, models

_HELD: Final = {
    "postgresql": (
        "ALTER TABLE mainspring_job DETACH PARTITION mainspring_job_live",
        "ALTER TABLE mainspring_job ATTACH PARTITION mainspring_job_live FOR VALUES IN ({})",
    ),
    "mysql": (
        "ALTER TABLE mainspring_job REORGANIZE PARTITION live INTO (PARTITION live VALUES IN ({}))",
    ),
}


def _set_live_states(schema_editor: Any, states: str) -> None:
    for statement in _HELD.get(schema_editor.connection.vendor, ()):
        schema_editor.execute(statement.format(states))


def _hold(_apps: Any, schema_editor: Any) -> None:
    _set_live_states(schema_editor, "-1, 0, 1, 2")


def _hold_no_more(_apps: Any, schema_editor: Any) -> None:
    # What waited for a limit is ready without one.
    schema_editor.execute("UPDATE mainspring_job SET state = 1 WHERE state = -1")
    _set_live_states(schema_editor, "0, 1, 2")


class Migration(migrations.Migration):
    dependencies = [("mainspring_database", "0002_partitions")]

    operations = [
        migrations.AddField("storedjob", "options", models.BinaryField(null=True)),
        migrations.AddField("storedjob", "metadata", models.BinaryField(null=True)),
        migrations.AddField(
            "storedjob", "limit_group", models.CharField(max_length=255, null=True)
        ),
        migrations.AlterField(
            "storedjob",
            "state",
            models.SmallIntegerField(
                choices=[
                    (-1, "Held"),
                    (0, "Scheduled"),
                    (1, "Ready"),
                    (2, "Running"),
                    (3, "Successful"),
                    (4, "Failed"),
                    (5, "Cancelled"),
                ]
            ),
        ),
        migrations.RunPython(_hold, _hold_no_more, atomic=False),
    ]
