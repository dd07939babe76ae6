"""Releases of many files over a server that cuts off and lies: each file is whole in its place, or not there."""

import hashlib
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from embench.data.fetch import TRIES, fetch
from embench.errors import DataError, MachineError, PluginError, UsageError
from embench.interfaces.dataset import Download
from embench.system import locked

from .conftest import CARD

CONTENT = {
    "participants.tsv": b"participant_id\nsub-1\nsub-2\n",
    "sub-1/eeg/sub-1_events.tsv": b"onset\n1\n",
    "sub-2/eeg/sub-2_events.tsv": b"onset\n2\n",
    "sub-1/eeg/sub-1_eeg.bdf": b"1" * 150_000,
    "sub-2/eeg/sub-2_eeg.bdf": b"2" * 200_000,
}
FIRST = ["participants.tsv", "sub-1/eeg/sub-1_eeg.bdf", "sub-1/eeg/sub-1_events.tsv"]


@pytest.fixture
def card(server):
    """Of a dataset of two subjects; the signals' addresses redirect."""
    server.files.update(CONTENT)
    return replace(CARD, downloads=tuple(published(server, name) for name in CONTENT))


def published(server, name):
    content, folder = CONTENT[name], name.partition("/")[0] if "/" in name else None
    url = server.url(f"moved/{name}" if name.endswith(".bdf") else name)
    return Download(url, name, hashlib.sha256(content).hexdigest(), len(content), subject=folder)


def found(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def whole(folder):
    """Whether every file in a folder is as it was published."""
    return all((folder / name).read_bytes() == CONTENT[name] for name in found(folder))


def asked(server):
    """Names of what was requested, without requests that were sent on."""
    return [name for name, _ in server.requests if not name.startswith("moved/")]


def test_every_file_is_put_at_its_own_path(card, tmp_path):
    steps = []
    assert fetch(card, tmp_path / "open", lambda *step: steps.append(step)) == []
    assert found(tmp_path / "open") == sorted(CONTENT)
    assert whole(tmp_path / "open")
    assert [path.name for path in tmp_path.iterdir()] == ["open"]
    size = sum(map(len, CONTENT.values()))
    assert steps[-1] == ("checking sub-2/eeg/sub-2_eeg.bdf (5 of 5)", size, size)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


def test_some_subjects_come_first_and_the_others_later(card, server, tmp_path):
    fetch(card, tmp_path / "open", subjects=["sub-1"])
    assert found(tmp_path / "open") == FIRST
    server.requests.clear()
    fetch(card, tmp_path / "open", subjects=["sub-2", "sub-1"])
    assert asked(server) == ["sub-2/eeg/sub-2_events.tsv", "sub-2/eeg/sub-2_eeg.bdf"]
    assert found(tmp_path / "open") == sorted(CONTENT)
    assert whole(tmp_path / "open")


def test_files_that_are_there_are_not_fetched_again(card, server, tmp_path):
    fetch(card, tmp_path / "open")
    server.requests.clear()
    fetch(card, tmp_path / "open")
    assert server.requests == []


def test_interrupted_download_leaves_whole_files_and_goes_on(card, server, tmp_path):
    server.faults = [None, None, None, None, "cut", *[503] * TRIES]
    with pytest.raises(MachineError, match="cannot download") as caught:
        fetch(card, tmp_path / "open")
    assert f"put it into {tmp_path / 'open'} as sub-1/eeg/sub-1_eeg.bdf" in caught.value.hint
    assert found(tmp_path / "open") == [name for name in sorted(CONTENT) if name.endswith(".tsv")]
    assert whole(tmp_path / "open")
    server.requests.clear()
    fetch(card, tmp_path / "open")
    (_, first), (_, again), *_ = server.requests
    assert first == again
    assert 0 < int(first[len("bytes=") : -1]) <= 75_000
    assert whole(tmp_path / "open")
    assert found(tmp_path / "open") == sorted(CONTENT)
    assert not (tmp_path / ".fetch-open").exists()


def test_what_arrived_of_another_subject_is_kept(card, server, tmp_path):
    server.faults = [None, None, None, None, None, None, "cut", *[503] * TRIES]
    with pytest.raises(MachineError):
        fetch(card, tmp_path / "open")
    fetch(card, tmp_path / "open", subjects=["sub-1"])
    server.requests.clear()
    fetch(card, tmp_path / "open")
    assert all(requested for _, requested in server.requests)
    assert whole(tmp_path / "open")


def test_wrong_content_does_not_stop_the_others_and_is_not_kept(card, server, tmp_path):
    server.files["sub-1/eeg/sub-1_eeg.bdf"] = b"x" * 150_000
    with pytest.raises(DataError, match="1 of 5 files could not be downloaded") as caught:
        fetch(card, tmp_path / "open")
    assert hashlib.sha256(b"x" * 150_000).hexdigest() in caught.value.what
    assert card.downloads[3].sha256 in caught.value.expected
    assert found(tmp_path / "open") == sorted(set(CONTENT) - {"sub-1/eeg/sub-1_eeg.bdf"})
    assert not list(tmp_path.rglob("*.part"))
    server.files["sub-1/eeg/sub-1_eeg.bdf"] = CONTENT["sub-1/eeg/sub-1_eeg.bdf"]
    fetch(card, tmp_path / "open")
    assert whole(tmp_path / "open")


def test_file_that_its_publisher_replaced_is_refused_before_it_is_downloaded(card, server, tmp_path):
    name = "sub-2/eeg/sub-2_eeg.bdf"
    server.etags[f"moved/{name}"] = f'"sha256:{"0" * 64}"'
    with pytest.raises(DataError, match=f"the server offers another file: sha256 {'0' * 64}") as caught:
        fetch(card, tmp_path / "open")
    assert "newer version of embench" in caught.value.hint
    assert found(tmp_path / "open") == sorted(set(CONTENT) - {name})
    server.etags[f"moved/{name}"] = f'"sha256:{card.downloads[4].sha256}"'
    fetch(card, tmp_path / "open")
    assert whole(tmp_path / "open")


@pytest.mark.parametrize("content", [b"1" * 70_000, b"x" * 150_000], ids=["the first half", "as long"])
def test_another_file_of_the_same_name_is_named_and_kept(card, server, tmp_path, content):
    fetch(card, tmp_path / "open", subjects=["sub-2"])
    path = tmp_path / "open/sub-1/eeg/sub-1_eeg.bdf"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    server.requests.clear()
    with pytest.raises(DataError, match=r"sub-1/eeg/sub-1_eeg\.bdf; nothing was downloaded"):
        fetch(card, tmp_path / "open")
    assert server.requests == []
    assert path.read_bytes() == content
    fetch(card, tmp_path / "open", subjects=["sub-2"])


def test_file_got_by_hand_is_used(card, server, tmp_path):
    for name in ("participants.tsv", "sub-2/eeg/sub-2_eeg.bdf"):
        path = tmp_path / "open" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[name])
    fetch(card, tmp_path / "open", subjects=["sub-2"])
    assert asked(server) == ["sub-2/eeg/sub-2_events.tsv"]


