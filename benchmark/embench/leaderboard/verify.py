"""Checks that published entries follow from their own predictions, labels and folds.

Nothing is trained and no data are read. What only another run, or the data, can show is the audit's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import embench
from embench import registry
from embench.callbacks import ProgressCallback
from embench.data.cohort import card_for_protocol, label_rules
from embench.errors import CheckFailed, DataError, UsageError
from embench.files import cache_root, digest, saving
from embench.interfaces.metric import Undefined
from embench.interfaces.units import View
from embench.leaderboard.audited import wrong_audit, wrong_binding
from embench.leaderboard.entries import read_summands
from embench.leaderboard.export import SUMMANDS_FILE
from embench.leaderboard.given import wrong_given
from embench.leaderboard.recompute import FROM_DATA, recomputed_scores
from embench.leaderboard.row import ShownEntry
from embench.protocols import (
    access_of,
    load_protocol,
    protocol_names,
    recorded_given,
    recorded_protocol,
)
from embench.records.audit import AUDIT_FILE, read_audit
from embench.records.context import context_of
from embench.records.differences import ABSENT, Difference, differences
from embench.records.manifest import OVERLAP_OF, Manifest, Overlap
from embench.records.predictions import MODEL, UNPREDICTED
from embench.records.record import Record, read_record
from embench.records.wording import name_without_package
from embench.statistics import SCORING_REVISION, evaluation
from embench.statistics.summands import headline_summands
from embench.texts import FORMULA, texts_in

MOST_NAMED = 3
"""Number of differences that a message names."""
ANOTHER_REVISION = 0.005
"""Largest difference allowed to a score of an earlier revision."""

_OF_A_VIEW = {field.name for field in fields(View)}


def verify_entries(entries: Iterable[ShownEntry], progress: ProgressCallback | None = None) -> None:
    """Computes the scores of all entries again whose labels are public, and compares what entries say of themselves.
    Passed checks are cached by the content of the entry and the code that verifies, and are not part of the progress.

    Raises:
        CheckFailed: an entry says something else; file and field are named.
        DataError: one cannot be read.
    """
    verifier = _verifier()
    marks = [(entry, cache_root() / "verified" / digest([entry.content, verifier])) for entry in entries]
    new = [(entry, mark) for entry, mark in marks if not mark.is_file()]
    for i, (entry, mark) in enumerate(new, 1):
        if found := _findings(entry.folder):
            more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            raise CheckFailed(
                f"the entry does not follow from its own files: {'; '.join(found[:MOST_NAMED])}{more}",
                where=str(entry.folder),
                expected="an entry as `embench leaderboard build --from RUNS` writes it, unchanged",
                hint="publish the run again",
            )
        with saving("the cache", mark):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        if progress is not None:
            progress(i, len(new), entry.id)


def _findings(folder: Path) -> list[str]:
    try:
        return list(_wrong(read_record(folder), folder))
    except DataError as error:  # of the statistics, which know columns and no files
        if str(folder.parent.parent) in (error.where or ""):
            raise
        where = f"{folder}: {error.where}" if error.where else str(folder)
        raise DataError(error.what, where=where, expected=error.expected, hint=error.hint) from error


def _wrong(record: Record, folder: Path) -> Iterator[str]:
    """Each statement of an entry that does not follow, with its file and field."""
    yield from (*wrong_fields(record), *wrong_parts(record), *wrong_statements(record), *_wrong_audit(record, folder))
    if record.labels is None:
        return
    yield from wrong_score_file(record)
    yield from wrong_summands(folder, record)


def wrong_score_file(record: Record) -> Iterator[str]:
    """The scores follow from the predictions and labels that a record holds."""
    for difference in wrong_scores(record, recomputed_scores(record)):
        yield f"scores.json: {difference}"
    about = record.manifest.protocol
    if not (scored_by_this_revision(record) or about.leaks):
        yield f"run.yaml: scoring.revision: an earlier one than {SCORING_REVISION}, which the ranked entries have"


def wrong_parts(record: Record) -> Iterator[str]:
    """The parts of a record that its protocol and its card ask for are there: labels, where they are public, the
    share that was predicted and what the method adds; and no scores by metrics of other packages."""
    run, metrics = record.manifest, _scoring(record).get("metrics", {})
    for name in sorted(metrics.keys() - set(record.scores.headlines.values())):
        if not metrics[name].startswith(f"{registry.BUNDLED} "):
            yield f"run.yaml: scoring.metrics: {name} is of another package, whose scores no entry contains"
    if run.card.labels_public != "yes":
        return
    if record.labels is None:
        yield "labels: they are public, and the entry contains none"
    protocol = recorded_protocol(record.run["protocol"])
    if protocol is None or run.protocol.leaks:
        return
    if any(record.scores.adds(target) is None for target in record.scores.headlines):
        yield "scores.json: adds: the confound analysis was not run; run or score it without `--no-confounds`"
    if "coverage" not in record.scores:
        yield "scores.json: coverage: missing"


def wrong_statements(record: Record) -> Iterator[str]:
    """Statements of a record on its dataset, protocol, method and folds that contradict the rest of it, or the
    published card and rules; with file and field."""
    run = record.run
    yield from (*wrong_version(run), *wrong_card(run), *wrong_rules(run), *wrong_method(run))
    yield from (*wrong_given(record), *wrong_design(record), *wrong_folds(record))


def _wrong_audit(record: Record, folder: Path) -> Iterator[str]:
    """Faults of the audit of an entry that was audited."""
    audit = read_audit(folder)
    if audit is None:
        return
    try:
        bound = wrong_binding(audit, record)
        found = [*wrong_audit(audit, record.manifest, record.scores), *([] if isinstance(bound, Undefined) else bound)]
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:  # a document that nobody wrote so
        found = [f"{AUDIT_FILE}: a field is missing or is not what embench writes: {type(error).__name__}: {error}"]
    yield from found


def wrong_fields(record: Record) -> Iterator[str]:
    """No field is one that embench does not write, the labels were opened at least once and not by more methods than
    times, and no text is one that a spreadsheet runs."""
    run = record.manifest
    for field in run.unknown_fields():
        yield f"run.yaml: {field}: embench writes no such field; take run.yaml as the run wrote it"
    looks, tried = (_by_target(counted, run) for counted in (run.test_looks, run.tried))
    for name, counted in {"test_looks": looks, "tried": tried}.items():
        if counted.keys() ^ set(run.targets):
            yield f"run.yaml: {name}: it counts {', '.join(counted) or 'nothing'}, not the targets that were scored"
        for target, count in counted.items():
            if count is not None and count < 1:
                yield f"run.yaml: {name}.{target}: {count}, but the entry has scores, so that labels were used"
    for target in looks.keys() & tried.keys():
        if (most := looks[target]) is not None and (tried[target] or 0) > most:
            yield f"run.yaml: tried.{target}: {tried[target]} methods, more than the {most} test-set evaluations"
    for field, text in texts_in({name: part for name, part in record.run.items() if name not in _IN_NO_TABLE}):
        if text.startswith(FORMULA):
            yield f"run.yaml: {field}: a spreadsheet would run `{text[:30]}`; expected no = + - or @ before a text"


_IN_NO_TABLE = frozenset({"card", "cohort", "config", "dropped", "objects", "outside", "scoring", "videos"})


def _by_target(counted: int | dict[str, int] | None, run: Manifest) -> dict[str, int | None]:
    return dict(counted) if isinstance(counted, dict) else dict.fromkeys(run.targets, counted)


def wrong_version(run: Mapping[str, Any]) -> Iterator[str]:
    """The record is not of a later embench, whose records are not known here."""
    if _numbers(run["embench_version"]) > _numbers(embench.__version__):
        yield f"run.yaml: embench_version: {run['embench_version']}, a later one than {embench.__version__}"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3]]


def wrong_card(run: Mapping[str, Any]) -> Iterator[str]:
    """The card is that of the dataset, where it is installed: what is sealed depends on it, and what labels mean."""
    kept, about = run["card"], run["protocol"]["name"]
    rules = kept["label_rules_hash"]
    if digest(kept.get("label_rules", [])) != rules:
        yield "run.yaml: card.label_rules: not those of card.label_rules_hash"
    try:
        card = registry.load("dataset", run["dataset"]["name"]).card
        published = about in protocol_names()
        known = label_rules(card_for_protocol(load_protocol(about), card)) if published else None
    except UsageError:
        return  # a package that is not installed here, or a protocol of other datasets
    if known is not None and digest(known) != rules:
        yield "run.yaml: card.label_rules_hash: not that of the dataset's card"
    real = {"labels_public": card.labels_public, "fixed_order": card.fixed_order}
    yield from in_run(differences({name: kept[name] for name in real}, real, "card"))


def wrong_rules(run: Mapping[str, Any]) -> Iterator[str]:
    """The rules of the protocol are those that its hash, and the published ones of its name, are of."""
    about = run["protocol"]
    recorded = recorded_protocol(about)
    known = load_protocol(about["name"]) if about["name"] in protocol_names() else recorded
    if recorded is None or known is None or not recorded.hash == known.hash == about["hash"]:
        yield f"run.yaml: protocol.rules: they are not those of {about['name']}, or not those of protocol.hash"
        return
    access = access_of(recorded, recorded_given(run.get("given")))
    if recorded.leaks != about["leaks"] or access != run["target_access"]:
        yield "run.yaml: protocol.leaks or target_access: not as the protocol's rules have them"


def wrong_method(run: Mapping[str, Any]) -> Iterator[str]:
    """The method is the one that the configuration holds and the id names."""
    method, parts, config = run["method"], run["config"].get("parts", {}), run["config"]
    if method.get("outside") is not None:
        return  # a submission names itself
    if "fusion" not in parts:
        yield "run.yaml: config.parts: the configuration does not hold the method"
        return
    used = {name.partition("[")[2].removesuffix("]"): part["plugin"] for name, part in parts.items() if "[" in name}
    real = {"encoders": {m: used.get(m) for m in method["encoders"]}, "fusion": parts["fusion"]["plugin"]}
    yield from in_run(differences({name: method[name] for name in real}, real, "method"))
    names = "_".join(dict.fromkeys(map(name_without_package, method["encoders"].values())))
    if not run["id"].startswith(f"{names}-{name_without_package(method['fusion'])}-"):
        yield f"run.yaml: id: {run['id']} does not name the method"
    if "request" in config and list(run["recipe"]["settings"]) != list(config["request"].get("settings") or []):
        yield "run.yaml: recipe.settings: not those of config.request"
    bundled = (entry for entry in registry.entries("fusion") if entry.package == registry.BUNDLED)
    estimators = {entry.full_name: entry.features for entry in bundled}  # other packages need not say it
    if method.get("joins") and (is_one := estimators.get(method["fusion"])) is not None:
        reads = (
            ("features", "hidden", "decisions") if is_one else ("hidden" if method["joins"] == "hidden" else "tokens",)
        )
        if (method["joins"] == "estimator") != is_one or method["inputs"] not in reads:
            yield f"run.yaml: method.joins or method.inputs: not as {method['fusion']} has them"
    stated = {"seeds": run["seeds"], "modalities": method["modalities"], "preset": run["recipe"]["preset"]}
    yield from in_run(differences(stated, {name: config[name] for name in stated}, "config"))
    seen = {name: part["view"] for name, part in parts.items() if part.get("view") and "pretrainer" not in name}
    if wrong := [name for name, view in seen.items() if not isinstance(view, Mapping) or view.keys() - _OF_A_VIEW]:
        yield f"run.yaml: config.parts.{wrong[0]}.view: not what a method sees of a unit"
        return
    views = [View(**view) for view in seen.values()]
    if run.get("time_context") not in (None, context_of(views)):
        yield f"run.yaml: time_context: {run['time_context']}, but the views of the method say {context_of(views)}"
    yield from _wrong_overlap(run, {m: part for m, part in parts.items() if part.get("assets")})


def _wrong_overlap(run: Mapping[str, Any], bringing: Mapping[str, Any]) -> Iterator[str]:
    """The overlap is at least that of the weights that encoders bring; of weights that nobody knows, it is unknown."""
    order: tuple[Overlap, ...] = get_args(Overlap)
    for name in bringing:
        m = name.partition("[")[2].removesuffix("]")
        saw = OVERLAP_OF[(run.get("weights") or {}).get(m, {}).get("saw", "undisclosed")]
        if order.index(saw) > order.index(run["pretrain_overlap"]):
            yield f"run.yaml: pretrain_overlap: {run['pretrain_overlap']}, but the weights of {m} saw {saw}"


def in_run(found: Iterable[Difference]) -> Iterator[str]:
    """Differences of what run.yaml holds, in words."""
    return (f"run.yaml: {difference}" for difference in found)


def wrong_design(record: Record) -> Iterator[str]:
    """The design, which decides the headline, is that of the card and of the stimuli that were met."""
    stated, fixed = record.manifest.cohort.design, record.manifest.card.fixed_order
    if stated is None or not len(record.predictions):
        return  # an entry from before it was recorded, or without predictions
    met: dict[str, set[str]] = {}
    groups = record.groups
    for subject, stimulus in record.predictions.distinct("subject", "stimulus"):
        met.setdefault(stimulus, set()).add(groups[subject])
    shared = sum(len(groups) > 1 for groups in met.values()) > 1
    if (stated == "fixed_order") != fixed or (stated == "free" and shared):
        yield f"run.yaml: cohort.design: {stated}, which is not that of the dataset card and of the stimuli met"


def wrong_folds(record: Record) -> Iterator[str]:
    """Every unit was predicted in the fold that tests its subject, who is one of the cohort."""
    subjects, rows = record.manifest.cohort.subjects, record.predictions
    model, owed = (rows.take(rows.rows_with(method=name)) for name in (MODEL, UNPREDICTED))
    if isinstance(subjects, list) and (foreign := sorted(set(model.texts("subject").names.tolist()) - set(subjects))):
        yield f"run.yaml: cohort: {', '.join(foreign[:MOST_NAMED])} was predicted, and is not among its subjects"
    tests = {(row["seed"], row["fold"], row["subject"]) for row in record.folds if row["role"] == "test"}
    if isinstance(subjects, list) and (untested := sorted(set(subjects) - {subject for *_, subject in tests})):
        yield f"run.yaml: cohort: {', '.join(untested[:MOST_NAMED])} is tested in no fold"
    tested = {(seed, subject) for seed, _, subject in tests}  # not all subjects where folds are a file's own
    found = {tuple(map(str, row)) for row in model.distinct("seed", "fold", "subject")}
    found |= {row for each in owed.distinct("seed", "fold", "subject") if (row := tuple(map(str, each)))[::2] in tested}
    if wrong := sorted(found - tests):
        seed, fold, subject = wrong[0]
        yield f"folds: {subject} was predicted in fold {fold} of seed {seed}, which does not test this subject"


def wrong_scores(record: Record, again: Mapping[str, Any]) -> Iterator[Difference]:
    """Differences between `scores.json` and `again`, the scores that were computed again: of the same revision every
    number and word, but those of metrics that are installed on one side only; else the means, roughly, since intervals
    were others."""
    if scored_by_this_revision(record):
        recorded, installed = _scoring(record).get("metrics", {}), evaluation.scoring_identity()["metrics"]
        foreign = (recorded.keys() ^ installed.keys()) - set(record.scores.headlines.values())
        if record.run["embench_version"] == embench.__version__:
            foreign -= {name for name, code in installed.items() if code.startswith(f"{registry.BUNDLED} ")}
        folds = {} if "folds" in record.scores else {"folds": again["folds"]}  # entries leave them to be computed
        of_data = {name: record.scores[name] for name in FROM_DATA if name in record.scores}
        found = differences({**record.scores, **folds}, {**again, **of_data})
        yield from (difference for difference in found if not _passed_over(difference, foreign))
        return
    for part in ("scores", "controls"):
        was, now = dict(means_in(record.scores[part])), dict(means_in(again[part]))
        for name in was.keys() & now.keys():
            if not abs(was[name] - now[name]) <= ANOTHER_REVISION:
                yield Difference(f"{part}.{name}", was[name], now[name])


def _passed_over(difference: Difference, foreign: Collection[str]) -> bool:
    """True if one side has no score of a foreign metric; a score that both have is compared, whatever a record says of
    its metrics."""
    ends = any(difference.place.endswith(f".{name}") for name in foreign)
    return ends and ABSENT in (difference.recorded, difference.recomputed)


def scored_by_this_revision(record: Record) -> bool:
    """True if the record's scores were computed by this revision."""
    return bool(_scoring(record).get("revision") == SCORING_REVISION)


def _scoring(record: Record) -> Mapping[str, Any]:
    """The recorded revision and metrics of the scores; empty in entries that are older than this record."""
    return record.run.get("scoring") or {}


def means_in(table: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, float]]:
    """(place, mean) of all scores of a table that have one."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            if "mean" in value:
                yield f"{place}{name}", value["mean"]
            else:
                yield from means_in(value, f"{place}{name}.")


def wrong_summands(folder: Path, record: Record) -> Iterator[str]:
    """The summands by which a row is ranked follow from its predictions."""
    if not scored_by_this_revision(record):
        return  # scored otherwise then
    found = {target: headline_summands(record, target) for target in record.scores.headlines}
    expected = {target: summands.as_json() for target, summands in found.items() if summands}
    for difference in differences(read_summands(folder), expected):
        yield f"{SUMMANDS_FILE}: {difference}"


def _verifier() -> str:
    """A digest of the code of scores and entries, and of the metrics that are installed."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(json.dumps(evaluation.scoring_identity(), sort_keys=True).encode())
    for folder in ("interfaces", "leaderboard", "protocols", "records", "statistics"):
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
