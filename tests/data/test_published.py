"""Archives laid out as they are published: what is fetched is what the reader reads."""

import zipfile

import pytest

from embench import registry
from embench.data.fetch import fetch

from .conftest import publish

LAYOUTS = {
    "stress_predict": ("Stress-Predict-Dataset-main/", 60.0), "wesad": ("WESAD/", 60.0), "case": ("", 40.0),
    "wearable_stress": ("wearable-device-dataset-from-induced-stress-and-structured-exercise-sessions-1.0.1/", 60.0),
    "hku956": ("", 12.0), "eegmat": ("eeg-during-mental-arithmetic-tasks-1.0.0/", 30.0),
    "quiroz2018": ("emotion-recognition-walking-acc-master/", 20.0),
}  # fmt: skip
"""The folder that an archive has everything in (CASE's generated files have their own), and seconds of a session."""


@pytest.mark.parametrize("name", LAYOUTS)
def test_fetched_archive_is_read_as_it_is_unpacked(server, tmp_path, name):
    top, seconds = LAYOUTS[name]
    cls = registry.load_plugin("dataset", name)
    made = tmp_path / "made"
    registry.synthesizer(name)(made, subjects=2, seed=0, effect=1.0, length_s=seconds)
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted(made.rglob("*")):
            if path.is_file() and not path.name.startswith("EMBENCH_"):
                out.write(path, top + path.relative_to(made).as_posix())
    (download,) = cls.card.downloads
    card = publish(server, download.name, archive.read_bytes())
    server.faults = ["cut"]
    fetch(card, tmp_path / "root" / name)
    reader = cls(tmp_path / "root" / name)
    assert reader.subjects() == cls(made).subjects()
    (first, *_), (again, *_) = (
        reader.recordings(reader.subjects()[0]),
        cls(made).recordings(reader.subjects()[0]),
    )
    assert {m: s.data.tobytes() for m, s in first.signals.items()} == {
        m: s.data.tobytes() for m, s in again.signals.items()
    }
