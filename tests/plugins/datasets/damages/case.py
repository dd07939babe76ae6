"""Damaged copies of CASE: of a session of 40 s, the shortest that there is, and of its raw files."""

import itertools
import random
from pathlib import Path

from embench_plugins.datasets.case import synthetic
from embench_plugins.datasets.case.reader import Case

from .. import edit
from ..damage import Copy, Edit, Table, noted, nothing, refused, same, warned

DATA = "CASE_full/data/interpolated"
SIGNALS, STICK = f"{DATA}/physiological/sub_1.csv", f"{DATA}/annotations/sub_1.csv"
RAW = "CASE_full/data/raw/physiological/sub1_DAQ.txt"
ORDER, TIMES = "CASE_full/metadata/seqs_order.txt", "CASE_full/metadata/videos_duration.txt"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 155000000\n"
HEADER = "daqtime,ecg,bvp,gsr,rsp,skt,emg_zygo,emg_coru,emg_trap,video\n"


def one(root: Path) -> None:
    synthetic.synthesize(root, 1, seed=4, effect=1.0, length_s=40.0)


def raw(root: Path) -> None:
    synthetic.synthesize(root, 1, seed=4, effect=1.0, length_s=40.0, trees=("raw",))


def upto_clip(number: int) -> Edit:
    """The rows up to a second after a clip has begun, which one of the blue screens (code 11) comes before."""

    def change(rows: list[str]) -> list[str]:
        codes = [row.rpartition(",")[2] for row in rows]
        starts = [at for at, (before, code) in enumerate(itertools.pairwise(codes)) if before == "11" != code]
        return rows[: starts[number] + 1000]

    return edit.lines(change)


def other_program(rows: list[str]) -> list[str]:
    """A byte order mark, other ends of lines, quoted capitals, and a column more."""
    head = ",".join(f'"{name.upper()}"' for name in rows[0].split(","))
    return [f'\ufeff"row", {head}\r', *(f"{number},{row}\r" for number, row in enumerate(rows[1:]))]


def shuffled(rows: list[str]) -> list[str]:
    """Rows in any order, and columns from right to left."""
    rows[1:] = random.Random(0).sample(rows[1:], len(rows) - 1)
    return [",".join(row.split(",")[::-1]) for row in rows]


def hotter(rows: list[str]) -> list[str]:
    """Volts of raw temperatures that are ten times too many."""
    cells = [row.split("\t") for row in rows]
    return ["\t".join([*row[:5], str(10 * float(row[5])), *row[6:]]) for row in cells]


def end_of_video_3(rows: list[str]) -> list[str]:
    """An impossible time in the last row of a video."""
    at = max(number for number, row in enumerate(rows) if row.endswith(",3"))
    rows[at] = f"{10**15},{rows[at].partition(',')[2]}"
    return rows


def stick_for_signals(path: Path) -> None:
    path.write_bytes((path.parents[1] / "annotations" / path.name).read_bytes())


def one_of_three_shorter(folder: Path) -> None:
    """Nothing but rows of the last video, which is not read, are lost."""
    for part, name in itertools.product(("physiological", "annotations"), ("sub_2.csv", "sub_3.csv")):
        edit.twin(name)(folder / part / "sub_1.csv")
    edit.lines(lambda rows: rows[:-500])(folder / "physiological/sub_1.csv")


exchanged = edit.both(
    edit.replace("scary-1", "x"), edit.replace("scary-2", "scary-1"), edit.replace('"x"', '"scary-2"')
)


def scaled(value: str) -> float:
    return (float(value) - 5) / 4.5


