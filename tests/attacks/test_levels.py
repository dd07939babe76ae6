"""At which level each forgery of an entry fails that a skilful forger makes: at `leaderboard verify` by the entry's own
files, at `verify --data-root` by the data, at `reproduce --spot-check 2` by another run, or at none; and whether CI's
`verify --previous` stops it, which has no data. docs/why/forgeries.md is made of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from embench.cli import main
from embench.leaderboard.entries import hash_entry, list_test_stages, pick_stages
from embench.records.record import read_manifest, read_record

from ..sample import proof
from . import answers as a
from . import statements as s
from .forger import Forger, needs_recordings, published

__all__ = ["published"]

VERIFY, WITH_DATA, REPRODUCE, NOTHING = "`verify`", "`verify --data-root`", "`reproduce`", "nothing"
"""Holes that are being closed: the page says so already."""


class Forgery(NamedTuple):
    """How it is made, and the first level at which it fails, by this check or, of `reproduce`, with this word.

    `ci`: whether CI stops what passes `verify`.
    """

    how: a.How
    level: str
    by: str = ""
    ci: bool = False


def _control(change: a.Change) -> Forgery:
    return Forgery(a.rewritten(change, with_data=False), WITH_DATA, "confound_only", ci=True)


def _weaker(change: a.Other, *names: str) -> Forgery:
    return _control(a.of_controls(change, *names))


def _answer(how: a.How, ci: bool = False) -> Forgery:
    return Forgery(how, REPRODUCE, "predictions", ci)


def _labels(change: a.Change, checks: str = "labels") -> Forgery:
    return Forgery(a.rewritten(change), WITH_DATA, checks, ci=True)


def _times(change: a.Change) -> Forgery:
    return Forgery(a.rewritten(change), WITH_DATA, "cohort", ci=True)


SMOOTHED = a.model(lambda _, rows: a.by_person(rows, rows["score"], a.smoothed))
FORGERIES: dict[str, dict[str, Forgery]] = {
    "confound_only": {
        "shifted by a minute": _weaker(lambda rows, v: a.by_person(rows, v, lambda own: np.roll(own, 6))),
        "shrunk until most are equal": _weaker(lambda _, v: (0.5 + 0.05 * (v - 0.5)).round(2)),
        "permuted": _weaker(lambda _, v: np.random.default_rng(0).permutation(v)),
        "movement turned around": _weaker(lambda _, v: 1 - v, "movement"),
        "the registered clock smoothed": _weaker(lambda rows, v: a.by_person(rows, v, a.smoothed), a.CLOCK),
        "movement and clock swapped": _control(a.swapped),
        "of a person of another fold": _weaker(a.neighbour),
        "of another seed": _weaker(a.next_seed),
        "said not to apply": _control(a.without("movement", "there is no accelerometer")),
        "one left out": _control(a.without(a.CLOCK, None)),
        "one without a unit, so that nothing is compared": _control(a.without_a_unit),
        "one that embench does not have": _control(a.unknown_control),
    },
    "predictions": {
        "of another seed": _answer(a.model(lambda _, rows: a.next_seed(rows, rows["score"]))),
        "of the neighbour": _answer(a.of_twin),
        "under the neighbour's name": _answer(s.twins_name),
        "of a control": _answer(a.model(lambda of, _: a.rows_of(of, a.CLOCK)["score"])),
        "smoothed in time": _answer(SMOOTHED),
        "of one person, turned around": _answer(a.model(a.turned)),
        "calibrated by the labels": _answer(a.model(a.calibrated)),
        "decisions alone": _answer(a.rewritten(a.decided)),
    },
    "predictions changed later": {
        "smoothed once the entry was attested": _answer(s.attested_before(SMOOTHED), ci=True),
        "smoothed once the entry was there": _answer(s.afterwards(SMOOTHED), ci=True),
    },
    "predictions moved very little": {
        "said to be of another numpy": Forgery(
            s.saying(lambda run: run["versions"].update(numpy="2.0.0"), a.model(a.moved)), NOTHING
        ),
    },
    "a method of one's own": {
        "whose package nobody has": Forgery(s.of_run(s.own_method), REPRODUCE, "not installed"),
    },
    "folds and groups": {
        "two people change their folds": Forgery(
            a.rewritten(a.dealt_again), WITH_DATA, "cohort confound_only", ci=True
        ),
        "two people are one group": Forgery(a.rewritten(a.regrouped), WITH_DATA, "cohort", ci=True),
    },
    "labels and people": {
        "a neighbour's labels": _labels(a.relabelled(a.of_neighbour)),
        "labels a unit later": _labels(a.relabelled(a.later)),
        "units drawn by a hash are left out": _labels(a.drawn_out, "labels unpredicted confound_only"),
        "a person is left out": _labels(a.left_out, "labels cohort unpredicted confound_only"),
    },
    "labels of files said to be others": {
        "a neighbour's labels": Forgery(
            s.saying(
                lambda run: run["dataset"].update(fingerprint="0" * 16, files="0" * 32),
                a.rewritten(a.relabelled(a.of_neighbour), with_data=False),
            ), REPRODUCE, "labels", ci=True,
        ),
    },
    "units without a signal": {
        "errors": Forgery(a.rewritten(a.tied), WITH_DATA, "unpredicted"),
    },
    "times and stimuli": {
        "lengths of sessions": _times(a.sessions),
        "when units begin": _times(a.started_later),
        "stimuli": _times(a.stimuli),
    },
    "summands": {
        "that add up to another primary metric": Forgery(s.more_summands, VERIFY, "summands"),
        "of the neighbour": Forgery(s.twins_summands, VERIFY, "summands"),
    },
    "the answers given time and movement": {
        "more": Forgery(s.of_scores(s.adds_more), WITH_DATA, "adjusted"),
    },
    "what else the entry shows": {
        "a bad score, whose metric the author doesn't have": Forgery(
            s.metric_hidden, VERIFY, "scores"
        ),
        "scores of a sealed entry, though labels are public": Forgery(
            s.sealed_although_public, VERIFY, "parts"
        ),
        "a score by a metric of one's own": Forgery(
            s.own_metric, VERIFY, "parts"
        ),
        "the label's rule": Forgery(
            s.of_run(lambda run: run["card"]["label_rules"][0]["rule"].update(lag_s=5.0)),
            VERIFY, "card",
        ),
        "a setting that was not changed": Forgery(
            s.of_run(lambda run: run["recipe"].update(settings=["fusion.build.C=3"])),
            VERIFY, "method",
        ),
        "what kind of method it is": Forgery(
            s.of_run(lambda run: run["method"].update(joins="unimodal", inputs="decisions")),
            VERIFY, "method",
        ),
        "the share that was predicted": Forgery(
            s.of_scores(lambda scores: scores["coverage"].update(stress=0.5)),
            VERIFY, "covered",
        ),
        "the answers given time and movement, left out": Forgery(
            s.of_scores(lambda scores: scores.pop("adjusted")), VERIFY, "parts"
        ),
        "a person whom nobody recorded": Forgery(s.of_run(s.someone_more), VERIFY, "folds"),
    },
    "what else the data show": {
        "why a person was left out": Forgery(
            s.of_run(lambda run: run["cohort"]["left_out"][0].update(reason="a broken sensor")),
            WITH_DATA, "cohort",
        ),
    },
    "an audit of something else": {
        "the neighbour's, with this entry's name and digests": Forgery(s.twins_audit, VERIFY, "audit"),
    },
    "what happened on the board": {
        "an attestation that comes with the entry": Forgery(s.attested, NOTHING, ci=True),
        "the neighbour's entry made worse": Forgery(s.changed_twin, NOTHING, ci=True),
    },
    "an entry twice": {
        "the neighbour's entry again, under another id": Forgery(
            s.another_id, NOTHING, ci=True
        ),
    },
    "words of a person": {
        "an audit by hand, without findings": Forgery(s.audit_by_hand, NOTHING),
        "an attestation by nobody": Forgery(s.afterwards(s.attested), NOTHING),
        "a single look, by a ledger that nobody has": Forgery(s.another_ledger, NOTHING),
        "the time it took": Forgery(s.of_run(lambda run: run["cost"].update(wall_seconds=0.1)), NOTHING),
    },
}  # fmt: skip
"""Kind, as docs/why/forgeries.md has it -> name -> forgery."""
SAMPLE = {
    "confound_only: of a person of another fold", "predictions: decisions alone",
    "labels and people: a person is left out",
    "what else the entry shows: the share that was predicted",
    "what happened on the board: the neighbour's entry made worse",
    "words of a person: an audit by hand, without findings",
}  # fmt: skip
"""What every test run tries, of each level one or two; `make rates` tries all."""


def cases() -> Iterator[Any]:
    for kind, of in FORGERIES.items():
        for name, forgery in of.items():
            case = f"{kind}: {name}"
            yield pytest.param(forgery, id=case, marks=[] if case in SAMPLE else [proof])


def test_every_sample_is_a_forgery() -> None:
    assert {f"{kind}: {name}" for kind, of in FORGERIES.items() for name in of} >= SAMPLE


@pytest.fixture(scope="module")
def honest(published: Path) -> a.Place:
    """The published entries."""
    lda, logreg = sorted(published.glob("boards/stress_predict/*/handcrafted-*"))
    return a.Place(lda, logreg, published, published / "data")


@pytest.fixture
def place(honest: a.Place, tmp_path: Path) -> a.Place:
    """Boards of their own, to which the entry is new."""
    boards, earlier = tmp_path / "boards", tmp_path / "earlier"
    for copy in (boards, earlier):
        shutil.copytree(honest.boards, copy)
    entry, twin = (boards / folder.relative_to(honest.boards) for folder in (honest.entry, honest.twin))
    shutil.rmtree(earlier / entry.relative_to(boards))
    return a.Place(entry, twin, earlier, honest.data)


@pytest.mark.slow
@needs_recordings
@pytest.mark.parametrize("forgery", [*cases()])
def test_a_forgery_fails_at_its_level(
    honest: a.Place,
    place: a.Place,
    forgery: Forgery,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    forger = Forger(place.entry)
    forgery.how(forger, place)
    monkeypatch.delenv("EMBENCH_DATA")
    in_ci = leaderboard("verify", place.boards, "--previous", place.earlier)
    assert in_ci == (1 if forgery.ci or forgery.level == VERIFY else 0)
    data = ("--data-root", place.data)
    levels = {
        VERIFY: ("verify", forger.folder, "--json"),
        WITH_DATA: ("verify", forger.folder, "--json", *data),
        REPRODUCE: ("reproduce", forger.folder, *data, "--attester", "A", "--spot-check", "2", "--nonce"),
    }
    for level, line in levels.items():
        capsys.readouterr()
        if leaderboard(*line, *([nonce(honest.entry, forger.folder)] if level == REPRODUCE else [])):
            break
    else:
        level = NOTHING
    said = capsys.readouterr()
    assert level == forgery.level, said
    if level in (VERIFY, WITH_DATA):
        checks = json.loads(said.out)
        assert [check["check"] for check in checks if check["status"] == "failed"] == forgery.by.split()
    else:
        assert forgery.by in said.out + said.err


def leaderboard(*arguments: Any) -> int:
    return main(["leaderboard", *map(str, arguments)])


def nonce(honest: Path, forged: Path) -> str:
    """One by which a spot check runs a fold of which predictions were changed, if there is one."""
    before, now = (a.rows_of(read_record(folder)) for folder in (honest, forged))
    apart = (before["score"] != now["score"]) | (before["decision"] != now["decision"])
    changed = {*zip(now["seed"][apart].tolist(), now["fold"][apart].tolist(), strict=True)}
    run = read_manifest(forged)
    drawn = {n: pick_stages(hash_entry(forged, run), n, 2, list_test_stages(forged, run)) for n in map(str, range(99))}
    return next((n for n, picked in drawn.items() if changed & set(picked)), "0")


@pytest.mark.slow
@needs_recordings
def test_an_honest_entry_passes_all_levels(place: a.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMBENCH_DATA")
    assert leaderboard("verify", place.boards, "--previous", place.earlier) == 0
    assert leaderboard("verify", place.boards, "--data-root", place.data) == 0
    assert (
        leaderboard("reproduce", place.boards, "--data-root", place.data, "--attester", "A", "--spot-check", "2") == 0
    )
