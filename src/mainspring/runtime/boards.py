"""Find the boards of the other workers of a machine on a store."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mainspring.exceptions import NewerFormat, Unreadable
from mainspring.runtime.board import BIRTH, Board, own
from mainspring.runtime.own_folder import digest, folders
from mainspring.runtime.unreadable_files import put_aside, tell_once


def boards(identity: str) -> Iterator[Board]:
    """Yield the boards of this machine's other workers on the store of ``identity``."""
    for path in _paths(identity):
        if path.name in own:
            continue
        try:
            board = Board(path)
        except OSError:  # just removed
            continue
        except NewerFormat as error:
            tell_once(path, error)
            continue
        except Unreadable as error:
            put_aside(path, error)
            continue
        except ValueError:  # still being created
            _remove_unfinished(path)
            continue
        yield board


def _paths(identity: str) -> Iterator[Path]:
    for place in folders():
        yield from place.glob(f"{digest(identity)}-*")


def _remove_unfinished(path: Path) -> None:
    # Its supervisor was killed before it wrote anything.
    with suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > BIRTH:
            path.unlink()
