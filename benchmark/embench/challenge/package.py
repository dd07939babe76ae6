"""The public package: signals, training labels, units and folds, and what a participant needs to begin."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from embench import registry
from embench.challenge.commitment import CommittedPart
from embench.challenge.form import TEMPLATES, Form
from embench.challenge.study import HostedStudy
from embench.data.find import DESCRIPTION, OWN
from embench.errors import CheckFailed, DataError, EmbenchError
from embench.files import parse_yaml, read_text, saving, sha256, write_text
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import Target
from embench.records.record import format_csv
from embench.system import ProgressCallback

CHALLENGE_FILE, UNITS_FILE, SUMS_FILE = "challenge.yaml", "units.csv", "SHA256SUMS"
BASELINE_FILE, STARTER, METHOD_FILE = "baseline.csv", "starter.py", "method.yaml"
HIDDEN, TRAINING_LABELS = "hidden", "training"
"""Value of `part` in the list of units. Which hidden subjects are in the final group stays secret."""


def write_public_package(
    folder: Path,
    study: HostedStudy,
    split: Mapping[str, CommittedPart],
    form: Form,
    facts: Mapping[str, Any],
    modalities: Sequence[str],
    progress: ProgressCallback | None = None,
) -> None:
    """Write the public package, and run its starter, whose predictions become the baseline.

    Args:
        facts: further content of challenge.yaml: commitments and numbers. `modalities`: those that are published.

    Raises:
        MachineError: a file cannot be written. CheckFailed: the starter does not run.
    """
    training = {name for name, part in split.items() if part == "training"}
    with saving("the public package", folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / UNITS_FILE, format_csv(rows := _list_units(study, training), list(rows[0])))
        write_text(folder / "folds.csv", format_csv(fold_rows := _list_folds(study, training), list(fold_rows[0])))
        channels = _write_recordings(folder, study, split, training, modalities, progress)
        write_text(folder / DESCRIPTION, _describe_dataset(study, form, channels))
        about = {**facts, "signals": channels["signals"]}
        write_text(folder / CHALLENGE_FILE, _describe_challenge(study, form, about))
        for name in ("RULES.md", METHOD_FILE, STARTER):
            text = (TEMPLATES / (f"{name}.txt" if name == STARTER else name)).read_text("utf-8")
            write_text(folder / name, text.replace("{{limit}}", str(form.submissions_per_team)))
        write_text(folder / "starter.ipynb", make_notebook(folder / STARTER))
    _run_starter(folder)
    _drop_unreadable(folder)
    with saving("the list of checksums", folder):
        write_text(folder / SUMS_FILE, "".join(f"{sha256(path)}  {name}\n" for name, path in _list_files(folder)))


def _drop_unreadable(folder: Path) -> None:
    """Delete dataset.yaml if embench cannot read the package by it, as with signals in units that are not physical."""
    reader = registry.load_plugin("dataset", OWN)(folder)
    try:
        faulty = any(finding.severity == "error" for finding in reader.verify())
    except EmbenchError:
        faulty = True
    if faulty:
        (folder / DESCRIPTION).unlink()


def _list_files(folder: Path) -> list[tuple[str, Path]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS_FILE)
    return [(path.relative_to(folder).as_posix(), path) for path in paths]


def _list_units(study: HostedStudy, training: set[str]) -> list[dict[str, Any]]:
    """Return a row for each unit. All units of hidden subjects are listed, with or without a label, since a missing row
    would say something about the label."""
    cohort, name = study.cohort, study.target.name
    session_of = {entry.id: entry.session for entry in study.store.recordings}
    rows = []
    for i in cohort.eligible:
        unit, value = cohort.units[i], cohort.label[name][i]
        public = unit.subject in training and math.isfinite(value)
        rows.append(
            {
                "subject": unit.subject, "group": cohort.groups[unit.subject], "recording": unit.recording,
                "stimulus": unit.stimulus, "unit": unit.id, "start_s": unit.start, "stop_s": unit.stop,
                "session_start_s": "" if math.isnan(unit.start_s) else unit.start_s,
                "target": name, "part": TRAINING_LABELS if unit.subject in training else HIDDEN,
                "label": f"{value:.9g}" if public else "",
                "folder": _place_of(unit.subject, session_of[unit.recording], unit.stimulus, unit.recording),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row["subject"], row["recording"], row["start_s"]))


def _list_folds(study: HostedStudy, training: set[str]) -> list[dict[str, Any]]:
    """Return a row for each subject. `fold_0` of a training subject is the fold that tests it in a cross-validation on
    training subjects."""
    cohort, subject_of = study.cohort, {unit.id: unit.subject for unit in study.cohort.units}
    fold_of = {subject_of[id_]: fold.index for fold in cohort.folds(study.protocol, 0) for id_ in fold.test}
    return [
        {
            "subject": name, "group": group, "part": TRAINING_LABELS if name in training else HIDDEN,
            "fold_0": fold_of.get(name, "") if name in training else "",
        }
        for name, group in study.groups.items()
    ]  # fmt: skip


# Recordings: signals of everyone, and raw labels of training subjects, as own recordings that embench reads.


def _write_recordings(
    folder: Path, study: HostedStudy, split: Mapping[str, CommittedPart], training: set[str], modalities: Sequence[str],
    progress: ProgressCallback | None,
) -> dict[str, Any]:  # fmt: skip
    """Write a MATLAB file for each recording and modality, and the table of training labels. Return what dataset.yaml
    needs: modality -> channels, rates and unit, and the kind of the label."""
    from scipy.io import savemat

    labels = study.store.labels()[study.target.label]
    used = {study.cohort.units[i].recording for i in study.cohort.eligible}
    found: dict[str, Any] = {"signals": {}, "label": None, "values": [], "table": []}
    for done, subject in enumerate(sorted(split), 1):
        for recording in study.source.reader.recordings(subject):
            if recording.id not in used:
                continue
            for name in modalities:
                if name in recording.signals:
                    signal = recording.signals[name]
                    place = (
                        folder / _place_of(subject, recording.session, recording.stimulus, recording.id) / f"{name}.mat"
                    )
                    _note_signal(found["signals"], name, signal, place)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    savemat(place, {name: np.ascontiguousarray(signal.data.T)}, do_compression=True)
            found["table"].append(_recording_row(recording))
            if subject in training and (label := labels.get(recording.id)) is not None:
                found["label"] = label
                found["values"] += _label_rows(recording, label)
        if progress:
            progress(done, len(split), "signals")
    names = ["participant", "recording", "stimulus", "session", "group", "start_s", "order"]
    write_text(folder / "recordings.csv", format_csv(found["table"], names))
    write_text(folder / "labels.csv", format_csv(found["values"], list(found["values"][0])))
    return found


def file_name(name: str) -> str:
    """Return a name for a file or folder; characters other than letters, digits, `-`, `_` become `-`.

    >>> file_name("P01/clip 3")
    'P01-clip-3'
    """
    return re.sub(r"[^A-Za-z0-9_-]", "-", name) or "-"


def _place_of(subject: str, session: str, stimulus: str, recording: str) -> str:
    """Return the folder of a recording's signals in the package, which names what `dataset.yaml` reads from it."""
    return "signals/" + "/".join(map(file_name, (subject, session, stimulus, recording)))


