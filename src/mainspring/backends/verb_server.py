"""VerbServer: the process that holds the queue of a MemoryBackend with processes.

It does the storage verbs that others ask it for, see remote_storage.py, and nothing else: who holds
up Python's lock in a process of theirs holds up nobody else.
"""

import gc
import os
import pickle
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from mainspring.backends.bells import Bells, Waiting
from mainspring.backends.channel import Channel, apart
from mainspring.backends.memory import MemoryStorage
from mainspring.backends.remote_storage import BELL, HAIL

_WITH_JOBS: Final = frozenset({"claim", "read_rows", "get_results"})
_LOOK: Final = 1.0  # seconds until it looks whether it is still of use


class VerbServer:
    """One thread for those who come, and one for each channel."""

    def __init__(self, storage: MemoryStorage, control: socket.socket, waiting: Waiting) -> None:
        """``control`` is one end of what everybody sends their channels to."""
        storage.bells = Bells(waiting)
        self._storage = storage
        self._control = control

    def run(self, parent: int) -> None:
        """Serve until the process ``parent`` has ended, or closes what leads here."""
        gc.freeze()  # what the parent has made is no garbage of ours, and is not to be looked at
        self._control.settimeout(_LOOK)
        while os.getppid() == parent:
            with suppress(TimeoutError):
                hail, descriptors, *_ = socket.recv_fds(self._control, HAIL.size, 1)
                if not hail:
                    return
                for descriptor in descriptors:
                    kind, place = HAIL.unpack(hail)
                    self._take(kind, place, descriptor)

    def _take(self, what: bytes, place: int, descriptor: int) -> None:
        if what == BELL:
            self._storage.add_bell(place, descriptor)
        else:
            channel = Channel(socket.socket(fileno=descriptor))
            threading.Thread(target=self._serve, args=(channel,), daemon=True).start()

    def _serve(self, channel: Channel) -> None:
        try:
            with suppress(OSError):  # the other end is closed
                while True:
                    channel.send(self._answer(*channel.receive()))
        finally:
            channel.close()

    def _answer(self, verb: str, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[bool, Any]:
        try:
            answer = getattr(self._storage, verb)(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 # is raised where it was asked for
            return False, _picklable(error)
        if verb == "settle_and_claim":
            lost, jobs = answer
            return True, (lost, apart(jobs))
        return True, apart(answer) if verb in _WITH_JOBS else answer


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 # our own
    except Exception:  # noqa: BLE001 # whatever it raises
        return RuntimeError(repr(error))
    return error
