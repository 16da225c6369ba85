"""A channel: messages between two processes, with as few copies and calls of the system as can be.

A call of the system gives up Python's lock, and a thread may wait 5 ms until it has that again.
"""

import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final

from mainspring.core.jobs import Job, Outcome

_NUMBER: Final = struct.Struct("<Q")
_PROTOCOL: Final = 5
_SMALL: Final = 1 << 14  # bytes: what most messages are shorter than
_LARGE: Final = 1 << 13  # bytes that are worth a call of their own
_BUFFER: Final = 1 << 22  # bytes that may be on their way, as far as the system allows
_MOST_PARTS: Final = 500  # that the system is given at once; it takes 1024


class Channel:
    """One end of it; one thread at a time. What comes is trusted: only our own processes send."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._received = b""  # and not taken
        end.setblocking(True)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)

    def send(self, message: Any) -> None:
        """Send what can be pickled. Raises ``OSError`` where nobody is at the other end."""
        buffers: list[pickle.PickleBuffer] = []
        body = pickle.dumps(message, _PROTOCOL, buffer_callback=buffers.append)
        parts: list[bytes | memoryview] = [body, *(buffer.raw() for buffer in buffers)]
        parts.insert(0, struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts)))
        for start in range(0, len(parts), _MOST_PARTS):
            self._send(parts[start : start + _MOST_PARTS])

    def _send(self, parts: Sequence[bytes | memoryview]) -> None:
        sent = self._socket.sendmsg(parts)
        if sent < sum(map(len, parts)):  # a signal came
            self._socket.sendall(b"".join(parts)[sent:])

    def receive(self) -> Any:
        """Wait for a message and return it.

        Raises ``OSError`` where nobody is at the other end.
        """
        (number,) = _NUMBER.unpack(self._take(_NUMBER.size))
        lengths = struct.unpack(f"<{number}Q", self._take(number * _NUMBER.size))
        body, *buffers = map(self._take, lengths)
        return pickle.loads(body, buffers=buffers)  # noqa: S301 # by our own processes

    def _take(self, length: int) -> bytes:
        # A large part is received where it stays.
        have = self._received
        if not have and length >= _SMALL:
            have = self._some(length, socket.MSG_WAITALL)
        while len(have) < length:
            missing = length - len(have)
            have += self._some(missing, socket.MSG_WAITALL) if missing > _SMALL else self._some()
        self._received = have[length:]
        return have[:length]

    def _some(self, most: int = _SMALL, flags: int = 0) -> bytes:
        received = self._socket.recv(most, flags)
        if not received:
            raise ConnectionResetError("The other end of the channel is closed.")
        return received

    def close(self) -> None:
        """Close this end; done by itself when the thread ends that has it."""
        self._socket.close()

    __del__ = close


def apart[T: (Job, Outcome)](records: Sequence[T]) -> list[T]:
    """Return jobs or outcomes to be sent: what is long in them is sent as it lies in memory."""
    return [_apart(one) if _is_large(one) else one for one in records]


def _is_large(one: Job | Outcome) -> bool:
    return len(one.return_value or b"") + len(getattr(one, "arguments", b"")) > _LARGE


def _apart[T: (Job, Outcome)](one: T) -> T:
    changes: dict[str, Any] = {
        name: pickle.PickleBuffer(value)
        for name in ("arguments", "return_value")
        if len(value := getattr(one, name, None) or b"") > _LARGE
    }
    return one._replace(**changes)
