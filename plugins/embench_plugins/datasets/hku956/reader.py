"""HKU956 (Hu, Li and Liu 2022): 30 subjects with a wristband listen to songs and rate what each made them feel.

Reads `1. physiological_signals/hku1903/BVP/0_262957.csv` and so on (a file for each song and signal of an Empatica E4,
one sample on each line, without a header) and the ratings in `3. AV_ratings.csv`. A file's name states the song's
position in the session, from 0, and the song's id. A recording is one song.

Signals of a song begin and end together. How long a song was played is known, but not the pauses between songs. The
start of a song in the session is thus unknown (`start_s`), its position is known (`order`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Download, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.ratings import make_binary_targets, make_value_targets

SIGNALS = "1. physiological[ _]signals"
"""Pattern of the folder's name: the release's readme has a space, its archive an underscore."""

RATINGS = "3. AV_ratings.csv"
PERSONALITY = "4. participant_personality.csv"
COLUMNS = ("participant_id", "song_no", "song_id", "valence_rating", "valence", "arousal_rating", "arousal",
           "play_duration")  # fmt: skip
SIGNS = {-1: "negative", 0: "neutral", 1: "positive"}
"""Sign of a rating -> the release's word for it."""

CARDS = {name: e4.CARDS[name] for name in ("ppg", "eda", "temp")} | {"hr": ModalityCard(("hr",), 1.0, "bpm")}
FOLDERS = {"ppg": "BVP", "eda": "EDA", "temp": "TEMP", "hr": "HR"}
PEOPLE = tuple(f"hku{number}" for number in range(1903, 1933))
OPTIONAL = ("hr",)
AXES = ("valence", "arousal")
FLAT_US = 0.1
APART_S = 2.0
OBTAIN = "embench data fetch hku956, or get the release from datahub.hku.hk, article 21080821"
EXPECTED = "1. physiological_signals/hku1903/BVP/0_262957.csv and so on, beside 3. AV_ratings.csv"
_SONG = re.compile(r"(\d{1,4})_(\d{1,9})\.csv")


class Song(NamedTuple):
    """A row of the table of ratings: seconds that the song was played; axis -> its rating, without missing ones; axis
    -> the release's word for its sign."""

    played_s: float
    ratings: dict[str, float]
    signs: dict[str, str]


