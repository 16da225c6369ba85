"""The file in which workers keep what they have seen of leases."""

from pathlib import Path

import pytest

from mainspring.core.leases import Lease, Sightings
from mainspring.runtime import sightings
from mainspring.runtime.own_folder import digest, folder
from mainspring.runtime.sightings import SightingsFile

DEAD, OWN = Lease("dead", 1, 2), Lease("own", 3, 4)
SEEN = Sightings({DEAD: 5.5}, 7.5, 6.5)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SightingsFile:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return SightingsFile("a store", "own", lambda: 0.0)


def path() -> Path:
    return folder() / f"seen-{digest('a store')}"


def test_it_is_read_as_it_was_written_by_another_process(file: SightingsFile) -> None:
    assert file.read() is None
    file.write(SEEN._replace(since={DEAD: 5.5, OWN: 5.5}))
    another = SightingsFile("a store", "another", lambda: 0.0)
    assert another.read() == SEEN
    assert SightingsFile("another store", "another", lambda: 0.0).read() is None


def test_where_a_worker_is_alone_there_is_no_file(file: SightingsFile) -> None:
    file.write(SEEN)
    file.write(Sightings({OWN: 5.5}, 8.5, 8.5))
    assert list(folder().iterdir()) == []


def test_what_is_forgotten_is_known_to_nobody(file: SightingsFile) -> None:
    file.write(SEEN)
    file.forget()
    assert file.read() is None


@pytest.mark.parametrize(
    "damaged", [b"", b"[1", b"[]", b"[1,2,3,[[4]]]", b"null", b"\xff", b"[" * 100_000]
)
def test_a_damaged_file_counts_for_nothing(file: SightingsFile, damaged: bytes) -> None:
    file.write(SEEN)
    path().write_bytes(damaged)
    assert file.read() is None
    file.write(SEEN)
    assert file.read() == SEEN


def test_what_a_newer_version_or_nonsense_says_counts_for_nothing(file: SightingsFile) -> None:
    file.write(SEEN)
    written = path().read_bytes()
    for damaged in (
        written.replace(b"[1,", b"[2,", 1),  # the number of the format
        written.replace(b"[[", b'[["x",1,2,"soon"],[', 1),
        written.replace(b",", b',"', 1),
    ):
        assert damaged != written
        path().write_bytes(damaged)
        assert file.read() is None


def test_what_was_seen_before_the_machine_started_counts_for_nothing(
    file: SightingsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write(SEEN)
    monkeypatch.setattr(sightings, "_boot", lambda: "another")
    assert file.read() is None


def test_where_it_cannot_be_written_nothing_is_raised(file: SightingsFile) -> None:
    path().mkdir()
    file.write(SEEN)
    assert file.read() is None
    assert [one.name for one in folder().iterdir()] == [path().name]
