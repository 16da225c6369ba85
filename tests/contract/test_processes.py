"""Many processes on one store at once: each job claimed once, none lost, no lock error."""

from contextlib import ExitStack

from mainspring.core.jobs import State
from tests.contract.contender import Contender
from tests.contract.jobs import enqueued, ids
from tests.contract.stores import Store, with_processes

PRODUCERS, WORKERS, EACH = 5, 3, 120


@with_processes
def test_eight_processes_enqueue_and_claim_at_once(store: Store) -> None:
    backlog = ids(enqueued(store.storage, *range(600)))
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
    assert len(everything) == 600 + PRODUCERS * EACH
    assert sorted(job_id for taken, _ in answers for job_id in taken) == everything
    assert [lost for _, lost in answers] == [[]] * WORKERS
    results = store.storage.get_results(everything)
    assert len(results) == len(everything)
    assert {job.state for job in results} == {State.SUCCESSFUL}
    stats = store.storage.stats()
    assert (dict(stats.ready), stats.running, list(stats.workers)) == ({}, 0, [])
