"""Hostile, damaged and incomplete submissions are refused with a reason, and stop nothing."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from embench.challenge.submissions import MOST_SUBMITTED_BYTES, Expected, check_submission, parse_files, read_files
from embench.errors import DataError, EmbenchError
from embench.interfaces.units import LabelRule, Target

from .world import METHOD

TARGET = Target("high", "binary", LabelRule(), "arousal")
UNITS = {f"r{k}:0-20000": (f"p{k // 4}", f"r{k}") for k in range(8)}
EXPECTED = Expected("calm2027", TARGET, UNITS)
HEAD = "subject,recording,unit,target,score"
ROWS = [f"{s},{r},{u},high,0.{k + 1}" for k, (u, (s, r)) in enumerate(UNITS.items())]
GOOD = "\n".join([HEAD, *ROWS]) + "\n"


def parse(text: str | bytes = GOOD, method: str | bytes = METHOD.format(name="m")):
    raw = [part if isinstance(part, bytes) else part.encode() for part in (text, method)]
    return parse_files(dict(zip(("predictions.csv", "method.yaml"), raw, strict=True)), Path("x.zip"), EXPECTED)


def test_a_good_submission_is_read():
    found = parse()
    assert len(found.rows) == 8
    assert found.method.method == "m"
    assert parse().sha256 == found.sha256 != parse(GOOD.replace("0.1", "0.2")).sha256


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", ",a note\n").replace("score,a note", "score,comment"),
    ],
)
def test_files_that_a_spreadsheet_saved_are_read(text):
    assert parse(text).rows == parse().rows


def edited(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n".join([HEAD, *ROWS[:-1]]), "1 of 8 units of hidden subjects have no prediction, such as r7"),
        ("\n".join([HEAD, *ROWS, ROWS[0]]), "rows repeat a unit"),
        (edited("0.1", "nan"), "scores are not finite"),
        (edited("0.1", "inf"), "scores are not finite"),
        (edited("0.1", "1e999"), "scores are not finite"),
        (edited("0.1", "1.7"), "scores are not probabilities"),
        (edited("0.1", ""), "scores are not finite"),
        (edited("0.1", "=1+1"), "scores are not finite"),
        (edited("r0:0-20000", "r9:0-20000"), "not of hidden subjects"),
        (edited("p0,r0", "p1,r0"), "another subject or recording"),
        (edited("high", "low"), "a target that calm2027 does not have"),
        (GOOD.replace("\n", ",1\n").replace("score,1", "score,seed"), "a seed, a fold or calibration data"),
        (GOOD.replace(",score", ",label"), "lacks the column score"),
        (edited("r0,", "r0\x1b[2J,"), "control characters"),
        (edited("r0,", "r0\u202e,"), "control characters"),
        ("", "lacks the column"),
        (HEAD, "contains no prediction"),
        (b"\xff\xfe\x00bad", "cannot be read"),
        (b"\x1f\x8b\x08\x00broken", "cannot be read"),
        (GOOD + "a,b\n", "another number of fields"),
        (GOOD.replace(",", ";"), "columns are not divided by commas"),
        ("\ufeff" + GOOD.replace(",", ";").replace(".", ",").replace("\n", "\r\n"), "not divided by commas"),
        (GOOD.replace(",", "\t"), "columns are not divided by commas"),
        (GOOD.encode("utf-16"), "expected: CSV in UTF-8"),
    ],
)
def test_faulty_predictions_are_refused_with_a_reason(text, why):
    with pytest.raises(DataError, match=why):
        parse(text)


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (METHOD.format(name="TODO"), "1 declarations are missing: method"),
        (METHOD.format(name="m").replace("manual_labelling: no", "manual_labelling: yes"), "labelled by hand"),
        (METHOD.format(name="m").replace("weights: none\n", ""), "weights: Field required"),
        (METHOD.format(name="m") + "score: 1\n", "unknown key"),
        (METHOD.format(name='"\\e[31m"'), "control characters"),
        ("a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]", "breaks the schema"),
        ("- 1", "breaks the schema"),
        (b"\xff", "cannot be read"),
        ("!!python/object/apply:os.system [echo]", "cannot be read"),
        (METHOD.format(name="m" * 500), "at most 80"),
    ],
)
def test_faulty_declarations_are_refused_with_a_reason(method, why):
    with pytest.raises(DataError, match=why):
        parse(method=method)


def packed(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return content.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


BOTH = (("predictions.csv", GOOD.encode()), ("method.yaml", METHOD.format(name="m").encode()))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ((*BOTH, ("../../escaped.txt", b"x")), "points outside"),
        ((*BOTH, ("/etc/escaped", b"x")), "points outside"),
        ((*BOTH, ("..\\escaped", b"x")), "points outside"),
        ((*BOTH, ("folder/../../x", b"x")), "points outside"),
        ((*BOTH, ("code.py", b"x")), "other members"),
        ((link("predictions.csv"), b"/etc/passwd"), "is a link"),
        ((*BOTH, BOTH[0]), "in it twice"),
        ((BOTH[0],), "method.yaml missing"),
        ((), "missing"),
        (tuple((f"f{k}", b"") for k in range(17)), "17 members"),
        ((("predictions.csv", b"0" * (MOST_SUBMITTED_BYTES + 1)), BOTH[1]), "unpacks to more than 64 MB"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives_are_refused_and_nothing_is_unpacked(members, why, tmp_path):
    if members and not isinstance(members[0], tuple):
        members = (members, BOTH[1])
    path = tmp_path / "inside" / "x.zip"
    path.parent.mkdir()
    path.write_bytes(packed(*members))
    with pytest.raises(DataError, match=why):
        read_files(path)
    assert list(path.parent.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == [path.parent]


def test_an_encrypted_member_is_refused(tmp_path):
    content = bytearray(packed(*BOTH))
    content[6] |= 1  # flag in the local head
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        read_files(tmp_path / "x.zip")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", packed(*BOTH)[:200]])
def test_what_is_no_whole_archive_is_refused(content, tmp_path):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_files(tmp_path / "x.zip")


def _link_to_file(folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_text(GOOD)
    (folder / "predictions.csv").symlink_to(secret)


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "predictions.csv")


def _large(folder: Path) -> None:
    with (folder / "predictions.csv").open("wb") as file:
        file.truncate(MOST_SUBMITTED_BYTES + 1)


@pytest.mark.parametrize("make", [_link_to_file, _pipe, _large, Path.exists])
def test_folders_with_links_pipes_or_large_or_missing_files_are_refused(make: Callable[[Path], object], tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "method.yaml").write_text(METHOD.format(name="m"))
    make(folder)
    with pytest.raises(DataError, match=r"the submission is refused: predictions\.csv"):
        read_files(folder)


def test_a_packed_folder_and_a_missing_file_are_told_what_to_do(tmp_path):
    (tmp_path / "x.zip").write_bytes(packed(*((f"mine/{name}", content) for name, content in BOTH)))
    with pytest.raises(DataError, match=r"(?s)other members .* embench challenge check FOLDER --out"):
        read_files(tmp_path / "x.zip")
    with pytest.raises(DataError, match="no such file or folder"):
        read_files(tmp_path / "y.zip")


def test_a_submission_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(DataError, match="link"):
        read_files(tmp_path / "link")


def test_the_hosts_baseline_is_valid(host, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "predictions.csv").write_bytes((host.place.public / "baseline.csv").read_bytes())
    (folder / "method.yaml").write_text(METHOD.format(name="baseline"))
    found = check_submission(folder, host.place.public)
    assert len(found.rows) == len(host.expected.units)
    assert len({row.scores for row in found.rows}) > 20


def test_one_hostile_submission_does_not_stop_the_others(host):
    host.register(("good", "g", "no"), ("bad", "b", "no"))
    host.submit("good", "one")
    for k, text in enumerate((GOOD, "", HEAD, "\x00" * 99)):
        host.submit("bad", f"{k}", text=text)
    host.submit("bad", "yaml", method="a: [")
    (host.inbox / "bad" / "passwd").symlink_to("/etc/passwd")
    (host.inbox / "bad" / "bomb.zip").write_bytes(
        packed(("predictions.csv", b"0" * (MOST_SUBMITTED_BYTES + 1)), BOTH[1])
    )
    (host.inbox / "bad" / "gone").symlink_to("/nowhere")
    for path in (host.inbox / "bad").iterdir():
        host.arrive(path)
    (host.inbox / "=cmd()|x").mkdir()
    host.arrive(host.submit("<script>", "x<img src=x onerror=alert(1)>"))
    states = {(entry.team, entry.state) for entry in host.score()}
    assert states == {("good", "valid"), ("bad", "invalid"), ("<script>", "refused")}
    public = (host.place.feedback / "status.csv").read_text()
    assert "<script>" not in public
    assert "passwd" not in public
    assert "format; the team has the details" in public
    told = (host.place.answers / "bad.txt").read_text()
    assert [path.name for path in host.place.feedback.rglob("*")] == ["status.csv"]  # nothing that is for one team
    assert str(host.root) not in told
    assert "\x00" not in told


def test_flipped_bits_never_raise_anything_that_a_team_cannot_act_on(tmp_path):
    for k in range(60):
        content = bytearray(packed(*BOTH))
        content[(k * 37) % len(content)] ^= 0xFF
        path = tmp_path / f"{k}.zip"
        path.write_bytes(content)
        with contextlib.suppress(EmbenchError):  # any other error would fail the test
            parse_files(read_files(path), path, EXPECTED)