def _note_signal(known: dict[str, Any], name: str, signal: Any, place: Path) -> None:
    """Note channels, rate and unit of a modality. Raises DataError if they differ between recordings."""
    facts = {"channels": list(signal.channels), "rate": float(signal.rate), "unit": signal.unit}
    if known.setdefault(name, facts) != facts:
        raise DataError(
            f"recordings of {name} differ in channels, rate or unit",
            where=place.stem,
            expected=f"{known[name]['channels']} at {known[name]['rate']:g} Hz in {known[name]['unit']}",
            hint="choose other --modalities, or convert the files",
        )


def _recording_row(recording: Recording) -> dict[str, Any]:
    blank = {"start_s": recording.start_s, "order": recording.order}
    return {
        "participant": recording.subject, "recording": file_name(recording.id), "stimulus": recording.stimulus,
        "session": recording.session, "group": recording.group,
        **{key: "" if value is None else value for key, value in blank.items()},
    }  # fmt: skip


def _label_rows(recording: Recording, label: Label) -> Iterator[dict[str, Any]]:
    """Yield the rows of a recording in the table of labels: one, or one for each moment."""
    about = {"participant": recording.subject, "recording": file_name(recording.id)}
    times = [None] * len(label.values) if label.times is None else label.times.tolist()
    for time, value in zip(times, label.values.tolist(), strict=True):
        if math.isfinite(value):
            text = f"{value:.9g}" if label.classes is None else label.classes[int(value)]
            yield {**about, **({} if time is None else {"time_s": f"{time:.9g}"}), "label": text}


_GROUPS = {"table": "folds.csv", "id": "subject", "group": "group"}


