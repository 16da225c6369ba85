"""The Django project that the demo makes: files, settings in force, tables."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import django
from django.core.management import call_command

_TEMPLATE: Final = Path(__file__).with_name("template")


def make_folder() -> Path:
    """Make a new temporary folder that only this user can look into."""
    return Path(tempfile.mkdtemp(prefix="mainspring-demo-"))


def write_project(folder: Path) -> None:
    """Write the project's files into ``folder``."""
    for path in sorted(_TEMPLATE.rglob("*.py")):
        target = folder / path.relative_to(_TEMPLATE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())


def set_up(folder: Path) -> None:
    """Put the project's settings in force in this process, and make its tables."""
    sys.path.insert(0, str(folder))
    os.environ["DJANGO_SETTINGS_MODULE"] = "website.settings"
    django.setup()
    call_command("migrate", verbosity=0)
