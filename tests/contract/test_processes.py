"""Many processes on one store at once: each job claimed once, none lost, no lock error."""

from contextlib import ExitStack

from mainspring.core.jobs import State
from tests.contract.contender import Contender
from tests.contract.stores import Store, with_processes

PRODUCERS, WORKERS, EACH = 6, 2, 150


@with_processes
def test_eight_processes_enqueue_and_claim_at_once(store: Store) -> None:
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
        enqueued = [job_id for one in producers for job_id in one.answer()]
        for one in workers:
            one.tell("no more will come")
        answers = [one.answer() for one in workers]
    claimed = [job_id for taken, _ in answers for job_id in taken]
    assert len(enqueued) == PRODUCERS * EACH
    assert sorted(claimed) == sorted(enqueued)
    assert [lost for _, lost in answers] == [[]] * WORKERS
    results = store.storage.get_results(enqueued)
    assert len(results) == len(enqueued)
    assert {job.state for job in results} == {State.SUCCESSFUL}
    stats = store.storage.stats()
    assert (dict(stats.ready), stats.running, list(stats.workers)) == ({}, 0, [])


@with_processes
def test_eight_processes_claim_the_same_backlog(store: Store) -> None:
    from tests.contract.jobs import enqueued, ids

    backlog = ids(enqueued(store.storage, *range(800)))
    with ExitStack() as stack:
        workers = [Contender(store, "work", 5) for _ in range(8)]
        for one in workers:
            stack.enter_context(one)
        for one in workers:
            one.tell("go")
        for one in workers:
            one.tell("no more will come")
        answers = [one.answer() for one in workers]
    claimed = [job_id for taken, _ in answers for job_id in taken]
    assert sorted(claimed) == sorted(backlog)
    assert [lost for _, lost in answers] == [[]] * 8
    assert {job.state for job in store.storage.get_results(backlog)} == {State.SUCCESSFUL}
