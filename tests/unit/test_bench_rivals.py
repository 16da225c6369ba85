"""The pure parts of `mainspring bench --compare`: nothing is installed or measured here."""

import json
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from mainspring.bench import compare
from mainspring.bench.rivals.adapters import bench_page
from mainspring.bench.rivals.adapters.bench_page import Page
from mainspring.bench.rivals.adapters.bench_url import django_database
from mainspring.bench.rivals.chart import as_svg
from mainspring.bench.rivals.competitors import Competitor, Variant
from mainspring.bench.rivals.environments import cache_folder
from mainspring.bench.rivals.figures import Drain, Outcome, Round
from mainspring.bench.rivals.measuring import own_url
from mainspring.bench.rivals.pins import PINS
from mainspring.bench.rivals.postgresql import OURS, POSTGRESQL
from mainspring.bench.rivals.processes import last_words
from mainspring.bench.rivals.redis import REDIS
from mainspring.bench.rivals.table import as_markdown, fastest_first, print_comparison, rounded

RIVAL = Competitor(
    name="rival",
    engine="postgresql",
    adapter="rival_app.py",
    keeps="a row",
    packages=("rival==1.2",),
    variants=(Variant("threads 1", ("rival -t 1",)), Variant("threads 8 | more", ("rival -t 8",))),
)


def drain(settings, rate, p50=1.0):
    return Drain(settings, 1000, rate, p50, 2 * p50, 3 * p50, 50.0)


def outcome(competitor, *rounds):
    made = Outcome(competitor)
    made.rounds += [Round(1000.0 + i, None, drains) for i, drains in enumerate(rounds)]
    return made


@pytest.fixture
def outcomes():
    """Ours, one rival that was measured, and one that was not."""
    ours = outcome(OURS, (drain("--processes 2", 50_000.0),))
    rival = outcome(
        RIVAL,
        (drain("threads 1", 3000.0), drain("threads 8 | more", 2000.0, p50=9)),
        (drain("threads 1", 1000.0), drain("threads 8 | more", 2500.0, p50=7)),
        (drain("threads 1", 1200.0), drain("threads 8 | more", 2600.0, p50=8)),
    )
    broken = Outcome(RIVAL._replace(name="broken"))
    broken.error = "uv pip install failed: no such package"
    return [rival, broken, ours]


def test_the_variant_with_the_fastest_median_drain_counts(outcomes):
    summary = outcomes[0].summary()
    assert summary.settings == "threads 8 | more"
    assert (summary.drain, summary.p50, summary.p99) == (2500.0, 8, 24)
    assert (summary.one_by_one, summary.bulk) == (1001.0, None)


def test_a_variant_that_failed_is_not_tried_again_and_the_others_are():
    one = Outcome(RIVAL)
    one.failed["threads 1"] = "a worker ended with status 1"
    assert [variant.settings for variant in one.pending()] == ["threads 8 | more"]


def test_the_table_is_sorted_and_has_a_row_for_what_failed(outcomes):
    lines = as_markdown(outcomes, ["on this machine", "mainspring bench --compare"]).splitlines()
    assert lines[2].startswith("| mainspring ")
    assert "| 50,000 | |" in lines[2]
    assert lines[3].startswith("| rival 1.2 | 2,500 | 20 | 1,000 | none | 8 | 24 | 50 |")
    assert lines[4] == "| broken | failed | | | | | | |"
    assert "- broken: uv pip install failed: no such package" in lines
    assert r"| rival 1.2 | `threads 8 \| more` | a row |" in lines
    assert lines[-2:] == ["on this machine  ", "mainspring bench --compare  "]


def test_the_table_on_the_terminal_says_the_same(outcomes):
    console = Console(record=True, width=160)
    print_comparison(outcomes, ["on this machine"], console)
    text = console.export_text()
    assert "rival 1.2" in text
    assert "broken: uv pip install failed" in text
    assert "on this machine" in text


def test_without_ours_nothing_is_compared(outcomes):
    assert "| rival 1.2 | 2,500 | |" in as_markdown(outcomes[:2], [])


def test_the_chart_has_a_bar_in_proportion_for_each_that_was_measured(outcomes):
    outcomes[0].competitor = RIVAL._replace(name="<rival>")
    root = ET.fromstring(as_svg(fastest_first(outcomes), "drained & stored"))
    space = "{http://www.w3.org/2000/svg}"
    bars = [r for r in root.iter(f"{space}rect") if r.get("class") in ("ours", "theirs")]
    assert [bar.get("class") for bar in bars] == ["ours", "theirs"]
    assert float(bars[1].get("width")) == pytest.approx(float(bars[0].get("width")) / 20, rel=0.01)
    texts = [text.text for text in root.iter(f"{space}text")]
    assert texts == ["drained & stored", "mainspring", "50,000 /s", "<rival>", "2,500 /s"]


def test_a_chart_of_nothing_is_still_one():
    assert ET.fromstring(as_svg([], "nothing")).tag.endswith("svg")


