"""The checks that need the record alone find in it what the whole audit found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from embench.audits import audit_record
from embench.audits.checks import CHECKS, OF_THE_RECORD
from embench.audits.checks.records import check_validation
from embench.audits.collect import record_evidence
from embench.reasons import OTHER
from embench.records.audit import list_shown_findings, read_audit, read_skipped_reasons
from embench.records.findings import EVIDENCE_KINDS, FINDINGS, UNKNOWN, find_wrong_field
from embench.records.record import read_record
from embench.statistics.form import result_forms

from ..sample import sample

BOARDS = Path(__file__).parents[2] / "leaderboards"


@pytest.mark.parametrize("board", sample(["stress_predict", "eegmat"], "eegmat"))
def test_they_find_what_the_published_audit_found(board: str) -> None:
    [entry, *_] = sorted((BOARDS / board / "subject-independent-v4").glob("cnn_tf-single-*"))
    published = read_audit(entry)
    assert published is not None
    expected = {(found.check, found.severity, found.what) for found in list_shown_findings(published)}
    made = audit_record(entry, read_record(entry))
    found = {(name, finding.severity, finding.what) for name, finding in made.findings}
    assert found == {row for row in expected if row[0] in OF_THE_RECORD}
    assert {*made.checks, *made.skipped} == OF_THE_RECORD.keys()


def test_published_findings_are_accepted_and_shown_in_the_words_of_today() -> None:
    shown, ids = set(), set()
    files = sorted(BOARDS.glob("*/*/*/audit.json"))
    assert len(files) > 200
    for file in files:
        audit = read_audit(file.parent)
        assert audit is not None
        assert [find_wrong_field(finding) for finding in audit["findings"]] == [None] * len(audit["findings"])
        reasons = [why for reasons in read_skipped_reasons(audit).values() for why in reasons]
        assert [why for why in reasons if why.id == OTHER] == []
        ids |= {finding["id"] for finding in audit["findings"]}
        shown |= {text for found in list_shown_findings(audit) for text in (found.what, found.todo)}
    assert len(ids) >= 9
    assert UNKNOWN not in shown
    assert len(shown) > 200
    coined = ("the clock", "shown to add", "controls that", "open the test labels", "hang on", "test people")
    assert [text for text in shown if any(word in text for word in coined)] == []


def test_texts_and_names_of_evidence_are_those_of_a_check() -> None:
    checks = {*CHECKS, "permuted_labels", "choices"}
    assert {text.check for text in FINDINGS.values()} <= checks
    assert {name for text in FINDINGS.values() for name in text.evidence} == EVIDENCE_KINDS.keys()
    free = {name for name, text in FINDINGS.items() if {"statements", "reason"} & {*text.evidence}}
    assert {severity for name in free for severity in FINDINGS[name].severities} == {"severe"}


def test_each_is_a_check_of_the_whole_audit() -> None:
    assert all(CHECKS[name] is check for name, check in OF_THE_RECORD.items())


def test_who_scores_files_is_told_what_to_do_with_files() -> None:
    entry = BOARDS / "stress_predict" / "subject-independent-v4" / "handcrafted-svm-d535a9be1d"
    known = read_record(entry)
    count = known.manifest.most_of("methods_evaluated")
    for outside, todo in ((None, "with --dev"), ("mine", "score only the file of the chosen method")):
        run = {**known.run, "method": {**known.run["method"], "submission": outside}}
        [finding] = check_validation(record_evidence(entry, replace(known, run=run))).findings
        assert finding.what == f"{count} methods, including this one, were scored on these test subjects"
        assert todo in finding.todo


def test_a_method_that_reads_a_context_is_judged_at_the_level_that_its_audit_and_form_name() -> None:
    [entry] = (BOARDS / "stress_predict" / "subject-independent-v4").glob("tcn-shared_tf-*")
    record, audit = read_record(entry), read_audit(entry)
    assert audit is not None
    [now] = [finding.what for name, finding in audit_record(entry, record).findings if name == "confound_only"]
    effect = record.scores.get_adjusted("stress").levels["protocol_phase"].partial_r
    assert now.startswith("given the protocol phase, an association of the scores with stress is not shown: partial r")
    assert f"{effect.mean:.2f}" in now
    [before] = [found.what for found in list_shown_findings(audit) if found.check == "confound_only"]
    assert before == now
    notes = result_forms(record.run, record.scores)["stress"].notes
    assert any(note.startswith("The answer given the phase of the protocol decides") for note in notes)
