"""A worker that runs rows of maps in the thread of the test, one claim after the other."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from mainspring.core import clock, codec, outcomes
from mainspring.core.chunks import items_in, returned_by, spec_of
from mainspring.core.dividing import Piece, divide
from mainspring.core.failures import outcome_of_failure
from mainspring.core.jobs import Job, Outcome
from mainspring.core.policy import policy_of
from mainspring.core.registry import resolve
from mainspring.runtime.identity import new_worker
from mainspring.runtime.merges import merge_rows
from tests.contract.jobs import ALL
from tests.contract.stores import Store


class Hands:
    """Runs sync tasks of no context, and what else a map comes to."""

    def __init__(self, store: Store) -> None:
        self.backend = store.backend
        self.storage = store.storage
        self.worker = new_worker()
        self.storage.heartbeat(self.worker, clock.now())

    def claim(self, limit: int = 1000) -> list[Job]:
        """Claim rows."""
        return sorted(self.storage.claim(self.worker, ALL, limit))

    def run_all(self) -> None:
        """Run what there is, and what comes of it."""
        while jobs := self.claim():
            for job in jobs:
                self.run(job)

    def run(self, job: Job) -> None:
        """Run one job that was claimed, and go on with its map if that was the last one."""
        spec = spec_of(job.options)
        call = resolve(job.task_path).call
        if spec is None:
            self._settle(job, partial(call, *codec.decode_call(job.arguments)[0]))
        elif spec.is_merge:
            ids = codec.decode_call(job.arguments)[0]
            self._settle(job, partial(merge_rows, self.storage.get_results, call, *ids))
        elif spec.kind == "calls":
            self._settle(job, partial(call, *codec.decode_call(job.arguments)[0]))
        else:
            self._run_row(job, call, spec.kind == "lists")
        if spec is not None:
            self.storage.finish_map(spec.map_id, clock.now())

    def _settle(self, job: Job, call: Callable[[], Any]) -> None:
        outcome = self._succeeded(job, None)
        try:
            outcome = self._succeeded(job, codec.encode_value(call(), 10**6))
        except Exception as error:
            outcome = self._failed(error, job)
        assert self.storage.settle(self.worker, [outcome]) == []

    def _run_row(self, job: Job, call: Callable[..., Any], is_lists: bool) -> None:
        items, pieces, run = items_in(job.arguments), list[Piece](), list[Any]()

        def end_run(offset: int) -> None:
            if run:
                returned = self._returned(job, list(run))
                settle = partial(self._succeeded, returned=returned)
                pieces.append(Piece(offset - len(run), len(run), settle))
                run.clear()

        for offset, item in enumerate(items):
            try:
                run.append(call(*item) if is_lists else call(item))
            except Exception as error:
                end_run(offset)
                pieces.append(Piece(offset, 1, partial(self._failed, error)))
        end_run(len(items))
        assert self.storage.divide(self.worker, job, divide(job, items, pieces))

    def _returned(self, job: Job, values: list[Any]) -> bytes | None:
        spec = spec_of(job.options)
        assert spec is not None
        encoded = None if set(values) == {None} else codec.encode(values)
        if spec.merge is None:
            return encoded
        return returned_by(spec, encoded, codec.encode(reduce(resolve(spec.merge).call, values)))

    def _succeeded(self, job: Job, returned: bytes | None) -> Outcome:
        now = clock.now()
        return outcomes.succeeded(job, self.worker.id, now, now, returned)

    def _failed(self, error: BaseException, job: Job) -> Outcome:
        now = clock.now()
        policy = policy_of(self.backend.config.options.policy, job.task_path, job.options)
        return outcome_of_failure(job, policy, self.worker.id, now, now, error)
