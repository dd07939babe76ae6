"""Writers of five labs' folders. In each, arousal raises skin conductance and heart rate.

Every folder has what such labs do by themselves: names and decimals of their country, local times, codes in place of
names, a questionnaire with a column for each film, an experiment's log, a file of a pilot.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from embench_plugins.datasets.synthetic.body import Body, Brain

PEOPLE, FILM_S, PAUSE_S = 12, 40, 15
FILMS = ("joy1", "joy2", "fear1", "fear2", "sea")
AROUSING = {"joy1": 6.0, "joy2": 5.5, "fear1": 7.0, "fear2": 6.5, "sea": 3.0}
PLEASANT = {"joy1": 7.5, "joy2": 7.0, "fear1": 2.5, "fear2": 3.0, "sea": 6.0}
START = datetime(2024, 3, 1, 13, 5, tzinfo=UTC)
CENTRAL_EUROPE = timezone(timedelta(hours=1))  # in winter


@dataclass(frozen=True)
class Session:
    """What a person saw and felt: films in their order, when each begins (s), ratings from 1 to 9."""

    person: int
    films: tuple[str, ...]
    begins: tuple[float, ...]
    arousal: tuple[int, ...]
    valence: tuple[int, ...]
    start: datetime

    @property
    def seconds(self) -> int:
        """Length of the whole recording."""
        return round(self.begins[-1]) + FILM_S + PAUSE_S

    def felt(self, rate: float) -> np.ndarray:
        """Arousal at every sample, 0 between films."""
        felt = np.zeros(round(self.seconds * rate))
        for begin, value in zip(self.begins, self.arousal, strict=True):
            felt[round(begin * rate) : round((begin + FILM_S) * rate)] = value - 5
        return felt


def sessions(people: int = PEOPLE, films: Sequence[str] = FILMS, seed: int = 0) -> list[Session]:
    """The sessions of all people, an hour apart."""
    made = []
    for person in range(1, people + 1):
        rng = np.random.default_rng([seed, person])
        order = [films[k] for k in rng.permutation(len(films))]
        begins = tuple(20.0 + k * (FILM_S + PAUSE_S) + round(rng.uniform(0, 4)) for k in range(len(films)))
        rated = [
            tuple(int(np.clip(round(mean[film] + 2 * rng.standard_normal()), 1, 9)) for film in order)
            for mean in (AROUSING, PLEASANT)
        ]
        made.append(Session(person, tuple(order), begins, *rated, START + timedelta(hours=person, seconds=7 * person)))
    return made


def body(session: Session, rate: float, kind: str) -> np.ndarray:
    """A signal of the person at a rate: `eda` in uS, `ecg` in mV, `ppg` without unit, `temp` in degC, `acc` in g."""
    rng = np.random.default_rng([1, session.person, sum(map(ord, kind))])
    own, felt = Body.draw(rng), session.felt(rate)
    if kind == "eda":
        return own.draw_eda(np.exp(np.log(6) + 0.25 * felt), rate, rng)
    if kind == "temp":
        return own.draw_temperature(len(felt), rate, rng)
    if kind == "acc":
        return own.draw_acceleration(len(felt), rate, rng)
    phase = own.draw_heart_phase(70 + 2.5 * felt, own.draw_breath_phase(len(felt), rate, rng), rate, rng)
    return own.draw_ecg(phase, rate, rng) if kind == "ecg" else 40 * own.draw_ppg(phase, rate, rng)


def wristband(root: Path, people: int = PEOPLE) -> Path:
    """A German lab: Empatica E4 exports that went through Excel (decimal commas), a table of films in local time."""
    rows = ["VP;Film;Beginn;Ende;Valenz;Erregung;Bemerkung"]
    for one in sessions(people):
        folder = root / "Rohdaten" / f"VP{one.person:02d}"
        folder.mkdir(parents=True)
        start = f"{one.start.timestamp():.6f}"
        for name, rate, kind in (("BVP", 64, "ppg"), ("EDA", 4, "eda"), ("TEMP", 4, "temp"), ("ACC", 32, "acc")):
            data = np.atleast_2d(body(one, rate, kind))
            data = np.round(64 * data) if kind == "acc" else data
            head = [";".join([text] * len(data)) for text in (start, f"{rate:.6f}")]
            lines = [*head, *(";".join(f"{v:.3f}" for v in row) for row in data.T)]
            (folder / f"{name}.csv").write_text("\n".join(lines).replace(".", ",") + "\n")
        (folder / "tags.csv").write_text("")
        for film, begin, valence, arousal in zip(one.films, one.begins, one.valence, one.arousal, strict=True):
            times = [one.start.astimezone(CENTRAL_EUROPE) + timedelta(seconds=s) for s in (begin, begin + FILM_S)]
            shown = ";".join(f"{time:%d.%m.%Y %H:%M:%S}" for time in times)
            rows.append(f"{one.person};{film};{shown};{valence};{arousal};")
    (root / "Bewertungen.csv").write_text("\ufeff" + "\r\n".join(rows) + "\r\n", "utf-8")
    (root / "Protokoll.txt").write_text("VP03 hat zweimal gehustet.\n")
    return root


def brainvision(root: Path, people: int = PEOPLE) -> Path:
    """An EEG lab: BrainVision files with markers by number, ratings by code, and a list of the codes."""
    codes = {film: 11 + k for k, film in enumerate(FILMS)}
    channels = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2")
    (root / "eeg").mkdir(parents=True)
    rows, rate = ["subject,code,valence,arousal"], 250
    for one in sessions(people):
        stem = f"emofilm_{one.person:04d}"
        rng = np.random.default_rng([2, one.person])
        felt = one.felt(rate)
        data = [10 * Brain.draw(rng, channels).draw_eeg(0.3 * felt, len(felt), float(rate), rng, band=(0.5, 45))]
        data += [body(one, rate, "eda")[None]]
        names = [f"Ch{k + 1}={name},,0.1,µV" for k, name in enumerate(channels)] + ["Ch9=EDA,,0.001,µS"]
        header = ["Brain Vision Data Exchange Header File Version 1.0", "", "[Common Infos]", "Codepage=UTF-8",
                  f"DataFile={stem}.eeg", f"MarkerFile={stem}.vmrk", "DataFormat=BINARY", "DataOrientation=MULTIPLEXED",
                  "NumberOfChannels=9", f"SamplingInterval={1e6 / rate:g}", "", "[Binary Infos]",
                  "BinaryFormat=INT_16", "", "[Channel Infos]", *names]  # fmt: skip
        markers = ["Brain Vision Data Exchange Marker File, Version 1.0", "", "[Common Infos]", "Codepage=UTF-8",
                   f"DataFile={stem}.eeg", "", "[Marker Infos]",
                   f"Mk1=New Segment,,1,1,0,{one.start:%Y%m%d%H%M%S}000000"]  # fmt: skip
        for film, begin in zip(one.films, one.begins, strict=True):
            for code, second in ((codes[film], begin), (99, begin + FILM_S)):
                markers.append(f"Mk{len(markers) - 6}=Stimulus,S{code:3d},{round(second * rate) + 1},1,0")
        for film, valence, arousal in zip(one.films, one.valence, one.arousal, strict=True):
            rows.append(f"{one.person},{codes[film]},{valence},{arousal}")
        counts = np.round(np.vstack([data[0] / 0.1, data[1] / 0.001])).astype("<i2")
        (root / "eeg" / f"{stem}.eeg").write_bytes(counts.T.tobytes())
        (root / "eeg" / f"{stem}.vhdr").write_text("\n".join(header) + "\n", "utf-8")
        (root / "eeg" / f"{stem}.vmrk").write_text("\n".join(markers) + "\n", "utf-8")
    (root / "ratings.csv").write_text("\n".join(rows) + "\n")
    listed = [f"{code},{film}" for film, code in codes.items()]
    (root / "codes.csv").write_text("\n".join(["code,film", *listed, "99,end"]) + "\n")
    return root


def streams(root: Path, people: int = PEOPLE) -> Path:
    """A lab with Lab Streaming Layer: LabRecorder's XDF files, markers of its experiment, a table of ratings each."""
    (root / "ratings").mkdir(parents=True)
    for one in sessions(people):
        name = f"P{one.person:03d}"
        folder = root / f"sub-{name}" / "ses-S001" / "eeg"
        folder.mkdir(parents=True)
        texts = [("experiment_start", 1.0)]
        for film, begin in zip(one.films, one.begins, strict=True):
            texts += [(f"film_start_{film}", begin), ("film_end", begin + FILM_S)]
        ecg, eda = body(one, 250, "ecg"), body(one, 250, "eda")
        write_xdf(
            folder / f"sub-{name}_ses-S001_task-Default_run-001_eeg.xdf",
            [("BITalino", "Physio", 250.0, [("ECG", "mV"), ("EDA", "uS")], np.stack([ecg, eda], 1).astype("<f4"))],
            [("PsychoPy", texts)],
            origin=5000.0 + one.person,
        )
        lines = [f"{f},{a},{v}" for f, a, v in zip(one.films, one.arousal, one.valence, strict=True)]
        (root / "ratings" / f"{name}.csv").write_text("\n".join(["film,arousal,valence", *lines]) + "\n")
    return root


