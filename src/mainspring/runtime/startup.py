"""What a worker does before it forks: import the tasks, so that processes share their memory."""

import logging
from importlib import import_module
from importlib.util import find_spec

from django.apps import apps

logger = logging.getLogger("mainspring")


def import_tasks() -> None:
    """Import the module ``tasks`` of each installed app.

    One that cannot be imported is logged and stops nothing: its tasks are kept until it can.
    """
    for config in apps.get_app_configs():
        name = f"{config.name}.tasks"
        try:
            if find_spec(name) is not None:
                import_module(name)
        except (Exception, SystemExit):  # whatever the module's own code raises
            logger.exception(
                "%s cannot be imported; its tasks wait until it can",
                name,
                extra={"task_module": name},
            )
