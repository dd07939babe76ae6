"""An audit of something else beside an entry, or one that says something else than audits say, is found by
`leaderboard verify`, from the entry's own files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench.cli import main
from embench.leaderboard.pull_request import EntryCheck, check_boards, check_entry, select_failures
from embench.leaderboard.verify import hash_audit_code
from embench.reasons import Reason
from embench.records.audit import AUDIT_FILE, Audit, AuditFinding, CheckResult, read_audit, write_audit
from embench.records.predictions import MODEL, Labels, Predictions
from embench.records.record import Record, digests_of, read_record
from embench.statistics.scores import compute_scores

from ..leaderboard.test_verify import PROTOCOL, honest, publish, published, record
from ..sample import sample
from ..tiny import scored

__all__ = ["honest", "published", "record"]


def audited(of: Record) -> dict[str, Any]:
    """What an audit of a record holds, of two checks with a finding each and one without."""
    ece, labels = of.scores.get_score("stress", "ece"), len(of.labels or ())
    assert ece
    assert ece.low is not None
    luck = ece.low - 0.11
    figures = {"ece": ece.mean, "low": ece.low, "expected_by_chance": luck}
    off = {"target": "stress", **figures}
    seen = {"methods_evaluated": 26, "test_evaluations": 30}
    checks = {
        "access": CheckResult({"target_access": "unlabelled", "leaks": False}),
        "scores": CheckResult({"methods": 4, "differ": 0}),
        "statements": CheckResult({"differ": 0}),
        "labels": CheckResult({"labels_compared": labels, "differ": 0, "not_in_data": 0, "missing": 0}),
        "calibration": CheckResult({"stress": figures}, (AuditFinding("warning", "miscalibrated", off),)),
        "validation": CheckResult({"stopped_early": [], **seen}, (AuditFinding("note", "many_methods", seen),)),
    }
    made_of = {**digests_of(of), "code": hash_audit_code()}
    return Audit(of.run["id"], checks, {"hidden": [Reason.make("no_embeddings")]}, made_of).to_dict()


def counted(of: Record) -> Record:
    return replace(of, run={**of.run, "test_evaluations": {"stress": 30}, "methods_evaluated": {"stress": 26}})


def send(root: Path, of: Record, audit: dict[str, Any]) -> Path:
    """The entry of a record, with this audit beside it and sealed, as its author would send it."""
    shutil.rmtree(root / "boards", ignore_errors=True)
    folder = publish(root, of)
    write_audit(folder, audit)
    return folder


def scored_again(of: Record, predictions: Predictions, labels: Labels | None = None) -> Record:
    """With all scores as they follow from other predictions or labels."""
    known = labels or of.labels
    assert known is not None
    scores = compute_scores(
        predictions, known, targets=[scored.BINARY], protocol=PROTOCOL, design="shared_stimuli",
        groups=of.groups, unit_length_s=10.0,
    )  # fmt: skip
    return replace(of, predictions=predictions, labels=known, scores=scores)


def invented(of: Record) -> Record:
    p, known = of.predictions, of.labels
    assert known is not None
    label = dict(zip(known["unit"].tolist(), known["label"].tolist(), strict=True))
    better = np.where(p["method"] == MODEL, (p["score"] + [label[u] for u in p["unit"].tolist()]) / 2, p["score"])
    return scored_again(of, Predictions({**p.columns, "score": better}))


def dropped_units(of: Record) -> Record:
    units = np.unique(of.predictions["unit"])
    return scored_again(of, of.predictions.take(~np.isin(of.predictions["unit"], units[::5])))


def flipped_labels(of: Record) -> Record:
    known = of.labels
    assert known is not None
    flipped = np.arange(len(known)) % 7 == 0
    columns = {**known.columns, "label": np.where(flipped, 1 - known["label"], known["label"])}
    return scored_again(of, of.predictions, Labels(columns))


def weakened_controls(of: Record) -> Record:
    p = of.predictions
    s, at = p["score"].copy(), np.flatnonzero(p["method"] != MODEL)
    s[at] = s[np.random.default_rng(0).permutation(at)]
    return scored_again(of, Predictions({**p.columns, "score": s}))


def other_folds(of: Record) -> Record:
    return replace(of, folds=[*of.folds, {**of.folds[0], "role": "val", "fold": "1"}])


BESIDE: dict[str, Callable[[Record], Record]] = {
    "invented predictions": invented,
    "dropped units": dropped_units,
    "flipped labels": flipped_labels,
    "weakened controls": weakened_controls,
    "other folds": other_folds,
}


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory, honest: tuple[Record, Path]) -> tuple[Path, dict[str, Any]]:
    """An entry and its audit, which tests write over."""
    of = counted(honest[0])
    return send(tmp_path_factory.mktemp("sent"), of, audited(of)), audited(of)


def found(folder: Path) -> dict[str, EntryCheck]:
    return {check.check: check for check in check_entry(folder)}


def test_an_honest_audit_passes(tmp_path: Path, record: Record) -> None:
    of = counted(record)
    assert select_failures(check_entry(send(tmp_path, of, audited(of)))) == []


@pytest.mark.parametrize("name", sample(BESIDE, "invented predictions", "flipped labels", "other folds"))
def test_the_audit_of_an_honest_run_beside_something_else_fails(tmp_path: Path, record: Record, name: str) -> None:
    of = counted(record)
    checks = found(send(tmp_path, BESIDE[name](of), audited(of)))
    assert checks["bound"].status == "failed"
    assert checks["bound"].reason.startswith(f"{AUDIT_FILE}: digests.")


def test_the_audit_of_a_twin_run_fails(tmp_path: Path, record: Record) -> None:
    """Of the same method with another strength, whose id was written over."""
    of = counted(record)
    twin = audited(invented(of))
    assert found(send(tmp_path, of, {**twin, "run": of.run["id"]}))["bound"].status == "failed"


def test_a_new_entry_needs_an_audit_that_is_bound(tmp_path: Path, record: Record) -> None:
    of = counted(record)
    unbound = {field: value for field, value in audited(of).items() if field != "digests"}
    method = {**of.run["method"], "pretrainers": ["embench_plugins/masked_value"]}
    other = {**of.run, "id": "cnn_tf-single-fedcba9876", "method": method}
    send(tmp_path / "earlier", replace(of, run=other), audited(of))
    shutil.copytree(tmp_path / "earlier" / "boards", tmp_path / "boards")
    folder = publish(tmp_path, of)
    for audit, right in ((audited(of), True), (unbound, False)):
        write_audit(folder, audit)
        earlier = tmp_path / "earlier" / "boards"
        wrong = select_failures(check_boards(tmp_path / "boards", earlier=earlier))
        assert [check.reason for check in wrong if check.entry.endswith(folder.name)] == (
            [] if right else [f"{AUDIT_FILE}: digests: missing, so that it is bound to no files; audit the run again"]
        )


def _first(audit: dict[str, Any], **changed: Any) -> dict[str, Any]:
    first, *others = audit["findings"]
    return {**audit, "findings": [{**first, **changed}, *others]}


def _second(audit: dict[str, Any], **changed: Any) -> dict[str, Any]:
    first, second = audit["findings"]
    return {**audit, "findings": [first, {**second, **changed}]}


def _evidence(audit: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return _first(audit, evidence={**audit["findings"][0]["evidence"], **changed})


ANOTHER: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "what": (lambda a: _first(a, what="the scores are sound"), "findings.0.what"),
    "an id": (lambda a: _first(a, id="sound"), "findings.0.id"),
    "the id of another check": (lambda a: _first(a, id="many_methods"), "findings.0.check"),
    "another id of the check": (lambda a: _second(a, id="other_counts"), "findings.1.severity"),
    "a sentence as a name": (lambda a: _evidence(a, target="stress, which is sound"), "findings.0.evidence.target"),
    "a link": (lambda a: _evidence(a, target="https://x.org"), "findings.0.evidence.target"),
    "markup": (lambda a: _evidence(a, target="<b>stress</b>"), "findings.0.evidence.target"),
    "a text as a number": (lambda a: _evidence(a, ece="0.1"), "findings.0.evidence.ece"),
    "a number": (lambda a: _evidence(a, ece=7.0), "findings.0.evidence.ece"),
    "a number of another finding": (
        lambda a: _second(a, evidence={"methods_evaluated": 27, "test_evaluations": 30}),
        "findings.1.evidence",
    ),
    "another target": (lambda a: _evidence(a, target="arousal"), "findings.0.evidence"),
    "a value more": (lambda a: _evidence(a, remark=1), "findings.0.evidence.remark"),
    "a value less": (lambda a: _first(a, evidence={"target": "stress"}), "findings.0.evidence"),
    "what to do": (lambda a: _first(a, todo="nothing: this is the best method"), "findings.0.todo"),
    "a reason": (lambda a: {**a, "skipped": {"hidden": ["all is well"]}}, "skipped.hidden"),
    "severity": (lambda a: _first(a, severity="note"), "counts"),
    "severity and counts": (
        lambda a: _first(a, severity="note") | {"counts": {"severe": 0, "warning": 0, "note": 2}},
        "findings.0.severity",
    ),
    "counts": (lambda a: {**a, "counts": {"severe": 0, "warning": 0, "note": 0}}, "counts"),
    "no finding": (lambda a: {**a, "findings": [], "counts": {"severe": 0, "warning": 0, "note": 0}}, "measured"),
    "a check": (lambda a: _first(a, check="trust"), "findings.0.check"),
    "a field of a finding": (lambda a: _first(a, note="x"), "findings.0"),
    "a text in the evidence": (lambda a: _first(a, evidence={"ece": "=HYPERLINK(0)"}), "findings.0.evidence"),
    "a field": (lambda a: {**a, "remark": "sound"}, "remark"),
    "what was measured": (
        lambda a: {
            **a,
            "measured": {
                **a["measured"],
                "calibration": {"stress": {"ece": 0.0, "low": 0.0, "expected_by_chance": 0.0}},
            },
        },
        "measured.calibration.stress",
    ),
    "nothing measured": (
        lambda a: {**a, "findings": [], "counts": {"severe": 0, "warning": 0, "note": 0}, "measured": {}},
        "measured",
    ),
    "a check left out": (
        lambda a: {**a, "measured": {name: of for name, of in a["measured"].items() if name != "calibration"}},
        "measured.calibration",
    ),
    "looks": (
        lambda a: {**a, "measured": {**a["measured"], "validation": {"methods_evaluated": 1, "test_evaluations": 1}}},
        "measured",
    ),
    "labels that differ": (lambda a: {**a, "measured": {**a["measured"], "labels": {"differ": 9}}}, "measured.labels"),
    "version": (lambda a: {**a, "version": 10**400}, "version"),
}


@pytest.mark.parametrize("name", ANOTHER)
def test_an_audit_that_says_what_no_audit_says_fails(sent: tuple[Path, dict[str, Any]], name: str) -> None:
    (folder, audit), (change, field) = sent, ANOTHER[name]
    write_audit(folder, change(audit))
    wrong = select_failures(check_entry(folder))
    assert wrong, "nothing failed"
    assert all(AUDIT_FILE in check.reason for check in wrong)
    assert field in wrong[0].reason


def test_an_audit_of_another_form_is_no_bug(sent: tuple[Path, dict[str, Any]]) -> None:
    folder, audit = sent
    for changed in (
        {"findings": [1]},
        {"measured": {"calibration": {"stress": 1}}},
        {"digests": 1},
        {"digests": {}},
        {"skipped": 1},
    ):
        write_audit(folder, audit | changed)
        assert select_failures(check_entry(folder)), changed
        assert main(["leaderboard", "build", "--leaderboards", str(folder.parents[2])]) == 1, changed


def test_what_is_sent_can_be_read_again(tmp_path: Path, record: Record) -> None:
    of = counted(record)
    folder = send(tmp_path, of, audited(of))
    assert (read_audit(folder) or {})["run"] == read_record(folder).run["id"]
