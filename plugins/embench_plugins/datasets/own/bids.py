"""A task of a BIDS dataset: EEG and what was recorded with it, through mne-bids, and physiology beside it.

EEG files are EDF, BDF, BrainVision or EEGLAB, as BIDS has them. Physiology is `*_physio.tsv.gz` with its sidecar, which
needs no further package.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import POTENTIALS, VOLTS, card_unit, factor
from embench_plugins.datasets.formats.tracks import Track, part
from embench_plugins.datasets.formats.units import unit_of
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.found import Kind, modality_of
from embench_plugins.datasets.own.layout import ENTITIES, OwnChannels
from embench_plugins.datasets.own.signals import Read, in_memory, made

EXTENSIONS = (".edf", ".bdf", ".vhdr", ".set")
_NAME = re.compile(
    r"sub-(?P<participant>[A-Za-z0-9]+)(_ses-(?P<session>[A-Za-z0-9]+))?_task-(?P<task>[A-Za-z0-9]+)"
    r"(_acq-[A-Za-z0-9]+)?(_run-(?P<run>[A-Za-z0-9]+))?(_[a-z]+-[A-Za-z0-9]+)*_(eeg|physio)\.[\w.]+"
)
_SI = {**{name: 1 / volts for name, volts in VOLTS.items()}, "S": 1.0, "mS": 1e3, "uS": 1e6}
"""Unit -> what a value of mne, in volt or siemens, is multiplied with."""
_VOLTAGES = ("eeg", "ecg", "emg", "eog", "bio")
_MOST_BYTES = 2_000_000_000


def find_bids(root: Path, task: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """The recordings of a task: the EEG's file, or the physiology's where there is no EEG, with what its name says."""
    seen: set[tuple[str, ...]] = set()
    for form in (f"sub-*/**/sub-*_task-{task}_*_eeg.*", f"sub-*/**/sub-*_task-{task}_eeg.*",
                 f"sub-*/**/sub-*_task-{task}_*physio.tsv.gz"):  # fmt: skip
        for path in sorted(root.glob(form)):
            name = _NAME.fullmatch(path.name)
            suffix = ".tsv.gz" if path.name.endswith(".tsv.gz") else path.suffix.lower()
            if name is None or not path.is_file() or suffix not in (*EXTENSIONS, ".tsv.gz"):
                continue
            facts = {entity: name[entity] for entity in ENTITIES if name[entity]}
            key = tuple(facts.values())
            if key not in seen:
                seen.add(key)
                yield path, facts


def bids_files(path: Path) -> list[Path]:
    """All files of a recording: its data, its physiology and its sidecars."""
    start = re.sub(r"_(recording-[A-Za-z0-9]+_)?(eeg|physio)\..*", "_", path.name)
    return sorted(p for p in path.parent.parent.glob(f"*/{start}*") if p.is_file())


def read_bids(root: Path, path: Path, channels: Mapping[str, OwnChannels], where: str) -> Read:
    """One recording.

    Args:
        path: as `find_bids` gave it.
        channels: modality -> what the description says of it.
        where: file and line where it does.

    Raises:
        DataError: mne-bids is not installed, a file cannot be read, or a channel is in none.
    """
    raw = None if path.name.endswith(".tsv.gz") else _raw(root, path)
    physio = [table for file in bids_files(path) if file.name.endswith("_physio.tsv.gz") for table in [_physio(file)]]
    found = {}
    for m, own in channels.items():
        wanted = list(own.channels.values())
        holding = [table for table in physio if set(wanted) <= set(table)]
        if raw is not None and set(wanted) <= set(raw.ch_names):
            data, rate = raw.get_data(picks=wanted) * _scale(raw, own, m, wanted, where), float(raw.info["sfreq"])
        elif holding:
            tracks = [holding[0][name] for name in wanted]
            data = np.stack([t.read(0, t.samples) * factor(path, m, own, t, where) for t in tracks])
            rate = tracks[0].rate
        else:
            there = [*(raw.ch_names if raw is not None else []), *(name for table in physio for name in table)]
            missing = next(name for name in wanted if name not in there) if set(wanted) - set(there) else wanted[0]
            raise DataError(
                f"{path.name} has no channel `{missing}` of {m}, or not with the others in one file",
                where=where,
                expected=f"channels among {', '.join(map(str, there[:40]))}",
            )
        found[m] = made(list(data), rate, m, own)
    return in_memory(found)


def _raw(root: Path, path: Path) -> Any:
    try:
        import mne
        import mne_bids
    except ImportError as error:
        hint = "pip install mne-bids"
        raise DataError("EEG of a BIDS dataset needs mne-bids", where=str(path), hint=hint) from error
    try:
        with warnings.catch_warnings(), mne.utils.use_log_level("error"):
            warnings.simplefilter("ignore")
            place = mne_bids.get_bids_path_from_fname(path, check=False)
            return mne_bids.read_raw_bids(place.update(root=root), verbose="error")
    except Exception as error:  # mne and its readers raise whatever a damaged file makes them
        what = " ".join(str(error).split())[:300]
        raise DataError(
            f"mne-bids cannot read it: {what}", where=str(path), expected="a file as the BIDS standard has it",
            hint="bids-validator says what is wrong with a BIDS dataset",
        ) from error  # fmt: skip


def _scale(raw: Any, own: OwnChannels, modality: str, wanted: list[str], where: str) -> float:
    """The factor that brings mne's values to the card's unit: they are in volt, siemens, or as in the file."""
    kinds = dict(zip(wanted, raw.get_channel_types(picks=wanted), strict=True))
    if modality in POTENTIALS:
        if other := [name for name, kind in kinds.items() if kind not in _VOLTAGES]:
            raise DataError(
                f"`{other[0]}` is of type {kinds[other[0]]}, whose unit nobody knows, and {modality} is a voltage",
                where=where,
                expected=f"a type in channels.tsv among {', '.join(_VOLTAGES)}",
            )
        return _SI[POTENTIALS[modality]]
    unit = card_unit(modality, own.unit)
    return _SI[unit] if set(kinds.values()) == {"gsr"} and unit in _SI else 1.0


def _physio(path: Path) -> dict[str, Track]:
    """Columns of a physiology file from the first sample of the EEG on, in the units of its sidecar."""
    sidecar = path.with_name(path.name.replace(".tsv.gz", ".json"))
    try:
        about = json.loads(sidecar.read_text("utf-8-sig"))
        names, rate = [str(name) for name in about["Columns"]], float(about["SamplingFrequency"])
        start = float(about["StartTime"])
        if not (0 < rate <= 1e6 and abs(start) < 1e6 and len(set(names)) == len(names)):
            raise ValueError(f"a rate of {rate:g} Hz from {start:g} s on")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"no sidecar with Columns, SamplingFrequency and StartTime: {error}", where=str(sidecar)
        ) from error
    try:
        with gzip.open(path) as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise DataError(f"it is over {_MOST_BYTES / 1e9:g} GB unpacked", where=str(path))
        table = pd.read_csv(io.BytesIO(content), sep="\t", header=None, na_values=["n/a"], dtype=np.float64)
    except (OSError, EOFError, zlib.error, ValueError, pd.errors.ParserError) as error:
        raise DataError(f"not readable: {error}", where=str(path), expected="numbers between tabs, in gzip") from error
    if table.shape[1] != len(names) or table.empty:
        raise DataError(f"{table.shape[1]} columns", where=str(path), expected=f"{', '.join(names)}, by its sidecar")
    values = table.to_numpy(np.float64).T
    if start > 0:
        values = np.concatenate([np.full((len(names), round(start * rate)), np.nan), values], 1)
    values = values[:, max(0, round(-start * rate)) :]
    if not values.shape[1]:
        raise DataError(f"it ends before the EEG begins: StartTime is {start:g} s", where=str(path))
    stated = {name: own.get("Units") for name in names if isinstance(own := about.get(name), dict)}
    units = [unit_of(str(stated.get(name) or "")) for name in names]
    return {
        name: Track(name, rate, len(own), unit, partial(part, own))
        for name, own, unit in zip(names, values, units, strict=True)
    }


def bids_kinds(folder: Path) -> list[Kind]:
    """The tasks of a BIDS dataset as `data new` describes them: whose they are, and channels by their sidecars."""
    names = [p.name for p in sorted(folder.glob("sub-*/**/*_task-*"))[:20_000]]
    tasks = sorted({m[1] for name in names if (m := re.search(r"_task-([A-Za-z0-9]+)_", name))})
    return [kind for task in tasks if (kind := _kind(folder, task)) is not None]


def _kind(folder: Path, task: str) -> Kind | None:
    found = list(find_bids(folder, task))
    if not found:  # signals are elsewhere: what lies beside them says who there is
        sides = [(p, _SIDE.match(p.name)) for p in sorted(folder.glob(f"sub-*/**/sub-*_task-{task}_*"))]
        found = [(path, {"participant": who}) for who, path in {n[1]: p for p, n in reversed(sides) if n}.items()]
        found.sort(key=lambda each: each[0])
    if not found:
        return None
    entities = [name for name in ENTITIES if name != "task" and all(name in facts for _, facts in found)]
    facts = {name: [own[name] for _, own in found] for name in entities}
    kind = Kind(
        "", [path for path, _ in found], {n: v for n, v in facts.items() if n == "participant" or len(set(v)) > 1}
    )
    kind.bids = task
    first = found[0][0]
    for file in sorted(first.parent.parent.glob(f"*/{first.name.rpartition('_')[0]}_*")):
        if file.name.endswith("_channels.tsv"):
            rows = tables.rows(file)
            named = [(str(row["name"]), _TYPES.get(str(row["type"]).upper())) for _, row in rows.iterrows()]
            for name, modality in named:
                if modality:
                    kind.signals.setdefault(modality, {})[name] = name
                    kind.rates[modality], kind.units[modality] = 0.0, None
        elif file.name.endswith("_physio.tsv.gz"):
            tracks = _physio(file)
            kind.longest_s = max([kind.longest_s, *(track.duration_s for track in tracks.values())])
            for name, track in tracks.items():
                as_volts = name == "cardiac" and track.unit in VOLTS
                modality = "ecg" if as_volts else _COLUMNS.get(name) or modality_of(name)
                if modality:
                    kind.signals.setdefault(modality, {})[modality] = name
                    kind.rates[modality], kind.units[modality] = track.rate, track.unit
    return kind


_SIDE = re.compile(r"sub-([A-Za-z0-9]+)_task-[A-Za-z0-9]+")
_TYPES = {"EEG": "eeg", "ECG": "ecg", "EMG": "emg", "EOG": "eog", "HEOG": "eog", "VEOG": "eog", "GSR": "eda"}
"""Types of `channels.tsv` -> modalities."""
_COLUMNS = {"cardiac": "ppg", "respiratory": "resp"}
"""Columns of physiology, as BIDS calls them -> modalities."""
