"""Notes: the metadata of one call while it runs, and how far it is."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

from mainspring.core import codec

_PROGRESS: Final = "_progress"
SCHEDULE: Final = "_schedule"
"""The key under which a call that a schedule has enqueued has that schedule and the tick."""
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Progress(NamedTuple):
    """How far a call is."""

    done: float
    total: float | None = None
    """None where the task does not know."""
    message: str = ""

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1; None where the total is not known."""
        return None if not self.total else min(max(self.done / self.total, 0.0), 1.0)


def metadata_in(stored: bytes | None) -> dict[str, Any]:
    """Return what the caller and the task have noted down, out of stored metadata."""
    return {key: value for key, value in _decoded(stored).items() if not key.startswith("_")}


def progress_in(stored: bytes | None) -> Progress | None:
    """Return the progress in stored metadata."""
    said = _decoded(stored).get(_PROGRESS)
    return None if said is None else Progress(*said)


def schedule_in(stored: bytes | None) -> dict[str, str] | None:
    """Return name and tick (ISO 8601) of the schedule that has enqueued a call; None for none."""
    return cast("dict[str, str] | None", _decoded(stored).get(SCHEDULE))


def encode_metadata(
    metadata: Mapping[str, Any], max_bytes: int, reserved: Mapping[str, Any] = _NOTHING
) -> bytes | None:
    """Return metadata, and what stands under ``reserved`` keys, as JSON; None where it is empty.

    Raises ``TypeError`` or ``ValueError`` where it is not JSON, and ``ValueError`` for a reserved
    key in ``metadata``.
    """
    for key in metadata:
        if str(key).startswith("_"):
            raise ValueError(f"The metadata key {key!r} is reserved, as it begins with '_'.")
    noted = {**metadata, **reserved}
    return codec.encode_value(noted, max_bytes, "The metadata") if noted else None


def _decoded(stored: bytes | None) -> dict[str, Any]:
    return {} if stored is None else cast("dict[str, Any]", codec.decode(stored))


class Notes:
    """What one attempt notes down."""

    __slots__ = ("_is_said", "_lock", "_max_bytes", "_reserved", "_save", "metadata", "saved")

    def __init__(
        self,
        stored: bytes | None,
        save: Callable[[bytes | None], None],
        max_bytes: int,
        lock: AbstractContextManager[Any],
    ) -> None:
        """``save`` writes the metadata, as JSON, to the store; one thread at a time."""
        self.saved = stored
        """What the store has."""
        self._lock = lock
        self._save = save
        self._max_bytes = max_bytes
        self._is_said = False
        self.metadata = metadata_in(stored)
        self._reserved = {k: v for k, v in _decoded(stored).items() if k not in self.metadata}

    def renew(self, lock: AbstractContextManager[Any]) -> None:
        """Replace the lock in a forked process, as another thread may have held it."""
        self._lock = lock

    def say(self, done: float, total: float | None, message: str) -> None:
        """Take note of how far the call is."""
        self._reserved[_PROGRESS] = [done, total, message]
        self._is_said = True

    def save(self) -> None:
        """Save the metadata if it has changed."""
        with self._lock:
            was_said, self._is_said = self._is_said, False
            try:
                encoded = encode_metadata(dict(self.metadata), self._max_bytes, self._reserved)
                if encoded != self.saved:
                    self._save(encoded)
                    self.saved = encoded
            except BaseException:
                self._is_said |= was_said
                raise

    def save_progress(self) -> None:
        """Save the metadata if :meth:`say` was called since it was last saved.

        Called beside the task, by another thread: what is no JSON just now waits for the next time.
        """
        if self._is_said:
            with suppress(TypeError, ValueError, RuntimeError):
                self.save()
