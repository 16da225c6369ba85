import pickle
import string
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from django.test import override_settings
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainspring.core import zones
from mainspring.core.clock import SECOND
from mainspring.core.crons import Cron, Every, every_of

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
YEAR = 2026
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca")


def moment(text):
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def shown(at, zone):
    return datetime.fromtimestamp(at // SECOND, ZoneInfo(zone)).isoformat()


def ticks(timing, after, number):
    found = []
    for _ in range(number):
        after = timing.next_after(after)
        found.append(after)
    return found


def between(timing, after, end):
    found = []
    while (after := timing.next_after(after)) < end:
        found.append(after)
    return found


# Expressions


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "it must have five fields (minute, hour, day of the month, month, day of the week)"),
        ("* * * *", "or six with seconds first"),
        ("* * * * * * *", "it must have five fields"),
        ("60 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 32 * *", "bad day-of-month"),
        ("* * 0 * *", "bad day-of-month"),
        ("* * * 13 *", "bad month"),
        ("* * * * 8", "bad day-of-week"),
        ("61 * * * * *", "bad second"),
        ("*/0 * * * *", "bad minute"),
        ("5-1 * * * *", "bad minute"),
        ("x * * * *", "bad minute"),
        ("* * * * FUN", "bad day-of-week"),
        ("@reboot", "the nicknames are @yearly, @annually, @monthly"),
        ("@every 5m", "the nicknames are"),
        ("0 0 31 2 *", "it can never fire: no such month has that day"),
        ("0 0 30 2 *", "it can never fire: no such month has that day"),
        ("0 0 31 2,4,6,9,11 *", "it can never fire: no such month has that day"),
        ("0 0 */20 * 1L", "it can never fire"),
        ("0 0 29 2 MON#1", None),
        ("0 0 31 2 MON", None),
    ],
)
def test_what_is_no_expression_is_refused(expression, said):
    if said is None:  # on Mondays, too
        assert Cron(expression).next_after(0) is not None
        return
    with pytest.raises(ValueError, match="is not a cron expression") as caught:
        Cron(expression)
    assert str(caught.value).startswith(f"expression={expression!r}")
    assert said in str(caught.value)


@pytest.mark.parametrize("expression", [5, None, timedelta(seconds=5), b"* * * * *"])
def test_an_expression_is_a_text(expression):
    with pytest.raises(TypeError, match=r"expression must be a text .* use every\(\)"):
        Cron(expression)


@given(st.text(string.digits + "*/-,#LW@ \nMONJANé", max_size=20))
@settings(max_examples=300, deadline=None)
@example("L/2 * * * *")
@example("* * L/2 * MON#1,5L")
@example("* * LW,L * *")
@example("MON#1 * * * *")
def test_any_text_is_an_expression_or_refused(text):
    start = moment("2026-01-01T00:00Z")
    try:
        found, said = Cron(text).next_after(start), "expression="
    except ValueError as error:
        found, said = start + 1, str(error)
    assert found > start
    assert "expression=" in said


@pytest.mark.parametrize(
    ("nickname", "expression"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        ("@HOURLY", "0 * * * *"),
        ("  0  3 * *\tmon ", "0 3 * * 1"),
        ("0 3 * jan-mar sun", "0 3 * 1-3 0"),
        ("0 3 * * Fri-Sun", "0 3 * * 5,6,0"),
        ("0 3 * * 7", "0 3 * * 0"),
        ("5/15 * * * *", "5,20,35,50 * * * *"),
        ("0-10/5,30 3 * * *", "0,5,10,30 3 * * *"),
        ("0 5 3 * * *", "5 3 * * *"),
    ],
)
def test_ways_to_say_the_same(nickname, expression):
    start = moment("2026-01-31T12:00Z")
    assert ticks(Cron(nickname), start, 20) == ticks(Cron(expression), start, 20)


def days(expression):
    found = ticks(Cron(f"0 0 {expression}", "UTC"), moment("2026-05-01T00:00Z") - 1, 6)
    return [shown(at, "UTC")[5:10] for at in found]