Stream = tuple[str, str, float, list[tuple[str, str]], np.ndarray]


def write_xdf(
    path: Path, signals: Sequence[Stream], markers: Sequence[tuple[str, list[tuple[str, float]]]], *, origin: float
) -> None:
    """An XDF 1.0 file: streams of numbers at even times from `origin`, and of texts, each with its second."""

    def sized(content: bytes) -> bytes:
        return b"\x04" + struct.pack("<I", len(content)) + content

    def chunk(tag: int, content: bytes) -> bytes:
        length = len(content) + 2
        return b"\x04" + struct.pack("<I", length) + struct.pack("<H", tag) + content

    def header(number: int, name: str, kind: str, rate: float, form: str, channels: list[tuple[str, str]]) -> bytes:
        listed = "".join(f"<channel><label>{c}</label><unit>{u}</unit></channel>" for c, u in channels)
        text = (
            f'<?xml version="1.0"?><info><name>{name}</name><type>{kind}</type><channel_count>{len(channels)}'
            f"</channel_count><nominal_srate>{rate:g}</nominal_srate><channel_format>{form}</channel_format>"
            f"<source_id>lab</source_id><hostname>lab-pc</hostname><desc><channels>{listed}</channels></desc></info>"
        )
        return chunk(2, struct.pack("<I", number) + text.encode())

    with path.open("wb") as file:
        file.write(b"XDF:")
        file.write(chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>'))
        for number, (name, kind, rate, channels, data) in enumerate(signals, 1):
            file.write(header(number, name, kind, rate, "float32", channels))
            for first in range(0, len(data), 2000):
                rows = data[first : first + 2000]
                stamp = b"\x08" + struct.pack("<d", origin + first / rate)
                values = b"\0".join(row.tobytes() for row in rows)  # the first of a chunk has its time
                file.write(chunk(3, struct.pack("<I", number) + sized_count(len(rows)) + stamp + values))
            file.write(footer(chunk, number, origin, origin + (len(data) - 1) / rate, len(data)))
        for number, (name, texts) in enumerate(markers, len(signals) + 1):
            file.write(header(number, name, "Markers", 0.0, "string", [("marker", "")]))
            rows = b"".join(
                b"\x08" + struct.pack("<d", origin + second) + sized(text.encode()) for text, second in texts
            )
            file.write(chunk(3, struct.pack("<I", number) + sized_count(len(texts)) + rows))
            file.write(footer(chunk, number, origin + texts[0][1], origin + texts[-1][1], len(texts)))


def sized_count(count: int) -> bytes:
    return b"\x04" + struct.pack("<I", count)


def footer(chunk: Callable[[int, bytes], bytes], number: int, first: float, last: float, count: int) -> bytes:
    text = (
        f'<?xml version="1.0"?><info><first_timestamp>{first}</first_timestamp><last_timestamp>{last}</last_timestamp>'
        f"<sample_count>{count}</sample_count><clock_offsets></clock_offsets></info>"
    )
    return chunk(6, struct.pack("<I", number) + text.encode())


def strap(root: Path, people: int = PEOPLE) -> Path:
    """A sports lab: ECG of a chest strap as the phone saved it, one wide questionnaire, times on the wall clock."""
    (root / "Polar").mkdir(parents=True)
    conditions = ("baseline", "stroop", "speech")
    head = ["ID", "Age", "Sex"] + [f"{c}_{what}" for c in conditions for what in ("start", "end", "stress", "valence")]
    rows = [",".join(head)]
    for one in sessions(people, ("sea", "joy1", "fear1")):
        ecg, rate = body(one, 130, "ecg"), 130
        stamps = one.start.timestamp() + np.arange(len(ecg)) / rate
        lines = [
            f"{datetime.fromtimestamp(t, UTC).astimezone(CENTRAL_EUROPE):%Y-%m-%dT%H:%M:%S.%f}"[:-3]
            + f";{599616000_000000000 + round((t - 946684800) * 1e9)};{1000 * k / rate:.3f};{round(1000 * v)}"
            for k, (t, v) in enumerate(zip(stamps, ecg, strict=True))
        ]
        name = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]"
        (root / "Polar" / f"{one.person:03d}_ECG.txt").write_text("\n".join([name, *lines]) + "\n")
        cells = [str(one.person), str(19 + one.person), "fm"[one.person % 2]]
        for k, begin in enumerate(one.begins):
            times = [one.start.astimezone(CENTRAL_EUROPE) + timedelta(seconds=s) for s in (begin, begin + FILM_S)]
            cells += [*(f"{time:%H:%M:%S}" for time in times), str(one.arousal[k]), str(one.valence[k])]
        rows.append(",".join(cells))
    (root / "questionnaire.csv").write_text("\n".join(rows) + "\n")
    return root


