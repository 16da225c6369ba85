"""Test that the calls of a row of a map, and those of its merges, do not affect each other."""

import pytest

from mainspring.core.jobs import State
from tests.integration.databases import on_engines
from tests.integration.sites import Site
from tests.integration.test_maps import ask

pytestmark = pytest.mark.usefixtures("_can_be_interrupted")

PRELUDE = "from jobs.left import *\n"
NUMBERS, LEAVES_AT = 400, 250


def make_notes(site: Site) -> None:
    site.execute("CREATE TABLE note (text varchar(100))", [()])


def notes(site: Site) -> list[str]:
    return sorted(text for (text,) in site.query("SELECT text FROM note"))


@on_engines
@pytest.mark.parametrize("age", [0, None], ids=["", "persistent"])
@pytest.mark.parametrize("how", ["autocommit", "begin", "session", "language"])
def test_one_call_that_leaves_something_costs_only_itself(
    site: Site, how: str, age: int | None
) -> None:
    site.settings["connections"] = {"CONN_MAX_AGE": age}
    make_notes(site)
    site.worker("--processes=1")
    (errors, found), (silent, others) = ask(
        site,
        PRELUDE + "def outcome(f):\n"
        f"  h = f.starmap([({how!r}, n) for n in range({NUMBERS})])\n"
        "  h.wait(60)\n"
        "  for e in h.errors(): print(e.errors[-1].traceback)\n"
        "  return [e.id.rpartition(':')[2] for e in h.errors()], list(h.values(skip_failed=True))\n"
        "tell(outcome(left_open), outcome(left_silently))",
    )
    assert errors == [str(LEAVES_AT)]
    assert silent == []
    clean = ["en-us", False]
    assert found == [clean] * (NUMBERS - 1)
    assert others == [clean if number != LEAVES_AT else [] for number in range(NUMBERS)]
    written = [str(number) for number in range(NUMBERS) if number != LEAVES_AT]
    assert notes(site) == sorted(written * 2)


@on_engines
@pytest.mark.parametrize("way", ["in-row", "in-merge"])
def test_a_merge_that_leaves_something_costs_only_itself(site: Site, way: str) -> None:
    make_notes(site)
    site.worker("--processes=1")
    number = 4 if way == "in-merge" else 150
    texts = ["a"] * number + ["leave"] + ["b"] * number + ["leave"] + ["c"] * number
    if way == "in-merge":  # each row has one value, and merge jobs have all of them
        texts = [text for one in texts for text in (one, "bad")]
    (merged,) = ask(
        site,
        PRELUDE + f"h = picked.map({texts!r}, reduce=gathered, on_error='skip')\n"
        "h.wait(60)\n"
        "tell(h.result.errors[-1].traceback if h.result.errors else h.result.return_value)",
    )
    seen = [text for text, *_ in merged if text != "leave"]
    assert seen == [text for text in texts if text in "abc"]
    assert {tuple(found) for _, *found in merged} == {("en-us", True)}
    assert [text for text in notes(site) if text != "leave"] == seen


def test_queries_of_earlier_tasks_are_forgotten(site: Site) -> None:
    site.settings["debug"] = True
    make_notes(site)
    site.worker("--processes=1")
    first = [site.enqueue("jobs.left.no_queries_before", number) for number in range(3)]
    assert [site.wait_for(one).returned for one in first] == [0, 0, 0]
    assert ask(
        site,
        PRELUDE + "h = no_queries_before.map(range(50))\nh.wait(60)\ntell(sum(h.values()))",
    ) == [0]
    assert set(site.states()) == {State.SUCCESSFUL}
