"""FACED's list of files: complete, true to the real sidecars, and fetched so that the reader can always read."""

import hashlib
from dataclasses import replace

import pytest

from embench.data import fetch as fetching
from embench.data.fetch import fetch
from embench.errors import MachineError
from embench.interfaces.dataset import Download
from embench_plugins.datasets.faced.reader import Faced
from embench_plugins.datasets.faced.release import HEADER_BYTES, PEOPLE, SAMPLE_BYTES

from ...data.conftest import Server
from .faced_files import noise, play, ratings, write_bids
from .real import released

LISTED = {download.name: download for download in Faced.card.downloads}


def test_every_person_has_six_files():
    assert len(LISTED) == len(Faced.card.downloads) == 3 + 6 * len(PEOPLE)
    shared = [name for name, download in LISTED.items() if download.subject is None]
    assert shared == ["README.md", "dataset_description.json", "participants.tsv"]
    for person in PEOPLE:
        own = [name for name, download in LISTED.items() if download.subject == person]
        assert len(own) == 6
        assert all(name.startswith(f"{person}/") for name in own)
        assert own[-1] == f"{person}/eeg/{person}_task-watchingVideoClips_eeg.bdf"


def test_recordings_are_of_whole_seconds_and_come_last():
    recordings = [download for name, download in LISTED.items() if name.endswith(".bdf")]
    assert recordings == list(Faced.card.downloads[-len(PEOPLE) :])
    for download in recordings:
        assert (download.size - HEADER_BYTES) % (250 * SAMPLE_BYTES) == 0
    assert len({download.sha256 for download in recordings}) == len(PEOPLE)
    assert sum(download.size for download in recordings) == pytest.approx(33.72e9, rel=1e-3)


def test_sidecars_are_those_of_the_release():
    real = released("faced_sidecars")
    for name, download in LISTED.items():
        if not name.endswith(".bdf"):
            content = (real / name).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (download.size, download.sha256), name


def test_half_fetched_release_is_read(tmp_path, monkeypatch):
    """Two people in the list's order, of which the second one's EEG is cut off."""
    monkeypatch.setattr(fetching, "WAIT_S", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for person in ("sub-004", "sub-036"):
        write_bids(tmp_path / "made", person, play((1, 2)), ratings((1, 2)), data=noise(12, 250.0))
    server = Server()
    downloads = []
    for name, listed in LISTED.items():
        path = tmp_path / "made" / name
        if path.is_file():
            server.files[name] = content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            downloads.append(Download(server.url(name), name, digest, len(content), subject=listed.subject))
    monkeypatch.setattr(Faced, "card", replace(Faced.card, downloads=tuple(downloads)))
    server.faults = [*[None] * (len(downloads) - 1), "cut", *[503] * fetching.TRIES]
    with pytest.raises(MachineError):
        fetch(Faced.card, tmp_path / "faced")
    reader = Faced(tmp_path / "faced")
    assert reader.subjects() == ["sub-004", "sub-036"]
    assert all("eeg" in recording.signals for recording in reader.recordings("sub-004"))
    assert not any(recording.signals for recording in reader.recordings("sub-036"))
    fetch(Faced.card, tmp_path / "faced")
    assert all("eeg" in recording.signals for recording in Faced(tmp_path / "faced").recordings("sub-036"))
    server.server.shutdown()
    server.server.server_close()
