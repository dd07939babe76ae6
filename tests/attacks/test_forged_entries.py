"""Every way in which somebody may forge an entry, on real recordings, against `leaderboard build` and the audit: the
table in docs/why/audit.md lists those that `leaderboard build` accepts, and is read here."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from embench.cli import main
from embench.data.cohort import Cohort
from embench.leaderboard import own_data
from embench.leaderboard.recompute import recomputed_scores
from embench.protocols import load_protocol
from embench.records import entry
from embench.records.audit import read_audit, write_audit
from embench.records.record import digests_of, read_manifest, read_record
from embench.records.schema_1 import scoring_of, written_scores

from ..sample import WHOLE, proof

DATA = os.environ.get("EMBENCH_TEST_DATA")
TABLE = Path(__file__).parents[2] / "docs" / "why" / "audit.md"
SUBJECTS = 20
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="EMBENCH_TEST_DATA names no folder with stress_predict"),
]


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

    def edit_numbers(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        path = self.folder / entry.PREDICTIONS_FILE
        numbers = entry.read_numbers(path)
        entry.write_numbers(path, {**numbers, "score": change(numbers["score"].copy()).astype(np.float64)})

    def edit_shared(self, kind: entry.SharedKind, change: Callable[[list[dict[str, str]]], object]) -> None:
        shared, run = entry.shared_folder(self.folder), self.run
        rows = list(csv.DictReader(io.StringIO(entry.read_shared_text(shared, kind, run["entry"][kind]))))
        change(rows)
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        name = entry.share_text(shared, kind, text.getvalue())
        self.edit_run(lambda run: run["entry"].update({kind: name}))

    def edit_control_scores(self, change: Callable[[Any], object]) -> None:
        shared, run = entry.shared_folder(self.folder), self.run
        scores = json.loads(entry.read_shared_text(shared, "control_scores", run["entry"]["control_scores"]))
        change(scores)
        name = entry.share_text(shared, "control_scores", json.dumps(scores))
        self.edit_run(lambda run: run["entry"].update(control_scores=name))

    def towards_labels(self) -> None:
        known = read_record(self.folder)
        assert known.labels is not None
        labels = dict(zip(known.labels["unit"], known.labels["label"], strict=True))
        rows = known.predictions.take(known.predictions["method"] == "model")
        model = rows.take(np.lexsort((rows["seed"], rows["unit"], rows["target"])))
        truth = np.array([labels.get(unit, np.nan) for unit in model["unit"]])
        self.edit_numbers(lambda scores: np.where(np.isnan(truth), scores, 0.8 * scores + 0.2 * truth))

    def score_again(self, *, with_data: bool = False) -> None:
        """As embench would, with summands and what entries share; `with_data`, what the method adds, too."""
        from embench.leaderboard.export import SUMMANDS_FILE
        from embench.leaderboard.recompute import FROM_DATA
        from embench.statistics.summands import headline_summands

        known = read_record(self.folder)
        again = written_scores(recomputed_scores(known), scoring_of(known.run))
        self.edit_scores(lambda s: s.update({k: again[k] for k in s if k in again and k not in FROM_DATA}))
        found = {t: headline_summands(read_record(self.folder), t) for t in known.scores["headlines"]}
        (self.folder / SUMMANDS_FILE).write_text(json.dumps({t: s.as_json() for t, s in found.items() if s}))
        if with_data:
            run, known = read_manifest(self.folder), read_record(self.folder)
            cohort = own_data.cohort_of(run, known, None)
            assert isinstance(cohort, Cohort)
            self.edit_scores(lambda s: s.update(adds=own_data.adds_again(run, known, cohort)))
        self.audit_again()

    def audit_again(self) -> None:
        """As if these files had been audited, and nothing had been measured that they contradict."""
        audit, known = read_audit(self.folder), read_record(self.folder)
        if audit is not None:
            told = ("calibration", "balance", "controls")
            findings = [finding for finding in audit["findings"] if finding["check"] not in told]
            counts = {name: sum(f["severity"] == name for f in findings) for name in audit["counts"]}
            measured = {name: figures for name, figures in audit["measured"].items() if name not in told}
            for target in known.scores.headlines:
                if ece := known.scores.score(target, "ece"):
                    figures = {"ece": ece.mean, "low": ece.low, "of right probabilities": ece.mean}
                    measured.setdefault("calibration", {})[target] = figures
            bound = {**audit["of"], **digests_of(known)}
            new = {"of": bound, "counts": counts, "findings": findings, "measured": measured}
            write_audit(self.folder, {**audit, **new})


def _headline(scores: Any) -> Any:
    return scores["scores"]["stress"][scores["headlines"]["stress"]]


def _folds_of_two() -> Any:
    rules: Any = load_protocol("subject-independent-v3").model_dump(mode="json", exclude_none=True)
    return {**rules, "split": {**rules["split"], "folds": 2}}


def _without_labels(f: Forger) -> None:
    f.edit_scores(lambda s: _headline(s).update(mean=0.95))
    entry.shared_path(entry.shared_folder(f.folder), "labels", f.run["entry"]["labels"]).unlink()


def _labels_left_out(f: Forger) -> None:
    f.edit_scores(lambda s: _headline(s).update(mean=0.95))
    f.edit_run(lambda run: run["entry"].pop("labels"))


def _cleaner_audit(f: Forger) -> None:
    path = f.folder / "audit.json"
    audit = json.loads(path.read_text())
    path.write_text(json.dumps({**audit, "findings": []}))
    f.edit_scores(lambda s: _headline(s).update(mean=0.95))


def _eight_million_rows(f: Forger) -> None:
    run, shared = f.run, entry.shared_folder(f.folder)
    text = entry.read_shared_text(shared, "rows", run["entry"]["rows"])
    header, _, body = text.partition("\n")
    path = shared / f"rows-{'0' * 32}.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(header + "\n")
        for _ in range(8_000_000 // body.count("\n")):
            file.write(body)
    f.edit_run(lambda run: run["entry"].update(rows=path.name[5:37]))


FORGERIES: dict[str, Callable[[Forger], object]] = {
    "the headline's mean": lambda f: f.edit_scores(lambda s: _headline(s).update(mean=0.95)),
    "a mean that is no number": lambda f: f.edit_scores(lambda s: _headline(s).update(mean=float("nan"))),
    "a mean that is text": lambda f: f.edit_scores(lambda s: _headline(s).update(mean="0.95")),
    "an interval": lambda f: f.edit_scores(lambda s: _headline(s).update(low=0.577, high=0.578)),
    "a control's mean": lambda f: f.edit_control_scores(lambda s: _movement(s).update(mean=0.1)),
    "the metric of the headline": lambda f: f.edit_scores(lambda s: s["headlines"].update(stress="auroc_within")),
    "scores by fold": lambda f: f.edit_scores(lambda s: s.update(folds=[])),
    "that a control is cleared": lambda f: f.edit_scores(
        lambda s: s["differences"].update(majority={"stress": {"difference": _headline(s), "clears": True}})
    ),
    "that all controls are cleared": lambda f: f.edit_scores(lambda s: s.update(cleared_all=True)),
    "what the method adds": lambda f: f.edit_scores(_adds_more),
    "predictions moved towards the labels": lambda f: f.towards_labels(),
    "predictions moved towards the labels, and scored again": lambda f: (f.towards_labels(), f.score_again()),
    "predictions moved towards the labels, and scored again with the data": lambda f: (
        f.towards_labels(),
        f.score_again(with_data=True),
    ),
    "the headline's mean, with the labels deleted": _without_labels,
    "the headline's mean, with the labels left out of run.yaml": _labels_left_out,
    "50 labels": lambda f: f.edit_shared(
        "labels", lambda rows: [r.update(label=str(1 - int(float(r["label"])))) for r in rows[:50]]
    ),
    "50 labels, and scored again": lambda f: (
        f.edit_shared("labels", lambda rows: [r.update(label=str(1 - int(float(r["label"])))) for r in rows[:50]]),
        f.score_again(),
    ),
    "the fold of a subject": lambda f: f.edit_shared(
        "folds", lambda rows: [r.update(fold="99") for r in rows if r["subject"] == rows[0]["subject"]]
    ),
    "the name of a unit": lambda f: f.edit_shared("rows", lambda rows: rows[0].update(unit="S02/other")),
    "a subject left out": lambda f: f.edit_run(
        lambda run: (run["cohort"]["subjects"].remove("S05"), run["cohort"]["session_s"].pop("S05"))
    ),
    "predictions that are no numbers": lambda f: f.edit_numbers(lambda scores: np.full_like(scores, np.nan)),
    "rows twice": lambda f: f.edit_shared("rows", lambda rows: rows.extend(rows[:2000])),
    "predictions cut short": lambda f: _cut(f.folder / entry.PREDICTIONS_FILE),
    "predictions deleted": lambda f: (f.folder / entry.PREDICTIONS_FILE).unlink(),
    "rules of the protocol, hash kept": lambda f: f.edit_run(lambda run: run["protocol"].update(rules=_folds_of_two())),
    "access to data of test subjects": lambda f: f.edit_run(lambda run: run.update(target_access="none")),
    "the method's name": lambda f: f.edit_run(lambda run: run["method"].update(fusion="embench_plugins/svm")),
    "the number of parameters": lambda f: f.edit_run(lambda run: run["cost"].update(parameters=1)),
    "the number of looks": lambda f: f.edit_run(lambda run: run.update(test_looks={"stress": 1}, tried={"stress": 1})),
    "version and date": lambda f: f.edit_run(lambda run: run.update(embench_version="99.0.0", date="2099-01-01")),
    "a clean audit, and the headline's mean": _cleaner_audit,
    "HTML in a setting": lambda f: f.edit_run(lambda run: run["recipe"].update(settings=["<img src=x>\n\n# Injected"])),
    "a YAML tag": lambda f: _append(f.folder / "run.yaml", "\nx: !!python/object/apply:os.system ['touch RAN']\n"),
    "an id that is a path": lambda f: f.edit_run(lambda run: run.update(id="../../../x")),
    "a dataset that is a file": lambda f: f.edit_run(lambda run: run["dataset"].update(name="./x.py:X")),
    "eight million rows": _eight_million_rows,
}
OUTCOMES = {
    "what the method adds": ("refused", "nothing"),  # it is not what the entry's own audit measured
    "a mean that is no number": ("unreadable", "unreadable"),
    "a mean that is text": ("unreadable", "unreadable"),
    "the headline's mean, with the labels deleted": ("unreadable", "unreadable"),
    "the name of a unit": ("unreadable", "severe"),
    "predictions that are no numbers": ("unreadable", "unreadable"),
    "rows twice": ("unreadable", "unreadable"),
    "predictions cut short": ("unreadable", "unreadable"),
    "predictions deleted": ("unreadable", "unreadable"),
    "HTML in a setting": ("unreadable", "unreadable"),
    "a YAML tag": ("unreadable", "unreadable"),
    "an id that is a path": ("unreadable", "unreadable"),
    "a dataset that is a file": ("unreadable", "severe"),
    "eight million rows": ("unreadable", "unreadable"),
}
"""What `leaderboard build` and the audit do with a forgery. What neither this nor the page lists: refused, severe."""
SAMPLE = (
    "the headline's mean",
    "an interval",
    "that a control is cleared",
    "what the method adds",
    "predictions moved towards the labels, and scored again",
    "50 labels, and scored again",
    "the fold of a subject",
    "the name of a unit",
    "rules of the protocol, hash kept",
    "the number of looks",
    "the number of parameters",
    "a dataset that is a file",
)
"""What every test run tries; `make rates` tries all, and gives all to the audit, too."""
AUDITED = ("the number of looks", "what the method adds", "predictions moved towards the labels, and scored again")


def _movement(scores: Any) -> Any:
    return scores["movement"]["stress"]["auroc_within"]


def _adds_more(scores: Any) -> None:
    added = scores["adds"]["stress"]
    at = added["levels"][added["judged"]]
    at["effect"].update(mean=0.5, low=0.4, high=0.6)
    at.update(adds=True)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The first 20 real subjects, and the leaderboards that one audited run of them was published on."""
    assert DATA
    root = tmp_path_factory.mktemp("forged")
    original, data = Path(DATA, "stress_predict"), root / "data" / "stress_predict"
    data.mkdir(parents=True)
    for path in original.iterdir():
        if path.name != "Raw_data":
            (data / path.name).symlink_to(path)
    (data / "Raw_data").mkdir()
    for path in sorted((original / "Raw_data").glob("S*"))[: SUBJECTS + 1]:  # S01 has no labels
        (data / "Raw_data" / path.name).symlink_to(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(root / "cache"))
        patch.setenv("EMBENCH_DATA", str(root / "data"))
        patch.chdir(root)
        method = ["--encoder", "handcrafted", "--modalities", "temp", "--seeds", "0,1,2", "--workers", "1"]
        for fusion, runs in (("logreg", "earlier"), ("lda", "runs")):
            assert main(["run", "--dataset", "stress_predict", *method, "--fusion", fusion, "--runs", runs]) == 0
        assert main(["leaderboard", "build", "--from", "runs", "--boards", "boards"]) == 0
        folder = next((root / "boards").glob("stress_predict/*/handcrafted-lda-*"))
        assert main(["audit", str(folder)]) == 0
        yield root, folder