def test_day_of_the_month_or_of_the_week_as_in_vixie_cron():
    assert days("13 * FRI") == ["05-01", "05-08", "05-13", "05-15", "05-22", "05-29"]
    assert days("*/2 * FRI") == ["05-01", "05-15", "05-29", "06-05", "06-19", "07-03"]
    assert days("13 * *") == ["05-13", "06-13", "07-13", "08-13", "09-13", "10-13"]
    assert days("L * *") == ["05-31", "06-30", "07-31", "08-31", "09-30", "10-31"]
    assert days("* * MON#1") == ["05-04", "06-01", "07-06", "08-03", "09-07", "10-05"]
    assert days("* * 5L") == ["05-29", "06-26", "07-31", "08-28", "09-25", "10-30"]


def test_seconds_come_first():
    found = ticks(Cron("*/20 30 12 * * *", "UTC"), moment("2026-05-01T00:00Z"), 4)
    assert [shown(at, "UTC")[8:19] for at in found] == [
        "01T12:30:00",
        "01T12:30:20",
        "01T12:30:40",
        "02T12:30:00",
    ]


def test_the_next_tick_is_strictly_after_to_the_microsecond():
    cron, noon = Cron("0 12 * * *", "UTC"), moment("2026-05-01T12:00Z")
    assert cron.next_after(noon - 1) == noon
    assert cron.next_after(noon) == noon + 24 * HOUR
    assert cron.next_after(noon + 1) == noon + 24 * HOUR
    assert cron.next_after(-1) == 12 * HOUR
    assert cron.next_after(-500 * 24 * HOUR) == -499 * 24 * HOUR - 12 * HOUR


def test_far_away_there_is_no_next_tick():
    assert Cron("0 0 * 2 MON#5", "UTC").next_after(0) == moment("1988-02-29T00:00Z")
    assert Cron("@yearly").next_after(moment("9990-01-01T00:00Z")) is None
    assert Cron("* * * * *").next_after(10**18) is None


# Zones


def test_the_zone_is_read_late():
    cron = Cron("0 3 * * *")
    assert cron.zone == "Europe/Berlin"
    before = cron.fingerprint
    assert cron.next_after(0) == 2 * HOUR
    with override_settings(TIME_ZONE="Asia/Tokyo"):
        assert cron.zone == "Asia/Tokyo"
        assert cron.next_after(0) == 18 * HOUR
        assert cron.fingerprint != before
    assert Cron("0 3 * * *", "Europe/Berlin").fingerprint == before


class Unnamed(tzinfo):
    pass


class Pytz(tzinfo):
    zone = "Asia/Tokyo"


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (ZoneInfo("Asia/Tokyo"), "Asia/Tokyo"),
        (UTC, "UTC"),
        ("UTC", "UTC"),
        (timezone(timedelta(hours=5, minutes=30)), "UTC+05:30"),
        (timezone(-timedelta(hours=3), "BRT"), "UTC-03:00"),
        ("UTC-03:00", "UTC-03:00"),
        (Pytz(), "Asia/Tokyo"),
    ],
)
def test_zones(zone, name):
    cron = Cron("0 12 * * *", zone)
    assert cron.zone == cron.timezone == name
    assert pickle.loads(pickle.dumps(cron)) == cron
    assert {cron: 1}[Cron("0 12 * * *", name)]
    if isinstance(zone, timezone | ZoneInfo):
        assert datetime.fromtimestamp(cron.next_after(0) / 1e6, zone).hour == 12


@pytest.mark.parametrize(
    ("zone", "kind"),
    [
        ("Europe/Berln", ValueError),
        ("Europe", ValueError),
        ("", ValueError),
        ("/etc/passwd", ValueError),
        ("../UTC", ValueError),
        ("UTC+25:00", ValueError),
        ("\0", ValueError),
        (timezone(timedelta(seconds=30)), ValueError),
        (Unnamed(), TypeError),
        (5, TypeError),
        (timedelta(hours=1), TypeError),
    ],
)
def test_wrong_zones_are_refused(zone, kind):
    with pytest.raises(kind, match="timezone"):
        Cron("0 12 * * *", zone)


