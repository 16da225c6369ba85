"""Many processes on one store at once: each job claimed once, none lost, no lock error."""

import random
from contextlib import ExitStack

from mainspring.core.jobs import State
from tests.contract.contender import Contender
from tests.contract.jobs import enqueued, ids
from tests.contract.stores import Store, with_processes

PRODUCERS, WORKERS, EACH = 5, 3, 60


@with_processes
def test_eight_processes_enqueue_and_claim_at_once(store: Store) -> None:
    backlog = ids(enqueued(store.storage, *range(300)))
    with ExitStack() as stack:
        contenders = [
            *(Contender(store, "produce", EACH) for _ in range(PRODUCERS)),
            *(Contender(store, "work", 7) for _ in range(WORKERS)),
        ]
        for one in contenders:
            stack.enter_context(one)
        producers, workers = contenders[:PRODUCERS], contenders[PRODUCERS:]
        for one in contenders:
            one.tell("go")
        produced = [job_id for one in producers for job_id in one.answer()]
        for one in workers:
            one.tell_no_more()
        answers = [one.answer() for one in workers]
    everything = sorted(backlog + produced)
    assert len(everything) == 300 + PRODUCERS * EACH
    assert sorted(job_id for taken, _ in answers for job_id in taken) == everything
    assert [lost for _, lost in answers] == [[]] * WORKERS
    results = store.storage.get_results(everything)
    assert len(results) == len(everything)
    assert {job.state for job in results} == {State.SUCCESSFUL}
    stats = store.storage.stats()
    assert (dict(stats.ready), stats.running, list(stats.workers)) == ({}, 0, [])


@with_processes
def test_jobs_are_cancelled_while_others_claim_and_settle_them(store: Store) -> None:
    """Whoever is told that it was cancelled can rely on it, and nobody meets an error."""
    jobs = ids(enqueued(store.storage, *range(400)))
    random.Random(4).shuffle(jobs)
    with ExitStack() as stack:
        workers = [stack.enter_context(Contender(store, "work", 5)) for _ in range(2)]
        for one in workers:
            one.tell("go")
        cancelled = [job_id for one in jobs for job_id in store.storage.cancel([one])]
        for one in workers:
            one.tell_no_more()
        answers = [one.answer() for one in workers]
    results = {job.id: job for job in store.storage.get_results(jobs)}
    assert len(cancelled) + sum(len(taken) - len(lost) for taken, lost in answers) == len(jobs)
    assert {job.id for job in results.values() if job.state == State.CANCELLED} == set(cancelled)
    assert {job.state for job in results.values()} <= {State.CANCELLED, State.SUCCESSFUL}
    assert {job.claim for job in results.values()} == {None}


@with_processes
def test_connections_do_not_cross_a_fork(store: Store) -> None:
    with Contender(store, "fork") as process:
        process.tell("go")
        answer = process.answer()
    assert answer.pop("journal", "ok") == "ok"
    assert answer == {"child": 0, "parent": [1, 1, True]}
