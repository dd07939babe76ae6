"""Every way in which somebody may forge an entry, on real recordings, against `leaderboard build` and the audit: the
table in docs/why/audit.md lists those that `leaderboard build` accepts, and is read here."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench.cli import main
from embench.protocols import load_protocol
from embench.records import record

from ..sample import WHOLE, proof
from .forger import TABLES, Forger, needs_recordings, published, tables

__all__ = ["published"]
pytestmark = [pytest.mark.slow, needs_recordings]


def _headline(scores: Any) -> Any:
    return scores["scores"]["stress"][scores["primary_metrics"]["stress"]]


def _folds_of_two() -> Any:
    rules: Any = load_protocol("subject-independent-v4").model_dump(mode="json", exclude_none=True)
    return {**rules, "split": {**rules["split"], "folds": 2}}


def _without_labels(f: Forger) -> None:
    f.edit_scores(lambda s: _headline(s).update(mean=0.95))
    record.shared_path(record.shared_folder(f.folder), "labels", f.run["entry"]["labels"]).unlink()


def _labels_left_out(f: Forger) -> None:
    f.edit_scores(lambda s: _headline(s).update(mean=0.95))
    f.edit_run(lambda run: run["entry"].pop("labels"))


def _cleaner_audit(f: Forger) -> None:
    path = f.folder / "audit.json"
    audit = json.loads(path.read_text())
    path.write_text(json.dumps({**audit, "findings": []}))
    f.edit_scores(lambda s: _headline(s).update(mean=0.95))


def _eight_million_rows(f: Forger) -> None:
    run, shared = f.run, record.shared_folder(f.folder)
    text = record.read_shared_text(shared, "rows", run["entry"]["rows"])
    header, _, body = text.partition("\n")
    path = shared / f"rows-{'0' * 32}.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(header + "\n")
        for _ in range(8_000_000 // body.count("\n")):
            file.write(body)
    f.edit_run(lambda run: run["entry"].update(rows=path.name[5:37]))


FORGERIES: dict[str, Callable[[Forger], object]] = {
    "the primary metric's mean": lambda f: f.edit_scores(lambda s: _headline(s).update(mean=0.95)),
    "a mean that is no number": lambda f: f.edit_scores(lambda s: _headline(s).update(mean=float("nan"))),
    "a mean that is text": lambda f: f.edit_scores(lambda s: _headline(s).update(mean="0.95")),
    "an interval": lambda f: f.edit_scores(lambda s: _headline(s).update(low=0.577, high=0.578)),
    "a control's mean": lambda f: f.edit_control_scores(lambda s: _position(s).update(mean=0.1)),
    "the metric of the primary metric": lambda f: f.edit_scores(
        lambda s: s["primary_metrics"].update(stress="auroc_within")
    ),
    "scores by fold": lambda f: f.edit_scores(lambda s: s.update(folds=[])),
    "a part that no version has": lambda f: f.edit_scores(lambda s: s.update(cleared_all=True)),
    "the answers given time and movement": lambda f: f.edit_scores(_adds_more),
    "predictions moved towards the labels": lambda f: f.towards_labels(),
    "predictions moved towards the labels, and scored again": lambda f: (f.towards_labels(), f.score_again()),
    "predictions moved towards the labels, and scored again with the data": lambda f: (
        f.towards_labels(),
        f.score_again(with_data=True),
    ),
    "the primary metric's mean, with the labels deleted": _without_labels,
    "the primary metric's mean, with the labels left out of run.yaml": _labels_left_out,
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
    "predictions cut short": lambda f: _cut(f.folder / record.PREDICTIONS_FILE),
    "predictions deleted": lambda f: (f.folder / record.PREDICTIONS_FILE).unlink(),
    "rules of the protocol, hash kept": lambda f: f.edit_run(lambda run: run["protocol"].update(rules=_folds_of_two())),
    "access to data of test subjects": lambda f: f.edit_run(lambda run: run.update(target_access="none")),
    "the method's name": lambda f: f.edit_run(lambda run: run["method"].update(fusion="embench_plugins/svm")),
    "the number of parameters": lambda f: f.edit_run(lambda run: run["cost"].update(parameters=1)),
    "the number of looks": lambda f: f.edit_run(
        lambda run: run.update(test_evaluations={"stress": 1}, tried={"stress": 1})
    ),
    "version and date": lambda f: f.edit_run(lambda run: run.update(embench_version="99.0.0", date="2099-01-01")),
    "a clean audit, and the primary metric's mean": _cleaner_audit,
    "HTML in a setting": lambda f: f.edit_run(lambda run: run["recipe"].update(settings=["<img src=x>\n\n# Injected"])),
    "a YAML tag": lambda f: _append(f.folder / "run.yaml", "\nx: !!python/object/apply:os.system ['touch RAN']\n"),
    "an id that is a path": lambda f: f.edit_run(lambda run: run.update(id="../../../x")),
    "a dataset that is a file": lambda f: f.edit_run(lambda run: run["dataset"].update(name="./x.py:X")),
    "eight million rows": _eight_million_rows,
}
OUTCOMES = {
    "the answers given time and movement": ("refused", "nothing"),  # it is not what the entry's own audit measured
    "a mean that is no number": ("unreadable", "unreadable"),
    "a mean that is text": ("unreadable", "unreadable"),
    "a part that no version has": ("unreadable", "unreadable"),
    "the primary metric's mean, with the labels deleted": ("unreadable", "unreadable"),
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
    "the primary metric's mean",
    "an interval",
    "a part that no version has",
    "the answers given time and movement",
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
AUDITED = (
    "the number of looks",
    "the answers given time and movement",
    "predictions moved towards the labels, and scored again",
)


def _position(scores: Any) -> Any:
    return scores["session_position"]["stress"]["auroc_within"]


def _adds_more(scores: Any) -> None:
    added = scores["adjusted"]["stress"]
    at = added["levels"][added["decisive_level"]]
    at["partial_r"].update(mean=0.5, low=0.4, high=0.6)
    at.update(adjusted=True)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.fixture(scope="module")
def genuine(published: Path) -> Path:
    """The only entry on the boards."""
    [twin] = published.glob("boards/stress_predict/*/handcrafted-logreg-*")
    shutil.rmtree(twin)
    return next(published.glob("boards/stress_predict/*/handcrafted-lda-*"))


def documented() -> dict[str, tuple[str, str]]:
    """Accepted forgery -> what `leaderboard build` and what the audit do, as the page says."""
    accepted = tables("Forged entries")[0]
    return {name: (build, audit) for name, build, audit, _ in accepted}


def test_the_page_lists_forgeries_that_are_accepted_and_says_how_many_there_are() -> None:
    page, listed = TABLES.read_text(), documented()
    assert listed
    assert set(listed) <= FORGERIES.keys() - OUTCOMES.keys()
    assert OUTCOMES.keys() <= FORGERIES.keys()
    assert {build for build, _ in listed.values()} == {"accepted"}
    assert f"Of {len(FORGERIES)} ways to forge an entry" in " ".join(page.split())


@pytest.mark.parametrize("name", [name if name in SAMPLE else pytest.param(name, marks=proof) for name in FORGERIES])
def test_a_forged_entry_is_refused_or_the_page_says_that_only_another_run_shows_it(
    published: Path, genuine: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(published / "boards", tmp_path / "boards")
    folder = tmp_path / genuine.relative_to(published)
    FORGERIES[name](Forger(folder))
    capsys.readouterr()
    code = main(["leaderboard", "build", "--leaderboards", str(tmp_path / "boards")])
    said = capsys.readouterr().err
    build, audit = {**OUTCOMES, **documented()}.get(name, ("refused", "severe"))
    assert build == {0: "accepted", 1: "refused", 3: "unreadable"}[code], said
    assert not code or folder.name in said or "shared" in said
    if WHOLE or name in AUDITED:
        code = main(["audit", str(folder), "--out", str(tmp_path)])
        captured = capsys.readouterr()
        assert audit == {0: "nothing", 1: "severe", 3: "unreadable"}[code], captured.err
    assert not list(published.rglob("RAN"))
