"""Bells: how who holds a queue wakes those that wait for work, one where one is enough."""

import mmap
import os
from typing import Final

PLACES: Final = 4096
"""How many processes can say that they wait."""


class Waiting:
    """Who waits for work: a byte for each process, which all that descend from one see."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, PLACES)

    def set(self, place: int, waits: bool) -> None:
        """Say whether the process of that place waits."""
        self._map[place] = waits

    def is_set(self, place: int) -> bool:
        """Whether it waits."""
        return bool(self._map[place])


class Bells:
    """The pipes of all processes that may wait; used under the lock of the store.

    Each that does not wait just now is rung: so it will look before it waits. Of those that do, one
    is rung, as the first to look usually takes all there is; where it has left something, the next.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._bells: list[tuple[int, int]] = []

    def add(self, place: int, descriptor: int) -> None:
        """Take up a process, by its place and the end of its pipe, and ring it once."""
        self._bells.append((place, descriptor))
        self._ring((place, descriptor))

    def ring(self) -> None:
        """Say that there may be work."""
        busy = [bell for bell in self._bells if not self._waiting.is_set(bell[0])]
        for bell in busy:
            self._ring(bell)
        if len(busy) < len(self._bells):
            self.ring_next()

    def ring_next(self) -> None:
        """Say so to one that waits and was not rung, if there is any."""
        for bell in self._bells:
            if self._waiting.is_set(bell[0]):
                self._waiting.set(bell[0], False)
                self._bells.remove(bell)
                self._bells.append(bell)  # the others come first the next time
                self._ring(bell)
                return

    def _ring(self, bell: tuple[int, int]) -> None:
        try:
            os.write(bell[1], b"\0")
        except BlockingIOError:  # it has been rung often enough
            pass
        except OSError:  # nobody is there any more
            os.close(bell[1])
            self._bells.remove(bell)