def documented() -> dict[str, tuple[str, str]]:
    """Accepted forgery -> what `leaderboard build` and what the audit do, as the page says."""
    text = TABLE.read_text().partition("## Forged entries")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in text.splitlines() if line.startswith("|")]
    return {name: (build, audit) for name, build, audit in rows[2:]}


def test_the_page_lists_forgeries_that_are_accepted_and_says_how_many_there_are() -> None:
    page, listed = TABLE.read_text(), documented()
    assert listed
    assert set(listed) <= FORGERIES.keys() - OUTCOMES.keys()
    assert OUTCOMES.keys() <= FORGERIES.keys()
    assert {build for build, _ in listed.values()} == {"accepted"}
    assert f"Of {len(FORGERIES)} ways to forge an entry" in " ".join(page.split())


@pytest.mark.parametrize("name", [name if name in SAMPLE else pytest.param(name, marks=proof) for name in FORGERIES])
def test_a_forged_entry_is_refused_or_the_page_says_that_only_another_run_shows_it(
    places: tuple[Path, Path], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root, genuine = places
    shutil.copytree(root / "boards", tmp_path / "boards")
    folder = tmp_path / genuine.relative_to(root)
    FORGERIES[name](Forger(folder))
    capsys.readouterr()
    code = main(["leaderboard", "build", "--boards", str(tmp_path / "boards")])
    said = capsys.readouterr().err
    build, audit = {**OUTCOMES, **documented()}.get(name, ("refused", "severe"))
    assert build == {0: "accepted", 1: "refused", 3: "unreadable"}[code], said
    assert not code or folder.name in said or "shared" in said
    if WHOLE or name in AUDITED:
        code = main(["audit", str(folder), "--out", str(tmp_path)])
        captured = capsys.readouterr()
        assert audit == {0: "nothing", 1: "severe", 3: "unreadable"}[code], captured.err
    assert not list(root.rglob("RAN"))
