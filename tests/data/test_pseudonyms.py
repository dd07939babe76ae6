"""Pseudonyms of own data: drawn once for a study, the same wherever its key lies, and telling nothing without it."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from embench.data import pseudonyms
from embench.data.describe import find_message_words, mask_message
from embench.data.pseudonyms import KEY_FILE, Names, Pseudonymous, read_key
from embench.errors import DataError, MachineError
from embench.interfaces.dataset import Dataset
from embench.interfaces.recording import Recording


class Study(Dataset):
    """Two participants, one recording each."""

    def subjects(self) -> list[str]:
        return ["Anna", "7"]

    def files(self, subject: str) -> list[Path]:
        return [self.root / f"{subject}.csv"]

    def recordings(self, subject: str) -> Iterator[Recording]:
        told = {"Anna": ("2024-05-17", "film of Anna"), "7": ("7", "film 7")}[subject]
        session, stimulus = told
        yield Recording(f"{subject}/1", subject, stimulus, session, 1.0, subject, None, None)


Study.card = SimpleNamespace(sessions=())  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "study").mkdir()
    return tmp_path / "study"


def test_a_key_is_drawn_once_and_is_the_owners_alone(root: Path) -> None:
    key = read_key(root)
    assert read_key(root) == key
    assert stat.S_IMODE((root / KEY_FILE).stat().st_mode) == 0o600
    assert (root / ".embench" / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in (root / ".embench").iterdir()) == [".gitignore", "pseudonyms.json"]


def test_whoever_has_the_folder_gets_the_same_and_others_do_not(root: Path, tmp_path: Path) -> None:
    first = Pseudonymous(Study(root)).subjects()
    copy, other = tmp_path / "copy", tmp_path / "other"
    (copy / ".embench").mkdir(parents=True)
    other.mkdir()
    (copy / KEY_FILE).write_bytes((root / KEY_FILE).read_bytes())
    assert Pseudonymous(Study(copy)).subjects() == first
    assert not set(first) & set(Pseudonymous(Study(other)).subjects())


def test_a_folder_that_cannot_be_written_has_its_key_in_the_cache(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = pseudonyms._draw

    def refused(path: Path) -> bytes:
        if path.is_relative_to(root.resolve()):
            raise PermissionError(13, "Permission denied")
        return draw(path)

    monkeypatch.setattr(pseudonyms, "_draw", refused)
    assert read_key(root) == read_key(root)
    assert [path.suffix for path in (tmp_path / "cache" / "pseudonyms").glob("*.json")] == [".json"]


def test_a_key_that_may_not_be_read_is_no_reason_for_another(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    read_key(root)
    monkeypatch.setattr(pseudonyms, "read_text", refused)
    with pytest.raises(MachineError, match=r"cannot read the key .*: Permission denied") as caught:
        read_key(root)
    assert "ask the owner" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "{}", '{"key": "00"}', '{"key": 7}', "[]"])
def test_a_damaged_key_is_no_reason_for_another(root: Path, text: str) -> None:
    read_key(root)
    (root / KEY_FILE).write_text(text)
    with pytest.raises(DataError, match="pseudonyms is damaged") as caught:
        read_key(root)
    assert caught.value.where == str(root / KEY_FILE)
    assert (root / KEY_FILE).read_text() == text


def test_nothing_but_harmless_names_remains(root: Path) -> None:
    reader = Pseudonymous(Study(root))
    told = {name: next(reader.recordings(pseudonym)) for pseudonym, name in reader.owners.items()}
    assert reader.subjects() == sorted(reader.owners)
    for recording in told.values():
        assert recording.group == recording.subject
        assert re.fullmatch("P[a-z2-7]{10}", recording.subject)
        assert re.fullmatch("R[a-z2-7]{10}", recording.id)
    assert told["Anna"].session.startswith("session-")
    assert told["Anna"].stimulus.startswith("film-")
    assert (told["7"].session, told["7"].stimulus) == ("7", "film 7")
    assert reader.files(reader.subjects()[0]) == Study(root).files(reader.owners[reader.subjects()[0]])


@pytest.mark.parametrize("text", ["17.05.2024", "2024-05-17", "20240517", "1715936400", "A01234", "3-2-1987", "87/3/2"])
def test_days_and_serial_numbers_are_hidden(root: Path, text: str) -> None:
    assert text not in Pseudonymous(Study(root))._replace_telling("stimulus", f"film {text}")


@pytest.mark.parametrize("text", ["clip 12", "film 3.5", "IAPS 2104", "7", "stage 1-2", "block 10 of 12"])
def test_names_of_films_stay(root: Path, text: str) -> None:
    assert Pseudonymous(Study(root))._replace_telling("stimulus", text) == text


def test_a_name_has_other_pseudonyms_as_other_things() -> None:
    names = Names(bytes(32))
    made = {names.pseudonymise(kind, "Anna")[1:] for kind in ("subject", "recording", "group")}
    assert len(made) == 3


def test_a_message_keeps_the_words_of_code_alone() -> None:
    words = find_message_words(Study)
    assert mask_message("no recordings of Quirin Ohnefund", (), words) == "no recordings of # #"
    assert mask_message("Lines 3 and 4 overlap: Schmidt et al.", (), words).startswith("Lines # and # overlap: #")
    assert json.dumps(mask_message("No such file or directory", (), words)) == '"No such file or directory"'


def test_recordings_are_listed_beside_their_pseudonyms_even_if_others_cannot_be_read(root: Path) -> None:
    class Damaged(Study):
        def recordings(self, subject: str) -> Iterator[Recording]:
            if subject == "7":
                raise DataError("the file is damaged")
            yield from super().recordings(subject)

    reader = Pseudonymous(Damaged(root))
    second, first = reader.pseudonyms()
    [recording] = reader.recordings(first.pseudonym)
    assert first == ("Anna", recording.subject, "Anna/1", recording.id)
    assert (second.participant, second.recording) == ("7", "")
    assert second.pseudonym in reader.subjects()
