"""`mainspring bench map` on SQLite, with few calls: its times say nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.bench import maps
from mainspring.bench.map_items import ideal_seconds, naps

_COMMAND = [sys.executable, "-c", "import sys; from mainspring.cli import main; sys.exit(main())"]
_FEW = [
    "--engine=sqlite",
    "--engine=memory",
    "--calls=2000",
    "--returned=500",
    "--uneven=4",
    "--rounds=1",
]


def test_measures_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    done = subprocess.run(
        [*_COMMAND, "bench", "map", *_FEW, f"--json={path}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "mainspring bench map" in done.stdout
    written = json.loads(path.read_text())
    assert written["benchmark"] == "map"
    figures = {figure["name"]: figure for figure in written["figures"]}
    for name in (
        "SQLite: no-op calls on ints",
        "SQLite: calls of (int, str, bool, None), the int returned",
        "SQLite: calls of (int, str, bool, None), all of it returned",
        "SQLite: ints, reduced to their sum",
        "Memory: no-op calls on ints",
        "Memory: ints, reduced to their sum",
        "Pool.map, chunks of",
        "ProcessPoolExecutor.map, chunks of",
    ):
        (figure,) = [one for full, one in figures.items() if full.startswith(name)]
        assert figure["value"] > 0
        assert figure["bare"] > 0
    for name in (
        "… the producer at its peak",
        "… a worker at its peak",
        "SQLite: handle on 2,000 results",
        "… while all are looked at",
    ):
        assert figures[name]["value"] > 0
        assert figures[name]["is_met"], figures[name]


@pytest.mark.parametrize("option", ["--calls=0", "--rounds=none", "--engine=oracle"])
def test_options_are_checked(capsys: pytest.CaptureFixture[str], option: str) -> None:
    with pytest.raises(SystemExit):
        maps.main([option])
    assert option.partition("=")[0] in capsys.readouterr().err


def test_uneven_calls_are_the_same_each_time() -> None:
    seconds = naps(400)
    assert seconds == naps(400)
    assert max(seconds) <= 0.5
    # A tenth of them take longer than all the others.
    assert sum(sorted(seconds)[-40:]) > sum(seconds) / 2


def test_the_ideal_split_is_not_shorter_than_the_longest_call() -> None:
    assert ideal_seconds([1.0, 1.0, 2.0], 2) == 2.0
    assert ideal_seconds([1.0, 1.0, 5.0], 2) == 5.0
