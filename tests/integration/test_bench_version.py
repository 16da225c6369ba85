"""`mainspring bench version` with little to do: its times say nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.bench import version

_ROOT = Path(__file__).parents[2]
_LITTLE = ["--engine=sqlite", "--jobs=50", "--calls=100", "--rounds=1", "--parked=3", "--idle=0"]
_MEASURED = ("enqueue one by one", "drain, 2 processes", "map, 2 processes")


def test_measures_both_versions_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "version.json"
    command = "import sys; from mainspring.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", command, "bench", "version", _ROOT, *_LITTLE, f"--json={path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads(path.read_text())
    assert written["benchmark"] == "version"
    figures = {figure["name"]: figure for figure in written["figures"]}
    for name in _MEASURED:
        (figure,) = [one for full, one in figures.items() if full.startswith(f"SQLite: {name}")]
        assert figure["value"] > 0
        assert figure["bare"] > 0
    assert "SQLite: idle beside 3 keys and maps, of one core" in figures


def test_the_folder_must_have_a_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        version.main([str(tmp_path)])
    assert f"there is no Mainspring in {tmp_path}" in capsys.readouterr().err
