"""An older version of the package, whose workers run beside those of today."""

import os
import subprocess
from pathlib import Path

from tests.integration.sites import PROJECT, Site

_ROOT = Path(__file__).parents[2]
_COMMIT = "1963f12"  # the last one before what an attack on the engine has found was mended


def older_source(folder: Path) -> Path | None:
    """Put the source of the older version into a folder; None where the history lacks it."""
    archive = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", _COMMIT, "src"], check=False, capture_output=True
    )
    if archive.returncode:
        return None
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "src"


def import_path(site: Site, source: Path) -> dict[str, str]:
    """Return the environment variable with which a site's process imports that source."""
    return {"PYTHONPATH": os.pathsep.join(map(str, (source, PROJECT, site.folder, _ROOT)))}