class Hku956(Dataset):
    """Reader of HKU956. A recording is a song of a subject (`hku1903_0_262957`); its stimulus is the song's id."""

    card = Card(
        name="hku956",
        title="HKU956, songs heard by 30 people",
        citation="Hu, Li and Liu, Detecting Music-Induced Emotion Based on Acoustic Analysis and Physiological "
        "Sensing: A Multimodal Approach, Applied Sciences 12(18):9354, 2022",
        doi="10.3390/app12189354",
        licence="CC BY-NC 4.0",
        obtain=OBTAIN,
        modalities=CARDS,
        default_modalities=("ppg", "eda", "temp"),
        targets=(
            # A rating of 0 is neither positive nor negative: the release calls it neutral.
            *make_binary_targets(AXES, LabelRule("value", cut=0.0, ties="drop"), (-10.0, 10.0)),
            *make_value_targets(AXES, LabelRule("value"), (-10.0, 10.0)),
        ),
        default_targets=AXES,
        mains_hz=50.0,
        longest_s=330.0,  # songs were played for 27 to 329 s
        labels_public="no",  # the licence allows to pass them on for non-commercial use, which no entry can ensure
        fixed_order=False,  # each subject chose other songs
        baseline=None,
        # The address that catalogues of datasets name; its publisher's page gives no digest of it.
        downloads=(Download("https://datahub.hku.hk/ndownloader/files/38149263", "HKU956.zip", sha256=None),),
        verified_on_real={
            "by": "tests of this reader, on all 30 subjects",
            "date": "2026-11-26",
            "fingerprint": "sha256 of 3. AV_ratings.csv 5da90e05ef9db86fb88caa0316829694"
            "b6654f73aca966f6b5f7ffa24b6e69a4",
        },
    )

    def subjects(self) -> list[str]:
        """Return the release's subjects with a folder of signals."""
        folder = self._signals_folder
        found = [person for person in PEOPLE if (folder / person).is_dir()]
        return files.require_subjects(found, self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)

    def files(self, subject: str) -> list[Path]:
        """Return one subject's signals and the table of ratings of all subjects."""
        signals = [path for song in self._songs(subject).values() for path in self._paths(subject, song).values()]
        return [path for path in (*signals, self._table_path) if path.is_file()]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the subject's songs, in the order in which they were played."""
        for order, name in sorted(self._songs(subject).items()):
            signals = self._signals(subject, name)
            row = self._table.get((subject, order))
            song = name.removesuffix(".csv").partition("_")[2]
            yield Recording(
                id=f"{subject}_{order}_{song}",
                subject=subject,
                stimulus=song,
                session="session",
                duration_s=min(signal.duration_s for signal in signals.values()),
                group=subject,
                start_s=None,
                order=order,
                signals=signals,
                labels={axis: Label("rating", np.array([value])) for axis, value in row.ratings.items()} if row else {},
            )

    def verify(self) -> list[Finding]:
        """Return findings on missing subjects, and on what is missing or odd in each subject's files and ratings."""
        return files.collect_findings(self.subjects(), PEOPLE, self._signals_folder, self._list_findings)

    @cached_property
    def _signals_folder(self) -> Path:
        """Folder of all signals: in the root, or in a folder inside it, as after unpacking an archive."""
        found = sorted(files.find_data_folder(self.root, SIGNALS).glob(SIGNALS))
        if not found:
            raise files.missing_dataset_error(self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)
        return found[0]

    @property
    def _table_path(self) -> Path:
        return self._signals_folder.parent / RATINGS

    def _songs(self, subject: str) -> dict[int, str]:
        """Return position in the session -> name of the song's files."""
        where = self._signals_folder
        folder = where / files.check_subject(subject, self.subjects(), where, hint=OBTAIN) / FOLDERS["ppg"]
        songs: dict[int, str] = {}
        for path in sorted(folder.glob("*.csv")):
            match = _SONG.fullmatch(path.name)
            if match and int(match[1]) in songs:
                what = f"two songs at position {int(match[1])}: {songs[int(match[1])]} and {path.name}"
                raise DataError(what, where=str(folder), expected="one song at each", hint=OBTAIN)
            if match:
                songs[int(match[1])] = path.name
        if not songs:
            raise DataError("there is no song", where=str(folder), expected="files such as 0_262957.csv", hint=OBTAIN)
        return songs

    def _paths(self, subject: str, name: str) -> dict[str, Path]:
        paths = {m: self._signals_folder / subject / folder / name for m, folder in FOLDERS.items()}
        return {m: path for m, path in paths.items() if m not in OPTIONAL or path.is_file()}

    def _signals(self, subject: str, name: str) -> dict[str, Signal]:
        """Return the signals of one song, cut to the segment that all of them cover."""
        paths = self._paths(subject, name)
        read = {m: _read_column(path, CARDS[m].unit) for m, path in paths.items()}
        seconds = {m: data.shape[1] / CARDS[m].rate for m, data in read.items()}
        shared = min(seconds.values())
        for modality, length in seconds.items():
            if length - shared > APART_S:
                short = min(seconds, key=lambda m: seconds[m])
                raise DataError(
                    f"lasts {shared:.1f} s, {FOLDERS[modality]} of the same song {length:.1f} s",
                    where=str(paths[short]),
                    expected="files of one length",
                    hint="the file is truncated: copy it again from the release",
                )
        return {
            m: Signal(data[:, : int(shared * CARDS[m].rate)], CARDS[m].rate, CARDS[m].channels, CARDS[m].unit)
            for m, data in read.items()
        }

    @cached_property
    def _table(self) -> dict[tuple[str, int], Song]:
        """(subject, position in the session) -> row of the table of ratings."""
        path, expected = self._table_path, f"a row a song with the columns {', '.join(COLUMNS)}"
        hint = "copy it again from the release"
        read = files.read_text_table(path, COLUMNS, expected=expected, hint=hint)
        numbers = files.to_numbers(
            read[["song_no", "song_id", "valence_rating", "arousal_rating", "play_duration"]],
            path, expected=expected, hint=hint,
        )  # fmt: skip
        table: dict[tuple[str, int], Song] = {}
        for k, row in enumerate(numbers.to_dict("records")):
            person, position = str(read["participant_id"].iloc[k]).strip(), row["song_no"]
            if position != position or position % 1 or (person, int(position)) in table:
                what = f"row {k + 1}: song {position:g} of {person} comes twice, or is not a position"
                raise DataError(what, where=str(path), expected=expected, hint=hint)
            table[person, int(position)] = Song(
                row["play_duration"],
                {axis: row[f"{axis}_rating"] for axis in AXES if np.isfinite(row[f"{axis}_rating"])},
                {axis: str(read[axis].iloc[k]).strip() for axis in AXES},
            )
        return table

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        where, songs, flat = str(self._signals_folder / subject), self._songs(subject), 0
        lost: dict[str, int] = dict.fromkeys(CARDS, 0)
        for order, name in sorted(songs.items()):
            signals, row = self._signals(subject, name), self._table.get((subject, order))
            length = min(signal.duration_s for signal in signals.values())
            if row is None:
                yield Finding("warning", where, f"{name} has no row in the table of ratings")
            else:
                if abs(row.played_s - length) > APART_S:
                    yield Finding("warning", where, f"{name} lasts {length:.0f} s, played for {row.played_s:g} s")
                if missing := [axis for axis in AXES if axis not in row.ratings]:
                    yield Finding("warning", where, f"{name} has no rating of {', '.join(missing)}")
                for axis, value in row.ratings.items():
                    if row.signs[axis] != SIGNS[int(np.sign(value))]:
                        what = f"{name}: {axis} is {value:g} and called {row.signs[axis]}"
                        yield Finding("warning", str(self._table_path), what)
            flat += bool(np.nanmax(signals["eda"].data, initial=-np.inf) < FLAT_US)
            for modality, signal in signals.items():
                lost[modality] += int((~np.isfinite(signal.data)).sum())
        if flat:
            yield Finding("note", where, f"eda stays below {FLAT_US} uS in {flat} of {len(songs)} songs")
        for modality, count in lost.items():
            if count:
                yield Finding("warning", where, f"{count} samples of {modality} are missing")
        if more := sorted(order for person, order in self._table if person == subject and order not in songs):
            what = f"rated, but without files: songs {', '.join(map(str, more))}"
            yield Finding("warning", where, what)


def _read_column(path: Path, unit: str) -> np.ndarray:
    """Return a file with one sample on each line as (1, n) float32."""
    data = e4.parse_rows(path, e4.read_text(path, hint=OBTAIN))
    if data.shape[1] != 1:
        raise DataError(f"{data.shape[1]} columns", where=str(path), expected="one sample a line", hint=OBTAIN)
    e4.refuse_header(data, path, 1)
    return e4.scale_samples(data, unit)
