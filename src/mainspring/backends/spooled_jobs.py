"""SpooledJobs: more new jobs than memory is to hold, in a temporary file until they are stored."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from tempfile import TemporaryFile
from typing import Any, Final, overload
from weakref import finalize

import msgspec

from mainspring.core.jobs import Job

BATCH: Final = 1000
"""How many jobs are read, and stored, together."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Job]).decode


class SpooledJobs(Sequence[Job]):
    """New jobs, in the order in which they were made; a batch at a time is in memory."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        """Write ``jobs`` down; what making them raises is raised."""
        self._file = TemporaryFile(prefix="mainspring-")  # noqa: SIM115 # as long as this is held
        finalize(self, self._file.close)
        self._ends = [0]
        self._number = 0
        self._read: tuple[int, list[Job]] = (-1, [])
        while batch := list(islice(jobs, BATCH)):
            self._ends.append(self._ends[-1] + self._file.write(_encode(batch)))
            self._number += len(batch)
        self._file.flush()

    def batches(self) -> Iterator[list[Job]]:
        """Return all jobs, a batch at a time."""
        return map(self._batch, range(len(self._ends) - 1))

    def _batch(self, number: int) -> list[Job]:
        start, end = self._ends[number : number + 2]
        return _decode(os.pread(self._file.fileno(), end - start, start))

    def __len__(self) -> int:
        return self._number

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self._number))]
        number, offset = divmod(range(self._number)[index], BATCH)
        known, batch = self._read
        if known != number:
            batch = self._batch(number)
            self._read = number, batch
        return batch[offset]
