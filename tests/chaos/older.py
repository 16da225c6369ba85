"""An older version of the package, whose workers run beside the current ones."""

import os
import subprocess
from pathlib import Path

from tests.integration.sites import PROJECT, Site

_ROOT = Path(__file__).parents[2]
_COMMIT = "1963f12"  # the last one before the bugs that an attack on the engine found were fixed


def older_source(folder: Path) -> Path | None:
    """Extract the source of the older version; return None if the history lacks it."""
    archive = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", _COMMIT, "src"], check=False, capture_output=True
    )
    if archive.returncode:
        return None
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "src"


def import_path(site: Site, source: Path) -> dict[str, str]:
    """Return the environment variable that makes a site's process import that source."""
    return {"PYTHONPATH": os.pathsep.join(map(str, (source, PROJECT, site.folder, _ROOT)))}
