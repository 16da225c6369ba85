import asyncio
import threading

import pytest

from mainspring import Progress, TaskContext
from mainspring.core import codec
from mainspring.core.notes import Notes, encode_metadata, metadata_in, progress_in
from mainspring.exceptions import StoreUnavailable
from tests.naming import name_of
from tests.unit.test_results import result

NOT_JSON = [{"a": {1}}, {"a": float("nan")}, {5: "a"}, {"a": object()}, {"\ud800": 1}]


class Saves:
    """Keeps what is saved; fails when told to."""

    def __init__(self):
        self.saved = []
        self.is_down = False

    def __call__(self, metadata):
        if self.is_down:
            raise StoreUnavailable("down")
        self.saved.append(metadata)

    @property
    def last(self):
        return codec.decode(self.saved[-1])


@pytest.fixture
def saves():
    return Saves()


def notes_on(stored, saves, max_bytes=1000):
    return Notes(stored, saves, max_bytes, threading.Lock())


@pytest.fixture
def notes(saves):
    return notes_on(b'{"order":5}', saves)


# Encoding


def test_no_metadata_is_nothing():
    assert encode_metadata({}, 100) is None
    assert (metadata_in(None), progress_in(None)) == ({}, None)


def test_metadata_comes_back():
    stored = encode_metadata({"a": [1, {"b": None}], "": "ä"}, 100)
    assert metadata_in(stored) == {"a": [1, {"b": None}], "": "ä"}
    assert progress_in(stored) is None


@pytest.mark.parametrize("key", ["_", "_a", "_progress"])
def test_reserved_keys_are_refused(key):
    with pytest.raises(ValueError, match=f"The metadata key '{key}' is reserved"):
        encode_metadata({key: 1}, 100)


def test_only_the_outermost_keys_are_reserved():
    stored = encode_metadata({"a": {"_b": 1}}, 100)
    assert metadata_in(stored) == {"a": {"_b": 1}}


@pytest.mark.parametrize("metadata", NOT_JSON, ids=name_of)
def test_what_is_not_json_is_refused(metadata):
    with pytest.raises((TypeError, ValueError), match="The metadata"):
        encode_metadata(metadata, 100)


def test_what_is_too_long_is_refused():
    with pytest.raises(ValueError, match=r"The metadata takes 108 bytes .* MAX_PAYLOAD allows 100"):
        encode_metadata({"a": "x" * 100}, 100)


# Noting and saving


def test_what_was_stored_can_be_read_and_changed(notes, saves):
    assert notes.metadata == {"order": 5}
    notes.metadata["step"] = "paid"
    del notes.metadata["order"]
    notes.save()
    assert saves.last == {"step": "paid"}


def test_what_has_not_changed_is_not_saved(notes, saves):
    notes.save()
    notes.metadata["order"] = 5
    notes.save()
    assert saves.saved == []
    notes.metadata["order"] = 6
    notes.save()
    notes.save()
    assert len(saves.saved) == 1


def test_what_changed_deep_inside_is_saved(saves):
    notes = notes_on(b'{"steps":[1]}', saves)
    notes.metadata["steps"].append(2)
    notes.save()
    assert saves.last == {"steps": [1, 2]}


def test_metadata_that_is_emptied_is_saved_as_nothing(notes, saves):
    notes.metadata.clear()
    notes.save()
    assert saves.saved == [None]


def test_other_metadata_can_take_its_place(notes, saves):
    notes.metadata = {"all": "new"}
    notes.save()
    assert saves.last == {"all": "new"}


def test_what_is_refused_is_not_saved_and_can_be_mended(notes, saves):
    notes.metadata["bad"] = {1}
    with pytest.raises(TypeError, match="The metadata"):
        notes.save()
    notes.metadata["_bad"] = notes.metadata.pop("bad")
    with pytest.raises(ValueError, match="reserved"):
        notes.save()
    assert saves.saved == []
    del notes.metadata["_bad"]
    notes.metadata["good"] = 1
    notes.save()
    assert saves.last == {"order": 5, "good": 1}


# Progress


def test_progress_is_saved_beside_the_metadata_and_hidden_in_it(notes, saves):
    notes.say(40, 200, "writing")
    assert notes.metadata == {"order": 5}
    notes.save()
    assert metadata_in(saves.saved[-1]) == {"order": 5}
    assert progress_in(saves.saved[-1]) == Progress(40, 200, "writing")


def test_the_next_attempt_keeps_the_progress_until_it_says_something(saves):
    first = notes_on(None, saves)
    first.say(1, 2, "half")
    first.save()
    second = notes_on(saves.saved[-1], saves)
    assert second.metadata == {}
    second.metadata["a"] = 1
    second.save()
    assert progress_in(saves.saved[-1]) == Progress(1, 2, "half")
    second.say(2, None, "")
    second.save()
    assert progress_in(saves.saved[-1]) == Progress(2)


def test_progress_is_saved_once_each_time_that_something_was_said(notes, saves):
    notes.save_progress()
    assert saves.saved == []
    for done in range(100):
        notes.say(done, 100, "")
    notes.save_progress()
    notes.save_progress()
    assert [progress_in(stored).done for stored in saves.saved] == [99]
    notes.metadata["order"] = 6  # nothing said
    notes.save_progress()
    assert len(saves.saved) == 1


def test_what_is_no_json_just_now_waits_for_the_next_time(notes, saves):
    notes.say(1, 2, "")
    notes.metadata["bad"] = {1}
    notes.save_progress()
    assert saves.saved == []
    del notes.metadata["bad"]
    notes.save_progress()
    assert progress_in(saves.saved[-1]) == Progress(1, 2)


def test_what_could_not_be_saved_is_saved_the_next_time(notes, saves):
    notes.say(1, 2, "")
    saves.is_down = True
    with pytest.raises(StoreUnavailable):
        notes.save_progress()
    saves.is_down = False
    notes.save_progress()
    assert progress_in(saves.saved[-1]) == Progress(1, 2)


@pytest.mark.parametrize(
    ("progress", "fraction"),
    [
        (Progress(0, 200), 0),
        (Progress(50, 200), 0.25),
        (Progress(0.5, 1), 0.5),
        (Progress(201, 200), 1),
        (Progress(-1, 200), 0),
        (Progress(5), None),
        (Progress(0, 0), None),
    ],
)
def test_the_fraction(progress, fraction):
    assert progress.fraction == fraction


# In the hands of a task


def test_the_context_reads_changes_and_saves(notes, saves):
    context = TaskContext(result(noted=b'{"order":5}'), notes)
    assert context.metadata == {"order": 5}
    context.metadata["step"] = 1
    context.save_metadata()
    assert saves.last == {"order": 5, "step": 1}
    context.metadata["step"] = 2
    asyncio.run(context.asave_metadata())
    assert saves.last == {"order": 5, "step": 2}
    context.progress(1, 2, message="half")
    context.progress(done=2)
    assert len(saves.saved) == 2
    context.save_metadata()
    assert progress_in(saves.saved[-1]) == Progress(2)


def test_a_context_of_which_nothing_is_kept_shows_the_metadata():
    context = TaskContext(result(noted=b'{"order":5,"_progress":[1,2,""]}'))
    assert context.metadata == {"order": 5}
    context.save_metadata()
    context.progress(1)


def test_a_result_shows_them():
    shown = result(noted=b'{"order":5,"_progress":[1,2,"half"]}')
    assert shown.metadata == {"order": 5}
    shown.metadata["order"] = 6
    assert shown.metadata == {"order": 5}
    assert shown.progress == Progress(1, 2, "half")
    assert (result().metadata, result().progress) == ({}, None)
