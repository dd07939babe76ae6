"""`embench audit`: what it prints, writes and ends with, and what becomes of `audit.json` afterwards."""

import json
import re
from dataclasses import replace

import pytest
import yaml

from embench.cli.results import print_audit
from embench.leaderboard import tables
from embench.leaderboard.entries import export_entry
from embench.records import record
from embench.records.audit import Audit, AuditFinding, CheckResult, format_audit_status

from ..audits.planting import copy_of, method, predicted, table, world
from ..tiny.fixtures import cache, embench
from ..tiny.world import few_folds, plugin

__all__ = ["cache", "embench"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return world(tmp_path_factory.mktemp("audited"), n_subjects=8, stimuli=6, seconds=(10, 14))


@pytest.fixture(scope="module")
def run(root):
    return method(root, plugin("Moments"), fusion="logreg", recipe="small", protocol=few_folds(root))


def test_a_clean_run_ends_with_0_and_leaves_what_was_measured(run, embench):
    done = embench("audit", run.folder, "--trust-code")
    assert done.code == 0, done.err
    assert "0 severe" in done.out
    assert "skipped: permuted_labels" in done.err
    written = json.loads((run.folder / "audit.json").read_text())
    assert written["run"] == run.id
    assert written["measured"]["scores"]["differ"] == 0


def test_something_severe_ends_with_1_and_one_document(run, tmp_path, embench):
    folder = copy_of(run.folder, tmp_path)
    (folder / "audit.json").unlink(missing_ok=True)
    scores = json.loads((folder / "scores.json").read_text())
    scores["scores"]["arousal"]["auroc_within"]["mean"] = 0.99
    (folder / "scores.json").write_text(json.dumps(scores))
    done = embench("audit", folder, "--trust-code", "--json", "--out", tmp_path)
    assert done.code == 1
    document = json.loads(done.out)
    assert document["counts"]["severe"] == 1
    assert document["findings"][0]["check"] == "scores"
    assert document["findings"][0]["id"] == "other_scores"
    assert json.loads((tmp_path / "audit.json").read_text())["findings"] == document["findings"]
    assert not (folder / "audit.json").exists()


def test_evidence_is_printed_in_words_and_never_cut(capsys):
    gaps = {f"stress: control_{k}": {"mean": 0.08582, "std": 0.1, "low": -0.0213, "high": 0.19} for k in range(9)}
    evidence = {"n_pairs": 1, "pairs": ["S1 and S2"], "windows": [3, 4], "matches": gaps}
    print_audit(Audit("mine", {"copies": CheckResult({}, (AuditFinding("severe", "copied_signals", evidence),))}, {}))
    said = " ".join(capsys.readouterr().out.split())
    assert "severe: 1 pairs of subjects have the same signals: S1 and S2 [copies]" in said
    assert "matches: stress: control_0: 0.0858 [-0.0213, 0.19]; stress: control_1: 0.0858" in said
    assert "and 5 more" in said
    assert "windows: 3, 4" in said
    assert "{" not in said


def test_each_reason_for_a_skipped_check_has_a_line(run, tmp_path, embench):
    folder = copy_of(run.folder, tmp_path)
    about = yaml.safe_load((folder / "run.yaml").read_text())
    about["versions"] |= {"numpy": "1.0.0", "scikit-learn": "0.1"}
    (folder / "run.yaml").write_text(yaml.safe_dump(about))
    done = embench("audit", folder, "--trust-code")
    lines = [line for line in done.err.splitlines() if "skipped: statistics: " in line]
    assert [line.partition("the run used ")[2].split(",")[0] for line in lines] == ["numpy 1.0.0", "scikit-learn 0.1"]
    written = json.loads((folder / "audit.json").read_text())["skipped"]["statistics"]
    assert [why["id"] for why in written] == ["other_version"] * 2


@pytest.mark.slow
def test_a_file_of_predictions_needs_its_dataset(root, tmp_path, embench, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = predicted(tmp_path / "mine.csv", root, lambda about, rng: about["place"] / 11 + rng.normal(0, 0.01))
    done = embench("audit", path)
    assert done.code == 2
    assert "--dataset" in done.err
    done = embench("audit", path, "--dataset", plugin("Tiny"), "--data-root", root)
    assert "the position in the files explains" in done.out


def test_an_entry_takes_the_audit_along_and_its_board_shows_it(run, tmp_path, embench):
    """The plugins are named as those of a package, since no board takes files."""
    known = record.read_record(run.folder)
    about = json.loads(re.sub(r"[^\"]*plugins\.py:", "acme/", json.dumps(known.run))) | {"conformance": {}}
    folder, boards = tmp_path / "packaged", tmp_path / "boards"
    record.write_record(folder, replace(known, run=about))

    def published():
        export_entry(folder, boards, key=lambda _: b"key")
        tables.build_leaderboards(boards)
        (page,) = boards.glob("*/README.md")
        return page.read_text()

    assert "| not audited |" in published()
    assert embench("audit", run.folder, "--trust-code", "--out", folder).code == 0
    counts = json.loads((folder / "audit.json").read_text())
    assert f"| {format_audit_status(counts)}, **suspicious** |" in published()
    assert len(list(boards.glob("*/*/*/audit.json"))) == 1


def test_a_record_written_anew_has_no_audit(run, tmp_path, embench):
    folder = copy_of(run.folder, tmp_path)
    embench("audit", folder, "--trust-code")
    assert (folder / "audit.json").exists()
    record.write_record(folder, record.read_record(folder))
    assert not (folder / "audit.json").exists()
    assert table(folder / "folds.csv")


def test_only_methods_of_embench_can_be_trained_again(root, tmp_path, embench, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = predicted(tmp_path / "mine.csv", root, lambda about, rng: rng.uniform(0.1, 0.9) + 0 * about["place"])
    done = embench("audit", path, "--dataset", plugin("Tiny"), "--data-root", root, "--retrain", "1")
    assert done.code == 2
    assert "its predictions are a submission" in done.err