DAMAGES: Table = {
    Copy("case", Case, "sub_1", one): [
        # Through other programs.
        same("CASE_full", edit.move("download/CASE_full")),
        same(f"{DATA}/*/sub_1.csv", edit.lines(other_program)),
        same(f"{DATA}/*/sub_1.csv", edit.lines(shuffled), "warning", "not in order of time: sorted"),
        noted(SIGNALS, edit.column("gsr", lambda _: "", row=20_000), "1 empty cells"),
        warned(SIGNALS, edit.replace(",12\n", ",9\n"), "unknown video codes [9.0]"),
        warned(STICK, edit.column("arousal", lambda x: "5.003" if x == "5" else x), "arousal rests at 5.003, not 5"),
        warned(STICK, edit.column("valence", lambda _: 9.8, row=9), "1 values of valence off the scale"),
        warned(STICK, edit.lines(lambda rows: rows[: len(rows) // 2]), "before the last clip"),
        warned(ORDER, exchanged, "by metadata/seqs_order.txt"),
        # Other units.
        refused(SIGNALS, edit.column("skt", lambda x: (float(x) + 32.085) / 21.341), "column skt", hint="volts belong"),
        refused(SIGNALS, edit.column("daqtime", lambda x: int(x) / 1000), "ms apart", hint="another unit"),
        refused(STICK, edit.column("jstime", lambda x: int(x) / 1000), "ms apart", hint="another unit"),
        refused(SIGNALS, edit.lines(lambda rows: [rows[0], *rows[1::50]]), "rows are 50 ms apart", hint="resampled"),
        refused(
            STICK, edit.both(edit.column("valence", scaled), edit.column("arousal", scaled)),
            "valence and arousal go up to", expected="0.5 to 9.5",
        ),
        # Cells, rows, columns.
        refused(SIGNALS, edit.column("bvp", lambda _: "oops", row=1234), "column bvp, row 1235", "oops"),
        refused(STICK, edit.column("arousal", lambda _: "oops", row=123), "column arousal, row 124", "oops"),
        refused(SIGNALS, edit.column("daqtime", lambda _: "", row=1234), "daqtime, row 1235: no value", expected=None),
        refused(SIGNALS, edit.column("video", lambda _: "", row=1234), "video, row 1235: no value", expected=None),
        refused(SIGNALS, edit.column("video", lambda _: 3, row=2), "column video", "scattered"),
        refused(SIGNALS, edit.lines(end_of_video_3), "scattered"),
        refused(SIGNALS, edit.write("daqtime,ecg,bvp,rsp,skt,emg_zygo,emg_coru,emg_trap\n0"), "no column gsr, video"),
        refused(SIGNALS, upto_clip(4), "no rows of video"),
        refused(SIGNALS, upto_clip(7), "inside video"),
        # Files.
        refused(SIGNALS, edit.write(""), "0 bytes"),
        refused(SIGNALS, edit.write(bytes(1000)), "no column daqtime"),
        refused(SIGNALS, edit.write(HEADER), "not readable as a table"),
        refused(SIGNALS, stick_for_signals, "no column daqtime"),
        nothing(SIGNALS, edit.write(POINTER), "pointers", at=DATA, hint="git lfs pull"),
        nothing(SIGNALS, edit.twin("sub_01.csv"), "two files of subject 1"),
        nothing(f"{DATA}/physiological", edit.remove, "no files in physiological"),
        nothing(f"{DATA}/annotations", edit.remove, "no files in annotations"),
        warned(f"{DATA}/physiological/sub_1.csv", edit.twin("sub_2.csv"), "sub_2.csv", "no file of annotations"),
        warned(DATA, one_of_three_shorter, "sub_1: ", "a truncated copy?"),
    ],
    Copy("case raw", Case, "sub_1", raw): [
        refused(RAW, edit.lines(hotter), "column skt"),
        refused(RAW, edit.lines(lambda rows: rows[:38_000]), "inside video"),
        refused(
            "CASE_full/metadata", edit.remove, "do not say which video was on", "seqs_order.txt",
            at="CASE_full/data/raw",
        ),
        refused(ORDER, edit.replace('"seq_sub1"', '"seq_sub31"'), "no column of subject 1", hint=None),
        refused(ORDER, edit.replace("amusing-1", "amusing-3"), "no duration of video amusing-3", at=TIMES, hint=None),
        refused(ORDER, edit.replace("amusing-1", "bluVid"), "7 emotional videos", hint=None),
        refused(TIMES, edit.replace('bluVid"\t', 'bluVid"\tx'), "video bluVid has no duration"),
        refused(TIMES, edit.replace('"scary-1"', '"scary"'), "duration of video scary-1", hint=None),
    ],
    Copy("no case", Case, "sub_1", edit.nothing): [
        nothing(".", edit.remove, "no such folder"),
        nothing(".", edit.nothing, "no file of CASE", "empty"),
        nothing("S2/S2.pkl", edit.write(""), "but S2, S2/S2.pkl"),
        nothing("CASE_full.zip", edit.write(b"PK\x05\x06" + bytes(18)), "not unpacked", hint="unzip 'CASE_full.zip'"),
        nothing(
            "data/interpolated/physiological/README.txt",
            edit.both(edit.write("made by the scripts"), edit.twin("../annotations/README.txt")),
            "there are no data", hint="CASE_full.zip",
        ),
    ],
}  # fmt: skip