def bids(root: Path, people: int = PEOPLE) -> Path:
    """A lab that shares by BIDS: ECG and EDA as physio.tsv.gz, films and ratings in events.tsv."""
    import gzip
    import json

    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Films", "BIDSVersion": "1.9.0"}))
    listed = ["participant_id\tage\tsex"]
    for one in sessions(people):
        name, rate = f"sub-{one.person:02d}", 100
        folder = root / name / "beh"
        folder.mkdir(parents=True)
        data = np.stack([body(one, rate, "ecg"), body(one, rate, "eda")], 1)
        text = "".join(f"{a:.4f}\t{b:.4f}\n" for a, b in data.tolist())
        stem = folder / f"{name}_task-films"
        Path(f"{stem}_physio.tsv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        side = {"SamplingFrequency": rate, "StartTime": 0, "Columns": ["cardiac", "skinconductance"],
                "cardiac": {"Units": "mV"}, "skinconductance": {"Units": "uS"}}  # fmt: skip
        Path(f"{stem}_physio.json").write_text(json.dumps(side))
        events = ["onset\tduration\ttrial_type\tstim_file\tvalence\tarousal"]
        for film, begin, valence, arousal in zip(one.films, one.begins, one.valence, one.arousal, strict=True):
            events.append(f"{begin:g}\t{FILM_S}\tfilm\t{film}.mp4\t{valence}\t{arousal}")
            events.append(f"{begin + FILM_S:g}\t{PAUSE_S - 6}\tpause\tn/a\tn/a\tn/a")
        Path(f"{stem}_events.tsv").write_text("\n".join(events) + "\n")
        listed.append(f"{name}\t{20 + one.person}\t{'FM'[one.person % 2]}")
    (root / "participants.tsv").write_text("\n".join(listed) + "\n")
    return root