def _describe_dataset(study: HostedStudy, form: Form, found: Mapping[str, Any]) -> str:
    """Return the text of dataset.yaml, by which embench reads the package as own recordings."""
    target, label = study.target, found["label"]
    keys = {"table": "recordings.csv", "keys": {"participant": "participant", "recording": "recording"}}
    start = {"start_s": {**keys, "column": "start_s"}} if all(row["start_s"] != "" for row in found["table"]) else {}
    rule: dict[str, Any] = {
        "table": "labels.csv", "keys": {"participant": "participant", "recording": "recording"}, "column": "label",
    }  # fmt: skip
    if label.times is not None:
        rule["time"] = "time_s"
    rule |= {"classes": list(label.classes)} if label.classes else {"scale": list(target.scale or _range(found))}
    content = {
        "name": form.name.lower(),
        "title": form.title,
        "citation": study.card.citation,
        "licence": form.ethics.access_agreement,
        "mains_hz": study.card.mains_hz,
        "longest_s": study.card.longest_s,
        "fixed_order": study.card.fixed_order,
        "labels_public": "no",
        **({"participants": dict(_GROUPS)} if any(own != group for own, group in study.groups.items()) else {}),
        "recordings": [
            {
                **start,
                "signals": {
                    name: {
                        "channels": {channel: k for k, channel in enumerate(each["channels"], 1)},
                        "file": f"signals/{{participant}}/{{session}}/{{stimulus}}/{{recording}}/{name}.mat",
                        "array": name,
                        "rate": each["rate"],
                        "unit": each["unit"],
                    }
                    for name, each in found["signals"].items()
                },
            }
        ],
        "labels": {target.label: rule},
        "targets": {target.name: _describe_target(target, label.classes)},
    }
    return yaml.safe_dump(content, sort_keys=False, width=118)


def _range(found: Mapping[str, Any]) -> tuple[float, float]:
    values = [float(row["label"]) for row in found["values"]]
    return min(values), max(values)


def _describe_target(target: Target, classes: Sequence[str] | None) -> dict[str, Any]:
    rule = target.rule
    names = {"positive": rule.positive, "negative": rule.negative, "classes": rule.classes} if classes else {}
    return {
        "label": target.label,
        "kind": target.kind,
        **({} if rule.cut is None else {"cut": rule.cut, "ties": rule.ties}),
        **({"edges": list(rule.edges)} if rule.edges else {}),
        **({"dead_band": list(rule.dead_band)} if rule.dead_band else {}),
        **({"aggregate": rule.aggregate} if rule.aggregate != "value" else {}),
        **({"lag_s": rule.lag_s} if rule.lag_s else {}),
        **{key: [classes[k] for k in index] for key, index in names.items() if classes and index},
    }


# challenge.yaml, the starter and its notebook.


def _describe_challenge(study: HostedStudy, form: Form, facts: Mapping[str, Any]) -> str:
    target = study.target
    content = {
        **form.model_dump(mode="json", exclude={"public_value", "labels_ever_public", "ethics"}),
        "ethics": form.ethics.model_dump(mode="json"),
        "target": {
            "name": target.name, "kind": target.kind, "columns": list(target.columns), "classes": target.n,
            "label": target.label,
        },
        "protocol": study.protocol.name,
        **facts,
    }  # fmt: skip
    return yaml.safe_dump(content, sort_keys=False, width=118, allow_unicode=True)


def read_challenge(package: Path) -> dict[str, Any]:
    """Return the content of a package's challenge.yaml. Raises DataError if it is missing or damaged."""
    path = package / CHALLENGE_FILE
    try:
        content = parse_yaml(read_text(path))
        if not isinstance(content, dict) or "target" not in content:
            raise ValueError("it does not describe a challenge")
    except (OSError, ValueError, yaml.YAMLError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise DataError(
            "the folder is not the public package of a challenge" if missing else f"the file cannot be read: {error}",
            where=str(path),
            expected=f"a package with {CHALLENGE_FILE}, as the host published it",
        ) from error
    return content


def make_notebook(script: Path) -> str:
    """Return the notebook of a script whose cells begin with `# %%`, or `# %% [markdown]` for text."""
    cells: list[dict[str, Any]] = []
    for part in re.split(r"^# %%", script.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        text = head.strip() == "[markdown]"
        lines = [line.removeprefix("# ").removeprefix("#") if text else line for line in body.strip().split("\n")]
        cell: dict[str, Any] = {"cell_type": "markdown" if text else "code", "metadata": {}, "id": f"cell-{len(cells)}"}
        cell["source"] = [f"{line}\n" for line in lines[:-1]] + [lines[-1]]
        cells.append(cell if text else {**cell, "execution_count": None, "outputs": []})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return json.dumps(
        {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}, indent=1
    )


def _run_starter(folder: Path) -> None:
    """Run the starter in the package, which proves that it works with public files alone; keep its predictions."""
    done = subprocess.run(  # noqa: S603  the template of this package
        [sys.executable, STARTER], cwd=folder, capture_output=True, text=True, check=False
    )
    made = folder / "predictions.csv"
    if done.returncode or not made.is_file():
        last = (done.stderr.strip().splitlines() or ["it wrote no predictions.csv"])[-1]
        raise CheckFailed(
            f"the starter of the package fails: {last}", where=str(folder / STARTER), expected="predictions.csv"
        )
    made.replace(folder / BASELINE_FILE)
