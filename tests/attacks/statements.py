"""What a skilful forger says beside an entry's predictions: in its scores, run.yaml and audit, of its neighbours and in
the name of others."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from embench.data.find import find_source
from embench.leaderboard.entries import SUMMANDS_FILE, attest
from embench.leaderboard.withheld import LABEL_HMAC_FILE, hash_labels
from embench.records.audit import read_audit, write_audit
from embench.records.predictions import MODEL
from embench.records.record import digests_of, read_record, write_record
from embench.records.scores import Scores

from .answers import How, Place, rows_of, scored
from .forger import Forger


def of_run(change: Callable[[Any], object]) -> How:
    return lambda forger, _: forger.edit_run(change)


def of_scores(change: Callable[[Any], object]) -> How:
    return lambda forger, _: (forger.edit_scores(change), forger.audit_again())


def adds_more(scores: Any) -> None:
    added = scores["adjusted"]["stress"]
    at = added["levels"][added["decisive_level"]]
    at["partial_r"].update(mean=0.3, low=0.2, high=0.4)
    at.update(adjusted=True)


def someone_more(run: Any) -> None:
    run["cohort"]["subjects"].append("S99")
    run["cohort"]["session_s"]["S99"] = 3000.0


def more_summands(forger: Forger, _: Place) -> None:
    """Parts that add up to another primary metric."""
    path = forger.folder / SUMMANDS_FILE
    known = json.loads(path.read_text())
    for of in known.values():
        of["adjusted"] = [part + 0.01 for part in of["adjusted"]]
    path.write_text(json.dumps(known))


def twins_summands(forger: Forger, place: Place) -> None:
    shutil.copy(place.twin / SUMMANDS_FILE, forger.folder)


def metric_hidden(forger: Forger, _: Place) -> None:
    """A bad score left out, as if its metric were of a package that the author doesn't have."""
    forger.edit_run(lambda run: run["scoring"]["metrics"].pop("ece"))
    forger.edit_scores(lambda scores: scores["scores"]["stress"].pop("ece"))
    forger.edit_control_scores(lambda scores: [of["stress"].pop("ece", None) for of in scores.values()])
    forger.audit_again()


def own_metric(forger: Forger, _: Place) -> None:
    """A score by a metric of a package that nobody else has."""
    forger.edit_run(lambda run: run["scoring"]["metrics"].update(perfection="acme acme:Perfection 1.0"))
    best = {"mean": 0.99, "low": 0.98, "high": 1.0}
    forger.edit_scores(
        lambda scores: scores["scores"]["stress"].update(perfection={**scores["scores"]["stress"]["auroc"], **best})
    )
    forger.audit_again()


def own_method(run: Any) -> None:
    """A plugin of a package that nobody else has."""
    run["method"].update(fusion="acme/lda")
    run["config"]["parts"]["fusion"].update(plugin="acme/lda", code="acme 1.0")
    run["config"]["request"].update(fusion="acme/lda")


def sealed_although_public(forger: Forger, place: Place) -> None:
    """Scores beside a seal of the labels, as of a dataset whose labels nobody may have: they follow from nothing."""
    forger.audit_again()
    record, audit = read_record(forger.folder), read_audit(forger.folder)
    assert record.labels
    assert audit
    scores = copy.deepcopy(dict(record.scores))
    scores["scores"]["stress"][record.scores.primary_metrics["stress"]].update(mean=0.95, low=0.9, high=1.0)
    run = {name: value for name, value in record.run.items() if name != "entry"}
    made = replace(record, run=run, labels=None, scores=Scores(scores))
    shutil.rmtree(forger.folder)
    write_record(forger.folder, made)
    (forger.folder / LABEL_HMAC_FILE).write_text(
        hash_labels(record.labels, find_source("stress_predict", place.data).raw_digest())
    )
    write_audit(forger.folder, {**audit, "digests": {**digests_of(made), "code": audit["digests"]["code"]}})


def saying(words: Callable[[Any], object], how: How) -> How:
    """A forgery of an entry whose run.yaml says so that it is compared less."""

    def made(forger: Forger, place: Place) -> None:
        forger.edit_run(words)
        how(forger, place)

    return made


def twins_name(forger: Forger, place: Place) -> None:
    """This entry under the method of its neighbour, in every field and in the request."""
    other = Forger(place.twin).run
    parts, request = other["config"]["parts"], other["config"]["request"]
    forger.edit_run(
        lambda run: (run.update(method=other["method"]), run["config"].update(parts=parts, request=request))
    )
    _rename(forger, place)


def another_id(forger: Forger, place: Place) -> None:
    """The neighbour's entry once more, as one's own: a second row of the same run."""
    shutil.rmtree(forger.folder)
    shutil.copytree(place.twin, forger.folder)
    _rename(forger, place)


def _rename(forger: Forger, place: Place) -> None:
    """Another run by the neighbour's method."""
    name = f"{place.twin.name.rpartition('-')[0]}-0123456789"
    forger.edit_run(lambda run: run.update(id=name))
    forger.edit_audit(lambda audit: {**audit, "run": name})
    forger.folder = forger.folder.rename(forger.folder.with_name(name))


def audit_by_hand(forger: Forger, _: Place) -> None:
    """One that found nothing, and measured nothing from which a finding follows."""
    forger.audit_again()
    forger.edit_audit(lambda audit: {**audit, "findings": [], "counts": dict.fromkeys(audit["counts"], 0)})


def twins_audit(forger: Forger, place: Place) -> None:
    """Under this entry's name, with its digests."""
    twin = read_audit(place.twin) or {}
    forger.edit_audit(lambda own: {**twin, "run": own["run"], "digests": own["digests"]})


def another_ledger(forger: Forger, _: Place) -> None:
    """A single look, by a ledger that nobody has."""
    forger.edit_run(lambda run: run.update(ledger="0" * 64, test_evaluations={"stress": 1}, tried={"stress": 1}))
    once = {"validation": {"stopped_early": [], "methods_evaluated": 1, "test_evaluations": 1}}
    forger.edit_audit(lambda audit: {**audit, "measured": {**audit["measured"], **once}})


def attested(forger: Forger, _: Place) -> None:
    """By somebody who never saw it."""
    attest(forger.folder, "reproduced", "A. Reader")


def attested_before(change: How) -> How:
    """What an honest reader attested of an earlier state stays beside what is made of it."""

    def how(forger: Forger, place: Place) -> None:
        attested(forger, place)
        change(forger, place)

    return how


def afterwards(change: How) -> How:
    """The same of an entry that is on the board already."""

    def how(forger: Forger, place: Place) -> None:
        shutil.copytree(place.boards, place.earlier, dirs_exist_ok=True)
        change(forger, place)

    return how


def changed_twin(_: Forger, place: Place) -> None:
    """Somebody else's entry, made worse."""
    Forger(place.twin).rewrite(lambda of: scored(of, {MODEL: 1 - rows_of(of)["score"]}))
