"""Files that are not files, that unpack to a thousand times their size, or that lie damaged in a cache."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embench.cli import main
from embench.engine.stage import Folder
from embench.errors import DataError
from embench.planning import weights
from embench.records import ledger
from embench.store.store import build_once
from embench_plugins.datasets.amigos import release as amigos
from embench_plugins.datasets.deap import reader as deap
from embench_plugins.datasets.formats import recordings
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.own import items, tables
from embench_plugins.datasets.own.reader import Own

from ..plugins.datasets import own_files
from ..plugins.datasets.xdf_files import XdfStream, write_streams

ANSWERED_S = 20
MOST_MB = 300
"""Memory that a reader may take for a file of under 1 MB."""


@pytest.fixture(autouse=True)
def limited_time() -> Iterator[None]:
    """Ends a test that waits for a pipe, which nobody writes into."""
    if not hasattr(signal, "SIGALRM"):
        pytest.skip("Windows has no pipes in folders")

    def end(*_: object) -> None:
        raise AssertionError(f"no answer within {ANSWERED_S} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(ANSWERED_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make_pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def link_pipe(path: Path) -> None:
    make_pipe(path.with_name("pipe"))
    path.unlink(missing_ok=True)
    path.symlink_to("pipe")


def link_device(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


ODD = {"pipe": make_pipe, "linked pipe": link_pipe, "device": link_device}
MAT = {"eda": {"channels": {"eda": "1"}, "array": "eda", "rate": 4, "unit": "uS"}}


def make_own(root: Path, name: str, put: Callable[[Path], object]) -> list[str]:
    if name.endswith(".mat"):
        own_files.study(root)
        own_files.describe(root, {"files": "{participant:?}.mat", "signals": MAT})
    else:
        own_files.study(root)
    put(root / name)
    return [str(root)]


@pytest.mark.parametrize("command", ["verify", "prepare"])
@pytest.mark.parametrize("name", ["A.csv", "A.mat", "moods.csv", "dataset.yaml"])
@pytest.mark.parametrize("odd", ODD)
def test_own_data(odd: str, name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_own(tmp_path / "study", name, ODD[odd])
    assert main(["data", command, *folder]) in (1, 3)
    said = "".join(capsys.readouterr())
    assert "not a regular file" in said
    assert ("pipe" if odd == "linked pipe" else name) in said
    assert "what to do: " in said


def test_a_folder_without_description(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A first description is drafted from its files."""
    own_files.study(tmp_path)
    (tmp_path / "dataset.yaml").unlink()
    make_pipe(tmp_path / "C.csv")
    assert main(["data", "new", str(tmp_path)]) == 3
    assert "not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["report"], ["leaderboard", "site", "--out"]])