# A year of ticks, against an oracle


def any_day(day):
    return True


def sunday(day):
    return day.isoweekday() == 7


ALL_HOURS, ALL_MINUTES = range(24), range(60)

# Expressions, the minutes, hours and days that they mean, and whether they go by the time that
# passes.
MEANINGS = [
    ("30 2 * * *", {30}, {2}, any_day, False),
    ("0 2,3 * * *", {0}, {2, 3}, any_day, False),
    ("15 1-3 * * *", {15}, {1, 2, 3}, any_day, False),
    ("*/20 2 * * *", {0, 20, 40}, {2}, any_day, False),
    ("* 1,2 * * *", ALL_MINUTES, {1, 2}, any_day, False),
    ("0 0 * * *", {0}, {0}, any_day, False),
    ("45 1 * * SUN", {45}, {1}, sunday, False),
    ("30 1 13 * MON", {30}, {1}, lambda day: day.day == 13 or day.isoweekday() == 1, False),
    ("0 3 29 3 *", {0}, {3}, lambda day: (day.day, day.month) == (29, 3), False),
    ("* * * * *", ALL_MINUTES, ALL_HOURS, any_day, True),
    ("*/5 * * * *", range(0, 60, 5), ALL_HOURS, any_day, True),
    ("45 * * * *", {45}, ALL_HOURS, any_day, True),
    ("0 */2 * * *", {0}, range(0, 24, 2), any_day, True),
    ("10 * * 10-11 SUN", {10}, ALL_HOURS, lambda day: sunday(day) and day.month in (10, 11), True),
]


@lru_cache
def moments_by_wall(zone):
    """By each minute that a wall clock shows in the year, the moments at which it does, in minutes.

    Both are minutes since 1970, on the wall clock and in UTC.
    """
    found, tz = {}, ZoneInfo(zone)
    start = int(datetime(YEAR - 1, 12, 30, tzinfo=UTC).timestamp()) // 60
    for quarter in range(start, start + 369 * 24 * 60, 15):  # in which no clock is changed
        offset = datetime.fromtimestamp(quarter * 60, tz).utcoffset() // timedelta(minutes=1)
        for minute in range(quarter, quarter + 15):
            found.setdefault(minute + offset, []).append(minute)
    return found


def oracle(zone, minutes, hours, is_day, by_elapsed):
    moments, found = moments_by_wall(zone), set()
    first = datetime(YEAR, 1, 1, tzinfo=UTC)  # for the wall clock's minutes since 1970
    for day in (first + timedelta(days=n) for n in range(365)):
        if not is_day(day):
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                wall = int(day.timestamp()) // 60 + hour * 60 + minute
                if by_elapsed:
                    found.update(moments.get(wall, ()))
                    continue
                while wall not in moments:  # it is skipped
                    wall += 1
                found.add(moments[wall][0])
    return [at * MINUTE for at in sorted(found)]


def windows(zone, expected):
    """The whole year; of many ticks, days around each change of the clock, and the year's ends."""
    if len(expected) < 20_000:
        return [(expected[0], expected[-1])]
    changes = [int(change.timestamp()) * SECOND for change in changes_of(zone)]
    day = 24 * HOUR
    return [
        (expected[0], expected[0] + day),
        *((change - 2 * day, change + 2 * day) for change in changes),
        (expected[-1] - day, expected[-1]),
    ]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("meaning", MEANINGS, ids=lambda meaning: meaning[0])
def test_a_year_over_every_change_of_the_clocks(zone, meaning):
    expression, *means = meaning
    expected = oracle(zone, *means)
    for first, last in windows(zone, expected):
        found = between(Cron(expression, zone), first - 1, last + 1)
        assert found == [at for at in expected if first <= at <= last]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("block", [30 * MINUTE, HOUR, 7 * HOUR])
