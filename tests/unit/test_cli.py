import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mainspring import cli
from mainspring.bench import core, report


@pytest.fixture
def imported(monkeypatch):
    """Commands that only keep what they were given."""
    seen = []

    def import_module(name):
        return SimpleNamespace(main=lambda argv: seen.append((name, argv)) or 7)

    monkeypatch.setattr(cli, "import_module", import_module)
    return seen


@pytest.mark.parametrize(
    ("argv", "module", "rest"),
    [
        (["demo"], "mainspring.demo", []),
        (["demo", "--files", "here", "-h"], "mainspring.demo", ["--files", "here", "-h"]),
        (["bench", "core"], "mainspring.bench.core", []),
        (
            ["bench", "core", "--json", "f.json", "--check"],
            "mainspring.bench.core",
            ["--json", "f.json", "--check"],
        ),
        (["bench", "map", "--calls", "9"], "mainspring.bench.maps", ["--calls", "9"]),
        (["bench", "sqlite", "--json", "f"], "mainspring.bench.sqlite", ["--json", "f"]),
    ],
)
def test_a_command_gets_what_follows_it(imported, argv, module, rest):
    assert cli.main(argv) == 7
    assert imported == [(module, rest)]


@pytest.mark.parametrize("argv", [[], ["bench"], ["fly"], ["bench", "fly"], ["bench", "--json"]])
def test_a_wrong_command_line_is_told(imported, capsys, argv):
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert "usage: mainspring" in capsys.readouterr().err
    assert imported == []


@pytest.mark.parametrize("argv", [["--help"], ["bench", "--help"]])
def test_help_names_the_commands(capsys, argv):
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 0
    assert "core" in capsys.readouterr().out or "demo" in argv or argv == ["--help"]


def test_a_command_has_its_own_help(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["bench", "core", "--help"])
    assert caught.value.code == 0
    assert "--json FILE" in capsys.readouterr().out


def test_ctrl_c_is_no_traceback(monkeypatch):
    def interrupt(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(main=interrupt))
    assert cli.main(["demo"]) == 130


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_rounds_are_checked(capsys, rounds):
    with pytest.raises(SystemExit):
        core.main(["--rounds", rounds])
    assert "--rounds" in capsys.readouterr().err


def test_importing_the_command_imports_neither_django_nor_the_benchmarks():
    code = (
        "import sys, mainspring.cli\n"
        "print([name for name in ('mainspring.bench', 'mainspring.demo') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_bench_core_measures_and_writes(tmp_path):
    # The times of one round on a busy machine are no reason to fail; the sizes do not vary.
    path = tmp_path / "core.json"
    code = (
        "import sys\n"
        "from mainspring.bench import core\n"
        "core._HELD = 2_000\n"
        "sys.exit(core.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--rounds", "1", "--json", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "TaskResult: construct" in done.stdout
    written = json.loads(path.read_text())
    assert written["benchmark"] == "core"
    figures = {figure["name"]: figure for figure in written["figures"]}
    for name in ("held for each of 100,000", "pickled"):
        assert figures[name]["is_met"], figures[name]
        assert figures[name]["unit"] == "B"


# What the benchmarks share


def row(ours, theirs, limit, more_is_better=False):
    return report.Row("name", ours, theirs, "B", limit, more_is_better)


@pytest.mark.parametrize(
    ("one", "is_met"),
    [
        (row(1, 5, 0.2), True),
        (row(1.1, 5, 0.2), False),
        (row(60, 10, 6, more_is_better=True), True),
        (row(59, 10, 6, more_is_better=True), False),
        (row(59, 10, None), True),
    ],
)
def test_a_row_knows_whether_it_is_met(one, is_met):
    assert one.is_met == is_met


def test_side_by_side_takes_turns_and_medians():
    turns = []
    ours, theirs = iter([5, 1, 3]), iter([50, 10, 90])
    assert report.side_by_side(
        lambda: turns.append("ours") or next(ours),
        lambda: turns.append("theirs") or next(theirs),
        3,
    ) == (3, 50)
    assert turns == ["ours", "theirs"] * 3


def test_seconds_per_call_calls_that_often():
    calls = []
    assert report.seconds_per_call(lambda: calls.append(1), 50) > 0
    assert len(calls) == 50
