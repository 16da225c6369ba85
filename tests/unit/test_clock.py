from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings
from django.utils import timezone as django_timezone
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core import clock
from mainspring.core.settings import setting

MOMENTS = st.integers(-(10**15), 2**53)


@given(MOMENTS)
def test_a_moment_comes_back_exactly(moment):
    value = clock.to_datetime(moment)
    assert value.tzinfo is UTC
    assert value == clock.EPOCH + timedelta(microseconds=moment)
    assert clock.to_moment(value) == moment


@given(st.integers(0, 4 * 10**15))
def test_a_moment_comes_back_exactly_without_time_zones(moment):
    # Also in the hour that comes twice when summer time ends.
    with override_settings(USE_TZ=False):
        value = clock.to_datetime(moment)
        assert value.tzinfo is None
        assert clock.to_moment(value) == moment


def test_the_hour_that_comes_twice_is_told_apart():
    first = clock.to_moment(datetime(2025, 10, 26, 0, 30, tzinfo=UTC))
    second = first + 3600 * clock.SECOND
    with override_settings(USE_TZ=False):
        assert clock.to_datetime(first) == clock.to_datetime(second).replace(fold=0)
        assert clock.to_moment(clock.to_datetime(second)) == second


def test_a_moment_is_naive_in_the_default_zone_whatever_zone_is_active():
    moment = clock.to_moment(datetime(2026, 7, 1, 10, tzinfo=UTC))
    with override_settings(USE_TZ=False), django_timezone.override("Asia/Tokyo"):
        assert clock.to_datetime(moment) == datetime(2026, 7, 1, 12)
        assert clock.to_moment(datetime(2026, 7, 1, 12)) == moment


@pytest.mark.parametrize("zone", [ZoneInfo("Asia/Tokyo"), timezone(timedelta(hours=9)), UTC])
def test_an_aware_datetime_of_any_zone_is_a_moment(zone):
    value = datetime(2026, 7, 1, 10, 0, 0, 5, tzinfo=zone)
    assert clock.EPOCH + clock.to_moment(value) * clock.MICROSECOND == value


def test_now_is_now():
    before = datetime.now(UTC)
    moment, value = clock.now(), clock.now_as_datetime()
    assert before <= clock.to_datetime(moment) <= value <= datetime.now(UTC)


def test_now_follows_use_tz():
    with override_settings(USE_TZ=False):
        assert clock.now_as_datetime().tzinfo is None
    assert clock.now_as_datetime().tzinfo is UTC


def test_what_is_missing_stays_missing():
    assert clock.to_optional_datetime(None) is None
    assert clock.to_optional_moment(None) is None
    assert clock.to_optional_moment(clock.to_optional_datetime(5)) == 5


@pytest.mark.parametrize(
    ("given", "expected"),
    [(1, 10**6), (0.25, 250_000), (timedelta(days=1), 86_400 * 10**6), (0, 0)],
)
def test_durations_in_microseconds(given, expected):
    assert clock.in_microseconds(given) == expected


def test_a_setting_follows_override_settings():
    assert setting("USE_TZ") is True
    with override_settings(USE_TZ=False):
        assert setting("USE_TZ") is False
        with override_settings(USE_TZ=True):
            assert setting("USE_TZ") is True
        assert setting("USE_TZ") is False
    assert setting("USE_TZ") is True


def test_an_unknown_setting_is_an_attribute_error():
    with pytest.raises(AttributeError, match="NO_SUCH_SETTING"):
        setting("NO_SUCH_SETTING")


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Pacific/Kiritimati", "UTC"])
@pytest.mark.parametrize("use_tz", [True, False])
def test_any_number_is_a_moment_that_every_zone_can_show(zone, use_tz):
    with override_settings(USE_TZ=use_tz, TIME_ZONE=zone):
        django_timezone.get_default_timezone.cache_clear()
        for moment in (-(2**63), clock.FIRST - 1, clock.FIRST, clock.LAST, clock.LAST + 1, 2**63):
            value = clock.to_datetime(moment)
            aware = value if use_tz else django_timezone.make_aware(value, ZoneInfo(zone))
            nearest = min(max(moment, clock.FIRST), clock.LAST)
            assert aware == clock.EPOCH + nearest * clock.MICROSECOND
            assert aware.astimezone(ZoneInfo("Pacific/Kiritimati"))
            assert aware.astimezone(ZoneInfo("Etc/GMT+12"))
    django_timezone.get_default_timezone.cache_clear()
