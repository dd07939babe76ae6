"""Files that are whole or not there, and the digests that folders and stages are named by."""

from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from embench.files import digest, folder_digest, temporary, write_text, write_whole


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "scores.json"
    write_text(path, "old")

    def half(place: Path) -> None:
        place.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_adds_a_missing_suffix_writes_where_it_is_told(tmp_path):
    write_whole(tmp_path / "x.npz", lambda place: np.savez(place, x=np.arange(3)))
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_a_folder_that_was_not_renamed_is_removed(tmp_path):
    with temporary(tmp_path / "new") as folder:
        folder.mkdir()
        (folder / "part").write_text("half")
    assert not list(tmp_path.iterdir())


def test_names_of_stages_and_of_prepared_data_stay_what_they_were():
    """They name folders on users' disks: another digest would make and train everything anew."""
    content = {"b": [1, 2.5, None], "a": {"x": "ä"}}
    assert digest(content) == digest(dict(reversed(content.items()))) == "f5db081b2227b45f81b18503b0d6ccd2"
    assert digest(np.arange(6.0).reshape(2, 3)) == "9ba25826a6842a08628b75b92c1d8bf0"
    assert digest(np.array(["a", "bc"], object)) == "f7f2833d26d1beaf4b922be66a43d40e"
    assert folder_digest([content, PurePosixPath("a")]) == "712158792309f1c3"
    with pytest.raises(TypeError):
        digest(Path("a"))
