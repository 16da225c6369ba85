import pytest
from django.tasks import TaskResultStatus

from mainspring.core.jobs import STATUS, Job, Outcome, State, Worker


@pytest.mark.parametrize(
    ("state", "status", "is_final"),
    [
        (State.SCHEDULED, TaskResultStatus.READY, False),
        (State.READY, TaskResultStatus.READY, False),
        (State.RUNNING, TaskResultStatus.RUNNING, False),
        (State.SUCCESSFUL, TaskResultStatus.SUCCESSFUL, True),
        (State.FAILED, TaskResultStatus.FAILED, True),
        (State.CANCELLED, TaskResultStatus.FAILED, True),
    ],
)
def test_states_show_as_djangos_four(state, status, is_final):
    assert state.status is status
    assert STATUS[state] is status
    assert state.is_final == is_final


def test_all_states_are_covered():
    assert len(STATUS) == len(State)


def test_an_outcome_has_columns_of_a_job():
    assert set(Outcome._fields) <= set(Job._fields)


def test_the_claims_of_two_workers_never_meet():
    one, other = Worker("one", 5), Worker("other", 6)
    assert one.first_claim < one.last_claim < other.first_claim
    assert Worker("last", 2**31 - 1).last_claim < 2**63