def test_all_figures_can_be_written_as_json(outcomes):
    told = json.loads(json.dumps([one.as_json() for one in outcomes]))
    assert told[0]["median"]["settings"] == "threads 8 | more"
    assert len(told[0]["rounds"][0]["drains"]) == 2
    assert told[1]["median"] is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.1234, "0.12"), (8.0, "8"), (9.87654, "9.88"), (54321.0, "54,300")],
)
def test_figures_are_rounded_to_what_they_are_worth(value, text):
    assert rounded(value) == text


def test_the_command_line_chooses_by_engine_or_by_name(monkeypatch):
    monkeypatch.delenv("MAINSPRING_BENCH_POSTGRES_URL", raising=False)
    options = compare.parser().parse_args([])
    assert compare.chosen(options) == list(POSTGRESQL)
    assert (options.jobs, options.rounds) == (20_000, 3)
    assert options.postgres_url == "postgres://postgres@127.0.0.1:5432/postgres"
    everyone = compare.chosen(compare.parser().parse_args(["--engine", "all"]))
    assert everyone == [*POSTGRESQL, *REDIS]
    named = compare.parser().parse_args(["--only", "huey, pgqueuer"])
    assert [one.name for one in compare.chosen(named)] == ["pgqueuer", "huey"]


def test_the_server_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("MAINSPRING_BENCH_POSTGRES_URL", "postgres://me@db/postgres")
    assert compare.parser().parse_args([]).postgres_url == "postgres://me@db/postgres"


@pytest.mark.parametrize("argument", ["--only=pgqueuer,nobody", "--jobs=0", "--rounds=-1"])
def test_a_wrong_command_line_is_told(argument, capsys):
    with pytest.raises(SystemExit) as told:
        compare.parser().parse_args([argument])
    assert told.value.code == 2
    assert argument.split("=")[0] in capsys.readouterr().err


def test_the_command_that_is_kept_names_no_server_and_no_file():
    words = ["--postgres-url=postgres://me:secret@db/x", "--json=/tmp/x", "--only=huey", "--jobs=7"]
    options = compare.parser().parse_args(words)
    assert compare.command_line(options) == (
        "mainspring bench --compare --only huey --jobs 7 --rounds 3"
    )


def test_each_competitor_on_postgresql_has_a_database_of_its_own():
    urls = {own_url(one, "postgres://me:x@db:1/postgres?sslmode=require") for one in POSTGRESQL}
    assert "postgres://me:x@db:1/mainspring_bench_dj_queue?sslmode=require" in urls
    assert len(urls) == len(POSTGRESQL)


def test_the_url_of_a_database_as_django_wants_it():
    settings = django_database("postgres://me:a%2Fb@db:1/name?host=/run/pg&sslmode=require")
    assert (settings["NAME"], settings["USER"], settings["PASSWORD"]) == ("name", "me", "a/b")
    assert (settings["HOST"], settings["PORT"]) == ("/run/pg", "1")
    assert settings["OPTIONS"] == {"sslmode": "require"}


def test_every_rival_has_an_adapter_settings_and_exact_versions():
    for one in (*POSTGRESQL, *REDIS):
        assert Path(bench_page.__file__).with_name(one.adapter).is_file()
        assert one.version
        settings = [variant.settings for variant in one.variants]
        assert len(set(settings)) == len(settings)
    for packages in PINS.values():
        assert all(package.count("==") == 1 for package in packages)
        assert len({package.split("==")[0].lower() for package in packages}) == len(packages)


def test_environments_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "mainspring-bench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().parts[-2:] == (".cache", "mainspring-bench")


def test_of_a_log_the_last_error_is_told(tmp_path):
    log = tmp_path / "log"
    assert last_words(log) == ""
    log.write_text("starting\nworker ended\n\n")
    assert last_words(log) == "worker ended"
    log.write_text("  File\ndb.OperationalError: no such server\nworker ended\n")
    assert last_words(log) == "db.OperationalError: no such server"


def test_tasks_count_themselves_in_the_page(monkeypatch, tmp_path):
    path = tmp_path / "page"
    monkeypatch.setenv("MAINSPRING_BENCH_PAGE", str(path))
    monkeypatch.setattr(bench_page, "_threads", threading.local())
    page = Page(path)
    assert (page.started(), page.first_ns(), page.delays_ns(2)) == (0, 0, [0, 0])
    bench_page.note(0, 0)
    first = page.first_ns()
    other = threading.Thread(target=bench_page.note, args=(1, first))
    other.start()
    other.join()
    assert page.started() == 2
    assert page.first_ns() == first > 0
    assert page.delays_ns(2)[0] == 0 < page.delays_ns(2)[1]
    page.forget_delays()
    assert (page.started(), page.delays_ns(2)) == (2, [0, 0])
    page.clear()
    assert (page.started(), page.first_ns()) == (0, 0)