def test_a_link_to_itself(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert main([*command, str(tmp_path / "loop")]) in (3, 5)
    said = capsys.readouterr().err
    assert "embench has a bug" not in said
    assert f"where: {tmp_path / 'loop'}" in said


def test_weights(tmp_path: Path) -> None:
    make_pipe(path := tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="not a regular file"):
        weights._hash_weights(path)


DATASETS = ["amigos", "case", "deap", "k_emocon", "stress_predict", "wesad"]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", DATASETS)
def test_a_published_dataset(dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of each kind of its files, in turn."""
    whole = tmp_path / "whole"
    assert main(["data", "synthesize", dataset, "--out", str(whole), "--subjects", "2"]) == 0
    root = next(path for path in (whole / dataset, whole) if (path / "EMBENCH_SYNTHETIC.json").is_file())
    suffixes = {path.suffix: path for path in sorted(root.rglob("*")) if path.is_file()}
    for path in suffixes.values():
        copy = tmp_path / "copy" / dataset
        shutil.copytree(root, copy)
        make_pipe(copy / path.relative_to(root))
        capsys.readouterr()
        assert main(["data", "verify", dataset, "--data-root", str(copy.parent)]) in (1, 3)
        assert "not a regular file" in "".join(capsys.readouterr())
        shutil.rmtree(copy)


def test_hidden_files_and_loops_are_no_fault(tmp_path: Path) -> None:
    """Such as the socket of a version control system, and a link to the folder itself."""
    from embench.files import check_folder_files

    own_files.study(tmp_path)
    (tmp_path / ".git").mkdir()
    make_pipe(tmp_path / ".git" / "monitor")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to("nowhere")
    check_folder_files(tmp_path)


# Small files that are large once they are unpacked.


def peak_mb(work: Callable[[], object]) -> float:
    """The memory that `work` takes until it refuses a file."""
    tracemalloc.start()
    try:
        with pytest.raises((DataError, ValueError), match=r"unpack|GB large|rows"):
            work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_a_matlab_file_of_zeros(tmp_path: Path) -> None:
    """480 MB of one variable."""
    count = 60_000_000
    head = struct.pack("<4I2I2I2H4s2I", 6, 8, 6, 0, 5, 8, count, 1, 1, 3, b"eda", 9, 8 * count)
    packer = zlib.compressobj(9)
    body = packer.compress(struct.pack("<2I", 14, len(head) + 8 * count) + head)
    for _ in range(480):
        body += packer.compress(bytes(1_000_000))
    body += packer.flush()
    content = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<2I", 15, len(body)) + body
    assert len(content) < 1_000_000
    make_own(tmp_path, "A.mat", lambda path: path.write_bytes(content))
    (tmp_path / "A.csv").unlink()
    assert peak_mb(lambda: list(Own(tmp_path).recordings("A"))) < MOST_MB


def test_a_table_of_physiology(tmp_path: Path) -> None:
    path = tmp_path / "sub-1_task-a_physio.tsv.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(300):
            file.write(b"0\n" * 500_000)
    path.with_name("sub-1_task-a_physio.json").write_text(
        '{"Columns": ["eda"], "SamplingFrequency": 4, "StartTime": 0}', "utf-8"
    )
    assert peak_mb(lambda: items._read_physio(path)) < MOST_MB


def test_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    pd.DataFrame({"eda": [1.0]}).to_excel(path, index=False)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/zeros", "w") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    assert peak_mb(lambda: tables.read_sheet(path)) < MOST_MB


@pytest.mark.slow
def test_a_parquet_file(tmp_path: Path) -> None:
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    path, block = tmp_path / "a.parquet", arrow.table({"eda": np.zeros(4_000_000)})
    with parquet.ParquetWriter(path, block.schema) as writer:
        for _ in range(80):
            writer.write_table(block)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(DataError, match="GB large"):
        tables._load_frame(path)


# Files that are longer than any memory: holes, of which a disk holds nothing.


def make_long(path: Path, first: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(first)
    os.truncate(path, 1 << 43)
    return path


MATLAB = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
LONG: dict[str, Callable[[Path], object]] = {
    "matlab of deap": lambda path: deap._read_matlab(make_long(path, MATLAB)),
    "matlab of amigos": lambda path: amigos.read(make_long(path, MATLAB)),
    "brainvision": lambda path: recordings.find_brainvision_files(make_long(path, b"Brain Vision")),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_file_longer_than_any_memory(kind: str, tmp_path: Path) -> None:
    try:
        make_long(tmp_path / "whole")
    except OSError:
        pytest.skip("this disk holds no files of 8 TB")
    with pytest.raises(DataError, match=r"long|large"):
        LONG[kind](tmp_path / "a")


# Counts that a file states, but that its bytes cannot hold.


def make_xdf(path: Path, form: str, count: int, place: int) -> None:
    """Signals, and a stream whose chunk number `place` states another number of samples."""
    stamps = 5000 + np.arange(192) / 4
    rows = [["a"]] * 192 if form == "string" else np.ones((192, 1))
    marks = XdfStream("marks", 0 if form == "string" else 4, stamps, rows, form=form)
    write_streams(path, XdfStream("box", 4, stamps, np.ones((192, 1))), marks)
    content = path.read_bytes()
    head = struct.pack("<HI", 3, 2) + b"\x04"
    at = 0
    for _ in range(place + 1):
        at = content.index(head, at) + len(head)
    path.write_bytes(content[:at] + struct.pack("<I", count) + content[at + 4 :])


@pytest.mark.parametrize("form", ["string", "float32"])
@pytest.mark.parametrize("count", [65, 10_000_000])
def test_an_xdf_chunk_of_more_samples_than_bytes(form: str, count: int, tmp_path: Path) -> None:
    """pyxdf makes room for all of them, and skips chunks up to the next boundary that it finds."""
    pytest.importorskip("pyxdf")
    make_xdf(tmp_path / "a.xdf", form, count, 1)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="damaged"):
            recordings.read_markers(tmp_path / "a.xdf")
        assert tracemalloc.get_traced_memory()[1] / 1e6 < 100
    finally:
        tracemalloc.stop()


def test_an_xdf_chunk_of_fewer_samples_than_it_holds(tmp_path: Path) -> None:
    pytest.importorskip("pyxdf")
    make_xdf(tmp_path / "a.xdf", "float32", 3, 1)
    with pytest.raises(DataError, match="damaged"):
        recordings.read_markers(tmp_path / "a.xdf")


@pytest.mark.parametrize("start", [900_000, -900_000])
def test_physiology_that_begins_far_off(start: float, tmp_path: Path) -> None:
    """Samples are missing up to there: at this rate, 90 billion."""
    path = tmp_path / "sub-1_task-a_physio.tsv.gz"
    path.write_bytes(gzip.compress(b"0\n" * 100))
    path.with_name("sub-1_task-a_physio.json").write_text(
        f'{{"Columns": ["eda"], "SamplingFrequency": 100000, "StartTime": {start}}}', "utf-8"
    )
    with pytest.raises(DataError, match=f"StartTime is {start:g} s"):
        items._read_physio(path)


def test_a_file_of_spss(tmp_path: Path) -> None:
    """Zeros, packed twice."""
    pyreadstat, path = pytest.importorskip("pyreadstat"), tmp_path / "a.sav"
    columns = {f"v{k}": np.zeros(20_000) for k in range(500)}
    pyreadstat.write_sav(pd.DataFrame(columns), str(path), compress=True)
    assert path.stat().st_size < 500_000
    with pytest.raises(DataError, match=r"it unpacks to 0\.08 GB"):
        tables.read_sheet(path)


def test_a_parquet_file_of_one_text(tmp_path: Path) -> None:
    """The same text of a MB in each of 400 rows, which is stored once."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(400, np.int32)), ["x" * 1_000_000])
    parquet.write_table(arrow.table({"eda": np.ones(400), "note": texts}), tmp_path / "a.parquet", store_schema=False)
    pool = arrow.default_memory_pool()
    before = pool.max_memory()
    table = tables._load_frame(tmp_path / "a.parquet")
    assert (pool.max_memory() - before) / 1e6 < 50
    assert table["note"].dtype == object
    assert set(table["note"].map(len)) == {1_000_000}


def test_a_parquet_file_of_one_long_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(tables, "MOST_BYTES", 2_000_000)
    values = arrow.ListArray.from_arrays(np.array([0, 260_000], np.int32), np.zeros(260_000, np.int8))
    parquet.write_table(arrow.table({"eda": [1.0], "more": values}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="GB large"):
        tables._load_frame(tmp_path / "a.parquet")


def test_wfdb_of_another_packing(tmp_path: Path) -> None:
    """Of a kind that another library unpacks, with errors of its own."""
    pytest.importorskip("wfdb")
    (tmp_path / "a.hea").write_text("a 1 1000 100000000000\na.dat 516 200/uS 16 0 0 0 0 EDA\n", "utf-8")
    (tmp_path / "a.dat").write_bytes(b"fLaC" + bytes(100))
    with recordings.open_recording(tmp_path / "a.hea") as find, pytest.raises(DataError, match="channel EDA"):
        find(Channels(channels={"": ""}))[0].read(0, 100)


def test_a_spreadsheet_with_a_cell_far_off(tmp_path: Path) -> None:
    """Programs fill all cells between, of which this one has 17 billion."""
    pd.DataFrame({"eda": [1.0]}).to_excel(tmp_path / "whole.xlsx", index=False)
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        for name in whole.namelist():
            archive.writestr(name, whole.read(name).replace(b"</sheetData>", far))
    for read in (tables.read_sheet, tables.list_sheets):
        with pytest.raises(DataError, match="row 1,048,576 and column 16,384"):
            read(tmp_path / "a.xlsx")


# Damaged copies in a cache, and warnings about folders.


def damage(folder: Path) -> None:
    (folder / "array").write_bytes(b"other")


def test_a_cache_keeps_one_damaged_copy(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "array").write_bytes(b"12345678" * 100)

    for name in ("one", "two", "three"):
        build_once(tmp_path / name, build, 0o700)
        damage(tmp_path / name)
        with pytest.warns(UserWarning, match=r"three\.damaged|two\.damaged|one\.damaged") as told:
            build_once(tmp_path / name, build, 0o700)
        assert "you may delete" in str(told[0].message)
    assert [path.name for path in tmp_path.glob("*.damaged")] == ["three.damaged"]


def test_a_runs_folder_keeps_one_damaged_stage(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = Folder(tmp_path, name)
        folder.write_arrays("array.npz", {"x": np.zeros(3)})
        folder.finish({})
        folder.file("array.npz").write_bytes(b"other")
        with pytest.warns(UserWarning, match="you may delete"):
            folder.set_aside()
    assert [path.name for path in tmp_path.glob("*.damaged")] == ["two.damaged"]


def test_a_warning_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path / "runs")
    opening = {"dataset": "d", "protocol": "p", "run": "r1", "method": "m"}
    ledger.record_evaluations(Path(), b"data", "f", opening, ["arousal"])
    shutil.rmtree(tmp_path / "cache")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ledger.record_evaluations(Path(), b"data", "f", {**opening, "run": "r2"}, ["arousal"])
    assert f"in {tmp_path / 'runs'} were missing" in str(told[0].message)


# Tables of which other columns are read than those that were meant.


def test_a_channel_that_is_the_column_of_times(tmp_path: Path) -> None:
    """By its position: `channels: [1, 2]` of the columns time and EDA."""
    rows = "".join(f"{k / 4},{k}\n" for k in range(40))
    own_files.study(tmp_path, f"time,EDA\n{rows}", channels=["1", "2"], time="time", rate=None)
    with pytest.raises(DataError, match=r"channel `1` of A\.csv is the column of times"):
        list(Own(tmp_path).recordings("A"))


def test_a_rate_far_from_that_of_other_files(tmp_path: Path) -> None:
    """Where the names of columns were exchanged in one of them."""
    own_files.study(tmp_path, time="time", rate=None)
    for name, head in {"A": "time,EDA", "B": "EDA,time"}.items():
        rows = "".join(f"{k / 4},{6 + k / 200}\n" for k in range(80))
        (tmp_path / f"{name}.csv").write_text(f"{head}\n{rows}", "utf-8")
    told = [found for found in Own(tmp_path).verify() if "several rates" in found.what]
    assert [found.severity for found in told] == ["warning"]
