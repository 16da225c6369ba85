import io
import logging
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils.log import RequireDebugFalse, RequireDebugTrue

from mainspring import signals
from mainspring.signals import (
    is_heard,
    is_received,
    task_enqueued,
    task_finished,
    task_started,
)

SIGNALS = [task_enqueued, task_started, task_finished]


@pytest.fixture
def quiet(monkeypatch):
    """Loggers named like Django's and their root, that pytest has no handler on."""
    root = logging.RootLogger(logging.WARNING)
    manager = logging.Manager(root)
    loggers = [manager.getLogger("django.tasks"), manager.getLogger("django"), root]
    root.manager = manager
    monkeypatch.setattr(signals, "_logger", loggers[0])
    return loggers


@contextmanager
def connected(signal, receiver, sender=None):
    signal.connect(receiver, sender=sender, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


@pytest.mark.parametrize("signal", SIGNALS)
def test_without_listeners_and_handlers_nobody_hears(quiet, signal):
    assert not is_heard(signal)


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_receiver_hears(quiet, signal):
    with connected(signal, lambda **_: None):
        assert is_heard(signal)
    with connected(signal, lambda **_: None, sender=object):
        assert is_heard(signal)
    assert not is_heard(signal)


@pytest.mark.parametrize("signal", SIGNALS)
def test_djangos_log_does_not_receive_what_others_do(quiet, signal):
    quiet[0].setLevel(logging.DEBUG)
    quiet[0].addHandler(logging.StreamHandler(io.StringIO()))
    assert is_heard(signal)
    assert not is_received(signal)
    with connected(signal, lambda **_: None):
        assert is_received(signal)


def test_without_djangos_own_receiver_only_others_hear(quiet):
    from django.tasks.signals import log_task_started

    quiet[0].setLevel(logging.DEBUG)
    quiet[0].addHandler(logging.StreamHandler(io.StringIO()))
    assert is_heard(task_started)
    task_started.disconnect(log_task_started)
    try:
        assert not is_heard(task_started)
        with connected(task_started, lambda **_: None):
            assert is_heard(task_started)
    finally:
        task_started.connect(log_task_started)
    assert is_heard(task_started)


def test_the_handler_of_last_resort_hears_failures(quiet, monkeypatch):
    quiet[0].setLevel(logging.DEBUG)
    assert is_heard(task_finished, failed=True)
    assert not is_heard(task_finished)
    monkeypatch.setattr(logging, "lastResort", None)
    assert not is_heard(task_finished, failed=True)


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR])
def test_a_handler_hears_from_its_level_up(quiet, where, level):
    quiet[0].setLevel(logging.DEBUG)
    quiet[where].addHandler(handler := logging.StreamHandler(io.StringIO()))
    handler.setLevel(level)
    assert is_heard(task_enqueued) == (level <= logging.DEBUG)
    assert is_heard(task_started) == (level <= logging.INFO)
    assert is_heard(task_finished) == (level <= logging.INFO)
    assert is_heard(task_finished, failed=True)


def test_the_loggers_level_counts(quiet):
    quiet[0].addHandler(logging.StreamHandler(io.StringIO()))
    quiet[0].setLevel(logging.INFO)
    assert not is_heard(task_enqueued)
    assert is_heard(task_started)
    quiet[0].setLevel(logging.CRITICAL)
    assert not is_heard(task_finished, failed=True)


def test_beside_a_handler_the_one_of_last_resort_is_silent(quiet):
    quiet[0].addHandler(handler := logging.StreamHandler(io.StringIO()))
    handler.setLevel(logging.CRITICAL)
    assert not is_heard(task_finished, failed=True)


def test_a_disabled_logger_and_disabled_logging_are_silent(quiet):
    quiet[0].addHandler(logging.StreamHandler(io.StringIO()))
    quiet[0].setLevel(logging.DEBUG)
    quiet[0].disabled = True
    assert not is_heard(task_started)
    quiet[0].disabled = False
    assert is_heard(task_started)
    quiet[0].manager.disable = logging.CRITICAL  # as logging.disable() does
    quiet[0].manager._clear_cache()
    assert not is_heard(task_started)


def test_what_does_not_propagate_is_not_heard_above(quiet):
    quiet[0].setLevel(logging.DEBUG)
    quiet[1].addHandler(logging.StreamHandler(io.StringIO()))
    assert is_heard(task_started)
    quiet[0].propagate = False
    assert not is_heard(task_started)


def test_djangos_console_is_heard_with_debug_only(quiet):
    quiet[0].setLevel(logging.DEBUG)
    quiet[1].addHandler(handler := logging.StreamHandler(io.StringIO()))
    handler.addFilter(RequireDebugTrue())
    with override_settings(DEBUG=False):
        assert not is_heard(task_started)
    with override_settings(DEBUG=True):
        assert is_heard(task_started)
    assert settings.DEBUG is False
    handler.filters[:] = [RequireDebugFalse()]
    assert is_heard(task_started)
    handler.filters[:] = [lambda record: False]  # as good as heard: it may count records
    assert is_heard(task_started)


def test_these_are_djangos_signals():
    from django.tasks import signals as djangos

    assert signals.task_enqueued is djangos.task_enqueued
    assert signals.task_started is djangos.task_started
    assert signals.task_finished is djangos.task_finished
