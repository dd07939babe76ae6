"""Labels that were withheld are not found by trying tables of them: no published digest shows which one is right."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from embench.data.find import find_source
from embench.data.pseudonyms import KEY_FILE
from embench.errors import CheckFailed
from embench.files import cache_root
from embench.leaderboard.entries import export_entry
from embench.leaderboard.pull_request import check_history
from embench.leaderboard.withheld import explain_derivable_labels, redact_scores
from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.record import write_record
from embench.store import fingerprint

from ..sealed.boards import draw_labels, entry, made_up, without
from .own_names import make_study


def digests(study: Path) -> list[str]:
    """What a record of a study says of its raw files: key of the seal, digest of files, that of the store."""
    source = find_source(str(study), None)
    reader = source.reader
    key = fingerprint.store_key(reader, reader.subjects(), "own/tasks", "code", 4.0, True, cache_root())
    return [source.raw_digest().hex(), source.files_digest(source.card), key]


def test_who_has_the_files_and_not_the_secret_gets_other_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    study = make_study(tmp_path / "owner")
    owners = digests(study)
    guessed = tmp_path / "attacker" / study.name  # with the right table of labels
    shutil.copytree(study, guessed, ignore=shutil.ignore_patterns(KEY_FILE.parts[0]))
    assert not set(digests(guessed)) & set(owners)
    colleague = tmp_path / "colleague" / study.name  # who got the secret with the data
    shutil.copytree(study, colleague)
    assert digests(colleague) == owners


def test_no_number_is_of_a_few_subjects() -> None:
    score = {"mean": 0.61234, "std": 0.1, "low": 0.5, "high": 0.7, "over": "subjects", "left_out": []}
    of = {name: {**score, "subjects": n} for name, n in (("auroc", 20), ("auroc_within", 4))}
    whole = {
        "schema": 2,
        "primary_metrics": {"ill": "auroc"},
        "level": 0.95,
        "scores": {"ill": of},
        "confound_only": {},
    }
    kept = redact_scores(whole)["scores"]["ill"]
    assert kept["auroc"]["mean"] == 0.612
    assert set(kept["auroc_within"]) == {"undefined"}


def people_of(tmp_path: Path, name: str, n: int) -> Path:
    """The folder of an entry of the first `n` of 24 subjects, whose labels are withheld."""
    rng = np.random.default_rng(0)
    layout = made_up(rng, 24, 24, 4)
    hidden = np.isin(layout.columns["subject"], sorted(layout.groups)[n:])
    y = draw_labels(rng, layout)
    write_record(tmp_path / name, entry(without(layout, hidden), y[~hidden], rng, name, "no"))
    return tmp_path / name


@pytest.mark.parametrize(("fewer", "refused"), [(0, False), (1, True), (4, True), (5, False)])
def test_a_difference_between_entries_is_not_of_a_few_subjects(tmp_path: Path, fewer: int, refused: bool) -> None:
    boards, earlier = tmp_path / "boards", tmp_path / "earlier"
    export_entry(people_of(tmp_path, "whole", 24), boards, key=lambda _: b"key")
    shutil.copytree(boards, earlier)
    less = people_of(tmp_path, "fewer", 24 - fewer)
    if refused:
        with pytest.raises(CheckFailed, match="only one of"):
            export_entry(less, boards, key=lambda _: b"key")
        shutil.rmtree(boards)
        export_entry(less, boards, key=lambda _: b"key")  # as if nothing were there
        shutil.copytree(earlier, boards, dirs_exist_ok=True)
    else:
        export_entry(less, boards, key=lambda _: b"key")
    wrong = [check.reason for check in check_history(boards, earlier) if check.status == "failed"]
    assert any("only one of" in reason for reason in wrong) == refused


def of_people(n: int, labels: int) -> tuple[Predictions, Labels]:
    """One fold of `n` people with 30 units each, who have as many labels of their own."""
    who = np.repeat([f"s{k}" for k in range(n)], 30)
    unit = np.array([f"u{k}" for k in range(30 * n)])
    label = np.random.default_rng(0).integers(2, size=(n, labels))[:, np.arange(30) % labels].ravel().astype(float)
    about = {"subject": who, "recording": who, "unit": unit, "target": np.full(len(who), "ill")}
    known = Labels({**about, "seed": np.full(len(who), ANY_SEED), "raw": label, "label": label})
    rows = {**about, "method": np.full(len(who), MODEL), "fold": np.zeros(len(who), int), "stimulus": who}
    rows |= {"seed": np.zeros(len(who), int), "start_s": np.arange(len(who)) * 10.0}
    return Predictions({**rows, "score": np.full(len(who), 0.5), "decision": label}), known


@pytest.mark.parametrize(
    ("subjects", "labels", "refused"), [(20, 1, True), (70, 1, True), (90, 1, False), (20, 30, False)]
)
def test_labels_that_can_be_enumerated_are_not_sealed(subjects: int, labels: int, refused: bool) -> None:
    assert bool(explain_derivable_labels(*of_people(subjects, labels))) == refused