def test_spans_may_be_looked_up_in_any_pieces(zone, block, monkeypatch):
    monkeypatch.setattr(zones, "_BLOCK", block)
    zones._spans_of_block.cache_clear()
    for expression, *means in MEANINGS[:5] + MEANINGS[-3:-1]:
        expected = oracle(zone, *means)
        for change in changes_of(zone):
            start = int(change.timestamp()) * SECOND - 30 * HOUR
            found = between(Cron(expression, zone), start - 1, start + 60 * HOUR)
            assert found == [at for at in expected if start <= at < start + 60 * HOUR]
    monkeypatch.undo()
    zones._spans_of_block.cache_clear()


@lru_cache
def changes_of(zone):
    tz, day = ZoneInfo(zone), datetime(YEAR, 1, 1, tzinfo=UTC)
    hours = [day + timedelta(minutes=30 * n) for n in range(365 * 48)]
    offsets = [at.astimezone(tz).utcoffset() for at in hours]
    return [hours[n + 1] for n, (a, b) in enumerate(pairwise(offsets)) if a != b]


def test_all_zones_change_their_clocks():
    assert [len(changes_of(zone)) for zone in ZONES] == [2, 2, 2, 2]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("expression", "seconds", "minutes", "hours"),
    [
        ("*/20 30 * * * *", {0, 20, 40}, {30}, None),
        ("*/20 30 1-3 * * *", {0, 20, 40}, {30}, {1, 2, 3}),
        ("59 59 1,2 * * *", {59}, {59}, {1, 2}),
    ],
)
def test_seconds_over_every_change_of_the_clocks(zone, expression, seconds, minutes, hours):
    tz = ZoneInfo(zone)
    for change in changes_of(zone):
        start = int(change.timestamp()) - 4 * 3600
        expected, seen, last_wall = [], set(), None
        for at in range(start, start + 8 * 3600):
            wall = datetime.fromtimestamp(at, tz).replace(tzinfo=None, fold=0)
            new = [wall] if wall not in seen else []
            if last_wall is not None and wall - last_wall > timedelta(seconds=1):
                skipped = (wall - last_wall) // timedelta(seconds=1)
                new = [last_wall + timedelta(seconds=n) for n in range(1, skipped + 1)]
            seen.add(wall)
            last_wall = wall
            matching = [wall] if hours is None else new
            if any(
                w.second in seconds and w.minute in minutes and (hours is None or w.hour in hours)
                for w in matching
            ):
                expected.append(at * SECOND)
        found = between(Cron(expression, zone), start * SECOND - 1, (start + 8 * 3600) * SECOND)
        assert found == expected


def test_a_midnight_that_is_skipped_and_a_day_that_is():
    cairo = ticks(Cron("0 0 * * *", "Africa/Cairo"), moment("2026-04-22T23:00Z"), 3)
    assert [shown(at, "Africa/Cairo") for at in cairo] == [
        "2026-04-24T01:00:00+03:00",
        "2026-04-25T00:00:00+03:00",
        "2026-04-26T00:00:00+03:00",
    ]
    apia = ticks(Cron("0 12 * * *", "Pacific/Apia"), moment("2011-12-29T23:00Z"), 4)
    assert [shown(at, "Pacific/Apia")[:16] for at in apia] == [
        "2011-12-31T00:00",  # for the whole day that was skipped
        "2011-12-31T12:00",
        "2012-01-01T12:00",
        "2012-01-02T12:00",
    ]


# The parsing library's own next


def part(least, most):
    number = st.integers(least, most)
    span = st.tuples(number, number).map(sorted).map("{0[0]}-{0[1]}".format)
    step = st.tuples(span, st.integers(1, 20)).map("{0[0]}/{0[1]}".format)
    return st.lists(st.one_of(number.map(str), span, step), min_size=1, max_size=3).map(",".join)


def field(least, most):
    return st.one_of(st.just("*"), st.integers(1, 20).map("*/{}".format), part(least, most))


