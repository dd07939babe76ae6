"""Entries of real recordings, and somebody who forges them as well as can be done."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from embench.cli import main
from embench.files import aside, replace_folder, temporary
from embench.leaderboard import verify_data
from embench.leaderboard.entries import SUMMANDS_FILE, write_summands
from embench.leaderboard.verify import recompute
from embench.leaderboard.withheld import LABEL_HMAC_FILE
from embench.records import record as record_files
from embench.records.audit import AUDIT_FILE, read_audit, write_audit
from embench.records.record import (
    TUNING_FILE,
    Record,
    digests_of,
    read_record,
    shared_folder,
    write_entry,
)
from embench.records.scores import Scores

from ..leaderboard.boards import working_in
from ..sample import WHOLE

DATA = os.environ.get("EMBENCH_TEST_DATA")
TABLES = Path(__file__).parents[2] / "docs" / "why" / "audit.md"
needs_recordings = pytest.mark.skipif(not DATA, reason="EMBENCH_TEST_DATA names no folder with stress_predict")


def tables(section: str) -> list[list[list[str]]]:
    """The rows of cells of each table in a section of the page on audits."""
    text = TABLES.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    blocks = [block.splitlines()[2:] for block in text.split("\n\n") if block.startswith("|")]
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in block] for block in blocks]


def publish(root: Path) -> None:
    """Audited entries in `root`/boards of two estimators on the same features of the first real subjects, which are in
    `root`/data: 20 and two seeds in `make rates`, otherwise as few as have the primary metric."""
    assert DATA
    original, data = Path(DATA, "stress_predict"), root / "data" / "stress_predict"
    (data / "Raw_data").mkdir(parents=True)
    for path in original.iterdir():
        if path.name != "Raw_data":
            (data / path.name).symlink_to(path)
    for path in sorted((original / "Raw_data").glob("S*"))[: 21 if WHOLE else 18]:  # S01 has no labels
        (data / "Raw_data" / path.name).symlink_to(path)
    with working_in(root) as patch:
        patch.setenv("EMBENCH_DATA", str(root / "data"))
        method = [
            "--encoder",
            "handcrafted",
            "--modalities",
            "temp",
            "--seeds",
            "0,1" if WHOLE else "0",
            "--workers",
            "1",
        ]
        for fusion in ("logreg", "lda"):
            assert main(["run", "--dataset", "stress_predict", *method, "--fusion", fusion]) == 0
        assert main(["leaderboard", "build", "--from", "runs", "--leaderboards", "boards"]) == 0
        for folder in root.glob("boards/stress_predict/*/handcrafted-*"):
            assert main(["audit", str(folder)]) == 0


@pytest.fixture(scope="module")
def published(made_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy for one file of tests, as the working folder."""
    root = tmp_path_factory.mktemp("published")
    shutil.copytree(made_once("published", publish), root, symlinks=True, dirs_exist_ok=True)
    with working_in(root) as patch:
        patch.setenv("EMBENCH_DATA", str(root / "data"))
        yield root


@dataclass
class Forger:
    """An entry, and the ways to its parts. What entries share is written under the digest of its new content."""

    folder: Path

    @property
    def run(self) -> Any:
        return yaml.safe_load((self.folder / "run.yaml").read_text())

    def edit_run(self, change: Callable[[Any], object]) -> None:
        run = self.run
        change(run)
        (self.folder / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))

    def edit_scores(self, change: Callable[[Any], object]) -> None:
        path = self.folder / "scores.json"
        scores = json.loads(path.read_text())
        change(scores)
        path.write_text(json.dumps(scores))

    def edit_audit(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        audit = read_audit(self.folder)
        assert audit
        write_audit(self.folder, change(audit))

    def edit_numbers(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        path = self.folder / record_files.PREDICTIONS_FILE
        numbers = record_files.read_numbers(path)
        record_files.write_numbers(path, {**numbers, "score": change(numbers["score"].copy()).astype(np.float64)})

    def edit_shared(self, kind: record_files.SharedKind, change: Callable[[list[dict[str, str]]], object]) -> None:
        shared, run = record_files.shared_folder(self.folder), self.run
        rows = list(csv.DictReader(io.StringIO(record_files.read_shared_text(shared, kind, run["entry"][kind]))))
        change(rows)
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        name = record_files.share_text(shared, kind, text.getvalue())
        self.edit_run(lambda run: run["entry"].update({kind: name}))

    def edit_control_scores(self, change: Callable[[Any], object]) -> None:
        shared, run = record_files.shared_folder(self.folder), self.run
        scores = json.loads(
            record_files.read_shared_text(shared, "confound_only_scores", run["entry"]["confound_only_scores"])
        )
        change(scores)
        name = record_files.share_text(shared, "confound_only_scores", json.dumps(scores))
        self.edit_run(lambda run: run["entry"].update(confound_only_scores=name))

    def towards_labels(self) -> None:
        known = read_record(self.folder)
        assert known.labels is not None
        labels = dict(zip(known.labels["unit"], known.labels["label"], strict=True))
        rows = known.predictions.take(known.predictions["method"] == "model")
        model = rows.take(np.lexsort((rows["seed"], rows["unit"], rows["target"])))
        truth = np.array([labels.get(unit, np.nan) for unit in model["unit"]])
        self.edit_numbers(lambda scores: np.where(np.isnan(truth), scores, 0.8 * scores + 0.2 * truth))

    def rewrite(self, change: Callable[[Record], Record], *, with_data: bool = False) -> None:
        """As embench would write the changed record, with scores, summands, what entries share and the audit;
        `with_data`, what the method adds, too."""
        made = change(read_record(self.folder))
        made = replace(made, scores=recompute(made))
        if with_data:
            here = verify_data.load_local_data(self.folder, made.manifest, made, Path(os.environ["EMBENCH_DATA"]))
            assert isinstance(here, verify_data.LocalData)
            adjusted = verify_data.recompute_association(made.manifest, made, here.cohort)
            made = replace(made, scores=Scores({**made.scores, "adjusted": adjusted}))
        _rewrite(self.folder, made)
        write_summands(self.folder, made)
        self.audit_again()

    def score_again(self, *, with_data: bool = False) -> None:
        self.rewrite(lambda of: of, with_data=with_data)

    def audit_again(self) -> None:
        """As if these files had been audited, and nothing had been measured that they contradict."""
        audit, known = read_audit(self.folder), read_record(self.folder)
        if audit is not None:
            told = ("calibration", "balance", "confound_only")
            findings = [finding for finding in audit["findings"] if finding["check"] not in told]
            counts = {name: sum(f["severity"] == name for f in findings) for name in audit["counts"]}
            measured = {name: figures for name, figures in audit["measured"].items() if name not in told}
            for target in known.scores.primary_metrics:
                if ece := known.scores.get_score(target, "ece"):
                    figures = {"ece": ece.mean, "low": ece.low, "expected_by_chance": ece.mean}
                    measured.setdefault("calibration", {})[target] = figures
            bound = {**audit["digests"], **digests_of(known)}
            new = {"digests": bound, "counts": counts, "findings": findings, "measured": measured}
            write_audit(self.folder, {**audit, **new})


def _rewrite(folder: Path, record: Record) -> None:
    """Writes a published record again; its audit and its summands stay."""
    with temporary(aside(folder)) as whole:
        write_entry(whole, record, shared_folder(folder))
        for name in (AUDIT_FILE, SUMMANDS_FILE, LABEL_HMAC_FILE, TUNING_FILE):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, whole / name)
        replace_folder(folder, whole)
