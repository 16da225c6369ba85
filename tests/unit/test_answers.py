"""Answers of the database that hold until somebody has written to it."""

import pytest

from mainspring.backends.database.answers import Answer


def test_it_is_asked_again_where_the_mark_has_moved() -> None:
    answers = iter(range(10))
    answer = Answer[int]()
    ask = answers.__next__
    assert [answer.get(mark, ask) for mark in (1, 1, 2, 2, 1)] == [0, 0, 1, 1, 2]


def test_without_a_mark_it_is_always_asked() -> None:
    answer = Answer[int]()
    assert [answer.get(None, iter((number,)).__next__) for number in range(3)] == [0, 1, 2]


def test_a_question_that_raises_is_asked_again() -> None:
    answer = Answer[int]()
    assert answer.get(1, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        answer.get(2, lambda: 1 // 0)
    assert answer.get(2, lambda: 8) == 8