DATES = (field(1, 28), field(1, 12), field(0, 7))
EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), *DATES).map(" ".join)
WITH_SECONDS = st.tuples(field(0, 59), EXPRESSIONS).map(" ".join)
STARTS = st.integers(moment("2000-01-01T00:00Z") // SECOND, moment("2040-01-01T00:00Z") // SECOND)


@given(st.one_of(EXPRESSIONS, WITH_SECONDS), STARTS)
@settings(max_examples=150, deadline=None)
def test_without_changes_of_the_clock_it_is_what_the_library_says(expression, start):
    library = CronSim(expression, datetime.fromtimestamp(start, UTC))
    expected = [int(next(library).timestamp()) * SECOND for _ in range(10)]
    assert ticks(Cron(expression, "UTC"), start * SECOND, 10) == expected


@given(
    st.one_of(
        st.tuples(part(0, 59), part(0, 23), *DATES),  # of the wall clock
        st.tuples(field(0, 59), st.just("*"), *DATES),  # of the time that passes
    ).map(" ".join),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Africa/Casablanca", "Asia/Tokyo"]),
    st.dates(date(2019, 1, 1), date(2030, 1, 1)),
)
@settings(max_examples=150, deadline=None)
@example("30 2 * * *", "Europe/Berlin", date(2026, 3, 29))
@example("30 2 * * *", "Europe/Berlin", date(2026, 10, 25))
@example("10,20 1-2 * * *", "America/New_York", date(2026, 3, 8))
@example("*/7 * * * *", "Africa/Casablanca", date(2026, 2, 15))
def test_over_changes_of_the_clock_it_is_what_the_library_says(expression, zone, day):
    start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    library = CronSim(expression, start)
    # It says twice what it has moved to the end of a gap.
    expected = dict.fromkeys(int(next(library).timestamp()) * SECOND for _ in range(30))
    found = ticks(Cron(expression, zone), int(start.timestamp()) * SECOND, len(expected))
    assert found == list(expected)


@given(EXPRESSIONS, st.sampled_from(ZONES), STARTS, st.integers(0, 10**6 - 1))
@settings(max_examples=100, deadline=None)
def test_the_next_tick_does_not_depend_on_where_one_looks_from(expression, zone, start, rest):
    cron, start = Cron(expression, zone), start * SECOND + rest
    first, second = ticks(cron, start, 2)
    assert start < first < second
    assert cron.next_after(first - 1) == first
    for middle in (first, (first + second) // 2, second - 1):
        assert cron.next_after(middle) == second


# Intervals


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (1, "every second"),
        (30, "every 30 seconds"),
        (1.5, "every 1.5 seconds"),
        (60, "every minute"),
        (5400, "every 90 minutes"),
        (timedelta(hours=1), "every hour"),
        (timedelta(days=7), "every 7 days"),
    ],
)
def test_intervals_tick_at_their_multiples(interval, said):
    every = every_of(interval)
    assert every.describe() == said
    assert every.zone == ""
    length = every.interval
    assert ticks(every, 10 * length, 3) == [11 * length, 12 * length, 13 * length]
    assert every.next_after(10 * length - 1) == 10 * length
    assert every.next_after(-1) == 0
    assert Every(length, anchor=5).next_after(10 * length) == 10 * length + 5
    assert pickle.loads(pickle.dumps(every)) == every


@pytest.mark.parametrize(
    ("interval", "kind"),
    [
        (0, ValueError),
        (0.5, ValueError),
        (-1, ValueError),
        (timedelta(days=5000), ValueError),
        (float("inf"), ValueError),
        (float("nan"), ValueError),
        ("5", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_wrong_intervals_are_refused(interval, kind):
    with pytest.raises(kind, match=r"An interval must be"):
        every_of(interval)


def test_whole_microseconds():
    with pytest.raises(TypeError, match="interval must be whole microseconds"):
        Every(1.5)


def test_fingerprints_change_with_the_times():
    timings = [
        Cron("0 3 * * *", "UTC"),
        Cron("0 3 * * *", "Europe/Berlin"),
        Cron("0 4 * * *", "UTC"),
        Every(60 * SECOND),
        Every(61 * SECOND),
        Every(60 * SECOND, 1),
    ]
    assert len({timing.fingerprint for timing in timings}) == len(timings)
    assert Cron("0 3 * * MON").fingerprint == Cron(" 0 3 * *  mon").fingerprint
    assert Cron("0 3 * * *").describe() == "0 3 * * *"
