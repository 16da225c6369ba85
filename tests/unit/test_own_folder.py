"""The folder of a user's boards, where everybody can make a folder of any name first."""

import os
from pathlib import Path

import pytest

from mainspring.runtime import own_folder
from mainspring.runtime.board import Board
from mainspring.runtime.boards import boards
from mainspring.runtime.own_folder import folder, folders


@pytest.fixture(autouse=True)
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(own_folder, "_told", set())
    return tmp_path / f"mainspring-{os.getuid()}"


def test_it_is_made_for_its_user_alone(usual: Path) -> None:
    assert folders() == []
    assert folder() == usual
    assert usual.stat().st_mode & 0o777 == 0o700
    assert folders() == [usual]


def _writable(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def _somebody_elses(path: Path) -> None:
    path.mkdir()
    os.chown(path, 12345, -1)


def _linked(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    path.symlink_to(elsewhere)


def _linked_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize(
    "made", [_writable, _somebody_elses, _linked, _linked_to_nothing, Path.touch]
)
def test_what_others_have_made_is_left_alone(usual, made, caplog) -> None:
    if made is _somebody_elses and os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    made(usual)
    another = folder()
    assert another != usual
    assert another.stat().st_mode & 0o777 == 0o700
    assert folder() == another
    assert folders() == [another]
    assert caplog.text.count("is not a folder that only this user can write to") == 1


def test_those_who_make_two_at_once_read_both(usual: Path) -> None:
    _writable(usual)
    first = Board.create("a store", "first")
    first.path.parent.rename(usual.with_name(f"{usual.name}-zzzzzzzz"))
    usual.with_name(f"{usual.name}-mmmmmmmm").mkdir(mode=0o700)
    second = Board.create("a store", "second")
    assert second.path.parent != usual.with_name(f"{usual.name}-zzzzzzzz")
    found = list(boards("a store"))
    assert sorted(board.worker_id for board in found) == ["first", "second"]
    for board in (first, second, *found):
        board.close()
