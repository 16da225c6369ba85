"""Open missing standard streams, for example in a worker started by a daemon manager."""

import os
import sys
from typing import Final

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_missing() -> list[str]:
    """Open the standard descriptors and Python streams that are closed.

    Return the names of these streams. They lead to ``/dev/null``. Otherwise the next
    opened files would get these descriptors, and receive printed output.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < len(_STREAMS):
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    missing = [(name, mode) for name, mode in _STREAMS if getattr(sys, name) is None]
    for name, mode in missing:
        setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
    return [name for name, _ in missing]
