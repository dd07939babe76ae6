"""Downloads over a server that cuts off, lies and fails: whole data in the end, or none and an error that says why."""

import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import pytest

from embench.data.fetch import TRIES, fetch
from embench.errors import DataError, MachineError, UsageError
from embench.interfaces.dataset import Download
from embench.system import locked

from .conftest import CARD, publish, zipped


def holds(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def begins(server):
    """At which byte each answer was asked to begin."""
    return [int(requested[len("bytes=") : -1]) if requested else 0 for _, requested in server.requests]


def untouched(folder):
    """Nothing is there but what a later call goes on from."""
    return not folder.exists() and all(path.name.startswith(".fetch-") for path in folder.parent.iterdir())


WHOLE = ["open/a.csv", "open/deep/b.csv"]


def test_fetched_and_unpacked(card, tmp_path):
    steps = []
    assert fetch(card, tmp_path / "root" / "open", lambda *step: steps.append(step)) == []
    assert holds(tmp_path / "root" / "open") == WHOLE
    assert (tmp_path / "root/open/open/a.csv").read_text() == "1,2\n" * 20_000
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["open"]
    size = card.downloads[0].size
    assert ("downloading open.zip", size, size) in steps
    assert steps[-1][0] == "unpacking open.zip"
    assert steps[-1][1] == steps[-1][2]


def test_goes_on_after_a_cut(card, server, tmp_path):
    server.faults = ["cut", "cut"]
    fetch(card, tmp_path / "open")
    first, second, third = begins(server)
    assert first == 0 < second < third
    half = card.downloads[0].size // 2
    assert half - second < 1 << 14
    assert holds(tmp_path / "open") == WHOLE


def test_goes_on_in_the_next_call(card, server, tmp_path):
    server.faults = ["cut", *[503] * TRIES]
    with pytest.raises(MachineError, match="cannot download") as caught:
        fetch(card, tmp_path / "open")
    assert caught.value.where == server.url("open.zip")
    assert "rerun the command to resume" in caught.value.hint
    assert untouched(tmp_path / "open")
    server.requests.clear()
    fetch(card, tmp_path / "open")
    assert 0 < begins(server)[0] <= card.downloads[0].size // 2
    assert holds(tmp_path / "open") == WHOLE


@pytest.mark.parametrize("fault", ["no_range", "shifted"])
def test_server_that_cannot_go_on_starts_over(card, server, tmp_path, fault):
    server.faults = ["cut", fault]
    fetch(card, tmp_path / "open")
    assert holds(tmp_path / "open") == WHOLE


def test_server_that_always_cuts_off_is_given_up(card, server, tmp_path):
    class CutAlways(list):
        def pop(self, _):
            return "cut" if len(server.requests) == 1 else 500

    server.faults = CutAlways([1])
    with pytest.raises(MachineError):
        fetch(card, tmp_path / "open")
    assert len(server.requests) <= 2 * TRIES
    assert untouched(tmp_path / "open")


def test_wrong_bytes_are_removed(card, server, tmp_path):
    good = server.files["open.zip"]
    server.files["open.zip"] = bytes([good[0] ^ 1]) + good[1:]
    with pytest.raises(DataError) as caught:
        fetch(card, tmp_path / "open")
    assert hashlib.sha256(server.files["open.zip"]).hexdigest() in caught.value.what
    assert card.downloads[0].sha256 in caught.value.expected
    assert untouched(tmp_path / "open")
    assert not list(tmp_path.rglob("*.zip*"))
    server.files["open.zip"] = good
    fetch(card, tmp_path / "open")
    assert holds(tmp_path / "open") == WHOLE


def test_file_that_changed_between_two_calls_is_noticed(card, server, tmp_path):
    server.faults = ["cut", *[503] * TRIES]
    with pytest.raises(MachineError):
        fetch(card, tmp_path / "open")
    (part,) = tmp_path.rglob("*.part")
    part.write_bytes(b"x" * part.stat().st_size)
    with pytest.raises(DataError, match="differs from the published file"):
        fetch(card, tmp_path / "open")
    fetch(card, tmp_path / "open")
    assert holds(tmp_path / "open") == WHOLE


def test_part_that_is_longer_than_the_file_starts_over(card, tmp_path):
    part = tmp_path / ".fetch-open" / "open.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * (card.downloads[0].size + 5))
    fetch(card, tmp_path / "open")
    assert holds(tmp_path / "open") == WHOLE


def test_part_that_is_whole_is_not_fetched_again(card, server, tmp_path):
    part = tmp_path / ".fetch-open" / "open.zip.part"
    part.parent.mkdir()
    part.write_bytes(server.files["open.zip"])
    fetch(card, tmp_path / "open")
    assert server.requests == [("open.zip", f"bytes={card.downloads[0].size}-")]
    assert holds(tmp_path / "open") == WHOLE


@pytest.mark.parametrize("code", [403, 404, 410])
def test_file_that_is_not_there(card, server, tmp_path, code):
    server.faults = [code]
    with pytest.raises(DataError) as caught:
        fetch(card, tmp_path / "open")
    assert str(code) in caught.value.what
    assert caught.value.where == server.url("open.zip")
    assert untouched(tmp_path / "open")


@pytest.mark.parametrize("fault", ["long", "short"])
def test_length_that_is_not_true(card, server, tmp_path, fault):
    server.always = fault
    with pytest.raises((DataError, MachineError)) as caught:
        fetch(card, tmp_path / "open")
    assert "open.zip" in f"{caught.value.what} {caught.value.where}"
    assert untouched(tmp_path / "open")


def test_other_size_than_published_is_not_downloaded(card, server, tmp_path):
    server.files["open.zip"] = b"<html>moved</html>"
    with pytest.raises(DataError, match="18 bytes"):
        fetch(card, tmp_path / "open")
    assert untouched(tmp_path / "open")


def test_hiccups_of_the_server_are_waited_out(card, server, tmp_path):
    server.faults = [500, 503, 429]
    fetch(card, tmp_path / "open")
    assert holds(tmp_path / "open") == WHOLE


def test_redirect_is_followed(server, tmp_path):
    content = zipped({"a.csv": "1"})
    card = publish(server, "open.zip", content)
    moved = replace(card.downloads[0], url=server.url("moved/open.zip"))
    server.faults = [None, "cut"]
    fetch(replace(card, downloads=(moved,)), tmp_path / "open")
    assert holds(tmp_path / "open") == ["a.csv"]


def test_no_network_says_how_to_do_it_by_hand(card, server, tmp_path):
    server.server.server_close()
    server.server.shutdown()
    download = replace(card.downloads[0], url="http://127.0.0.1:9/open.zip")
    with pytest.raises(MachineError) as caught:
        fetch(replace(card, downloads=(download,)), tmp_path / "open")
    assert caught.value.where == "http://127.0.0.1:9/open.zip"
    assert f"put it into {tmp_path / 'open'} as open.zip" in caught.value.hint


def test_archive_got_by_hand_is_used_and_stays(card, server, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open/open.zip").write_bytes(server.files["open.zip"])
    fetch(card, tmp_path / "open")
    assert server.requests == []
    assert holds(tmp_path / "open") == ["open.zip", *WHOLE] or holds(tmp_path / "open") == [*WHOLE, "open.zip"]


def test_wrong_archive_got_by_hand_is_refused_and_stays(card, server, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open/open.zip").write_bytes(b"x" * card.downloads[0].size)
    with pytest.raises(DataError) as caught:
        fetch(card, tmp_path / "open")
    assert caught.value.where == str(tmp_path / "open/open.zip")
    assert holds(tmp_path / "open") == ["open.zip"]
    assert server.requests == []


def test_folder_with_data_is_left_alone(card, server, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open/S01.csv").write_text("1")
    with pytest.raises(UsageError, match="contains other files"):
        fetch(card, tmp_path / "open")
    assert server.requests == []


def test_gated_dataset_says_where_to_apply(tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(CARD, tmp_path / "open")
    assert caught.value.exit_code == 3
    assert caught.value.hint.startswith(
        "ask somebody. To try embench with synthetic recordings in the same format: "
        "embench data synthesize open --out demo/open"
    )


def test_without_a_checksum_it_is_said(server, tmp_path):
    card = publish(server, "open.zip", zipped({"a.csv": "1"}), sha256=None, size=None)
    (text,) = fetch(card, tmp_path / "open")
    assert "could not be verified" in text
    assert holds(tmp_path / "open") == ["a.csv"]


def test_page_in_place_of_an_archive_without_a_checksum(server, tmp_path):
    card = publish(server, "open.zip", b"<html>log in</html>", sha256=None, size=None)
    with pytest.raises(DataError, match="cannot unpack the archive"):
        fetch(card, tmp_path / "open")
    server.files["open.zip"] = zipped({"a.csv": "1"})
    fetch(card, tmp_path / "open")
    assert holds(tmp_path / "open") == ["a.csv"]


def test_several_files_and_folders(server, tmp_path):
    one = publish(server, "one.zip", zipped({"S1/a.csv": "1"})).downloads[0]
    two = publish(server, "two.tar.gz", tarred({"S2/a.csv": b"2"})).downloads[0]
    three = publish(server, "labels.csv", b"x,y\n").downloads[0]
    card = replace(CARD, downloads=(one, replace(two, unpack="more"), replace(three, unpack="labels")))
    server.faults = [None, "cut", None, 404]
    with pytest.raises(DataError):
        fetch(card, tmp_path / "open")
    assert untouched(tmp_path / "open")
    server.requests.clear()
    fetch(card, tmp_path / "open")
    assert [name for name, _ in server.requests] == ["labels.csv"]
    assert holds(tmp_path / "open") == ["S1/a.csv", "labels/labels.csv", "more/S2/a.csv"]


def test_no_room(card, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(MachineError, match="not enough disk space"):
        fetch(card, tmp_path / "open")
    assert untouched(tmp_path / "open")


def test_two_at_once(card, tmp_path):
    with locked(tmp_path / ".fetch-open.lock"), pytest.raises(UsageError, match="another process"):
        fetch(card, tmp_path / "open")
    fetch(card, tmp_path / "open")


def link_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
    return out.getvalue()


def tarred(files, links=()):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return out.getvalue()


BAD = {
    "up.zip": zipped({"a.csv": "1", "../out.csv": "1"}),
    "absolute.zip": zipped({"/tmp/embench_out.csv": "1"}),
    "drive.zip": zipped({"C:\\out.csv": "1"}),
    "link.zip": link_zip(),
    "up.tar.gz": tarred({"x/../../out.csv": b"1"}),
    "absolute.tar.gz": tarred({"/tmp/embench_out.csv": b"1"}),
    "link.tar.gz": tarred({"a": b"1"}, links=[("b", "a")]),
    "cut.zip": zipped({"a.csv": "1" * 1000})[:-30],
    "crc.zip": zipped({"a.csv": "1" * 1000}).replace(b"1" * 900, b"2" * 900),
    "cut.tar.gz": tarred({"a.csv": os.urandom(10_000)})[:-3000],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archives_leave_nothing(server, tmp_path, name):
    card = publish(server, name, BAD[name])
    with pytest.raises(DataError) as caught:
        fetch(card, tmp_path / "open")
    assert name in caught.value.where
    assert untouched(tmp_path / "open")
    assert not list(tmp_path.parent.rglob("*out.csv"))


def test_cards_of_bundled_datasets_are_complete():
    """What can be fetched has an address; names do not repeat; everything else says where to ask."""
    from embench import registry

    for entry in registry.entries("dataset"):
        if entry.package != registry.BUNDLED:
            continue
        card = registry.load_plugin("dataset", entry.full_name).card
        names = [download.name for download in card.downloads]
        assert len(set(names)) == len(names)
        assert all(
            isinstance(download, Download) and download.url.startswith("https://") for download in card.downloads
        )
        assert card.obtain