def test_other_files_in_the_folder_stay_as_they_are(card, tmp_path):
    path = tmp_path / "open/Processed_data/sub001.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    fetch(card, tmp_path / "open", subjects=["sub-1"])
    assert path.read_bytes() == b"mine"
    assert found(tmp_path / "open") == ["Processed_data/sub001.pkl", *FIRST]


def test_nothing_is_put_among_synthetic_files(card, server, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open/EMBENCH_SYNTHETIC.json").write_text("{}")
    with pytest.raises(UsageError, match="contains other files"):
        fetch(card, tmp_path / "open")
    assert server.requests == []
    assert found(tmp_path / "open") == ["EMBENCH_SYNTHETIC.json"]


@pytest.mark.parametrize("name", ["../out.tsv", "sub-1/../../out.tsv", "/out.tsv", "C:\\out.tsv", "..\\out.tsv"])
def test_name_that_leads_out_of_the_folder_is_refused(card, server, tmp_path, name):
    bad = replace(card.downloads[0], name=name)
    with pytest.raises(PluginError, match="leaves the folder"):
        fetch(replace(card, downloads=(*card.downloads, bad)), tmp_path / "open")
    assert server.requests == []
    assert not list(tmp_path.parent.rglob("*out.tsv"))


def test_subject_that_is_not_published_is_named(card, server, tmp_path):
    with pytest.raises(UsageError, match="no files of subject `sub-3`") as caught:
        fetch(card, tmp_path / "open", subjects=["sub-1", "sub-3"])
    assert caught.value.expected == "names such as sub-1, sub-2, separated by commas"
    assert server.requests == []
    whole_only = replace(card, downloads=tuple(replace(each, subject=None) for each in card.downloads))
    with pytest.raises(UsageError, match="not published by subject"):
        fetch(whole_only, tmp_path / "open", subjects=["sub-1"])


def test_two_at_once(card, tmp_path):
    with locked(tmp_path / ".fetch-open.lock"), pytest.raises(UsageError, match="another process"):
        fetch(card, tmp_path / "open")
    fetch(card, tmp_path / "open")
    assert found(tmp_path / "open") == sorted(CONTENT)


def test_room_is_checked_for_all_files_before_the_first(card, server, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=340_000))
    with pytest.raises(MachineError, match="not enough disk space"):
        fetch(card, tmp_path / "open")
    assert server.requests == []
    assert not (tmp_path / "open").exists()
    fetch(card, tmp_path / "open", subjects=["sub-1"])
    assert found(tmp_path / "open") == FIRST
