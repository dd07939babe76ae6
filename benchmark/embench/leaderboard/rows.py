"""Rows of leaderboards: their order, the groups in which methods are ranked, and their cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import embench
from embench import registry
from embench.errors import CheckFailed
from embench.files import cache_root, digest, read_checked, snapshot, write_checked
from embench.leaderboard.columns import SECONDARY_METRICS, EntrySummary, Row
from embench.leaderboard.entries import (
    LEVEL_NAMES,
    UNCONFIRMED,
    UNKNOWN_FILES,
    LeaderboardEntry,
    LoadEntry,
    board_name,
    explain_unpublishable,
    find_finished_runs,
    get_attestation_folder,
    hash_content,
    hash_contents,
    hash_entry,
    list_entry_folders,
    load_leaderboard_entry,
    load_run,
    load_summands,
)
from embench.leaderboard.nonces import NONCES_FILE
from embench.protocols import format_access
from embench.records.audit import format_audit_status
from embench.records.manifest import Manifest, WeightsPart, describe_tuning, explain_refused_seeds, method_kind
from embench.records.pretraining_comparison import (
    PretrainingGain,
    PretrainingGains,
    ReferenceKind,
    get_gain_order,
    make_reference_keys,
    match_reference,
)
from embench.records.record import Record, read_record, shared_files, shared_folder
from embench.records.scores import Adjusted
from embench.records.wording import (
    OF_SYNTHETIC_DATA,
    bare_name,
    format_value,
    given_in_words,
    in_words,
    inside_subjects,
    least_gain,
)
from embench.registry import BUNDLED
from embench.statistics import metric_facts
from embench.statistics.answers import TargetAnswers, Unanswerable, answer_questions
from embench.statistics.form import TargetQuestion
from embench.statistics.intervals import Ranking, rank_methods
from embench.statistics.scores import COMPARED

# Cache of leaderboard content in the user's cache folder. Its file names are digests of all inputs: the bytes of files,
# including those of embench and of installed plugin packages.

_CODE = (".py", ".yaml", ".html", ".j2")
_FORGOTTEN_S = 30 * 86400


def find_cache_file(kind: str, *names: str) -> Path:
    """Return the path of a cache file, which depends on the current code, on the `kind` of cached values, and on the
    `names` of the inputs that they are computed from. When the code changes, caches of earlier code that are older than
    a month are deleted."""
    folder = cache_root() / "boards" / hash_code()
    if not folder.is_dir():
        for old in folder.parent.glob("*"):
            with suppress(OSError):  # another process may remove it
                if time.time() - old.stat().st_mtime > _FORGOTTEN_S:
                    shutil.rmtree(old)
    return folder / kind / hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]


@cache
def hash_code() -> str:
    """Return a digest of the source files of embench and of installed plugin packages."""
    code, package = hashlib.sha256(), Path(embench.__file__).parent
    of_embench = sorted(path for path in package.rglob("*") if path.suffix in _CODE)
    for path in (*of_embench, *registry.find_shipped_files("**/*.py"), *registry.find_shipped_files("**/*.yaml")):
        code.update(f"{path.name} ".encode() + path.read_bytes())
    return code.hexdigest()[:32]


# Keys of an entry's labels, folds and confound-only models. Entries with equal keys can confirm each other's.

CONTROL_LIBRARIES = ("numpy", "scikit-learn")
"""Libraries that determine the exact digits of confound-only models, which are trees."""


def build_board_key(run: Manifest) -> tuple[Any, ...]:
    """Return (dataset, protocol hash, targets). Entries with equal keys have equal labels and folds of a subject."""
    return run.dataset.name, run.protocol.hash, tuple(run.targets)


def build_controls_key(run: Manifest) -> tuple[Any, ...]:
    """Return the training dataset and `get_label_limits`. Two entries with equal values of these and of
    `build_board_key` have equal confound-only models."""
    return run.config.get("train_dataset"), *get_label_limits(run)


def get_label_limits(run: Manifest) -> tuple[Any, ...]:
    """Return the number of subjects and the proportion of labels that models were fitted on; None means all."""
    return run.config.get("label_subjects"), run.config.get("label_fraction")


def build_shared_key(run: Manifest) -> tuple[Any, ...]:
    """Return a key that is equal for entries with the same confound-only models. It includes digests of the tables of
    labels, folds, units and models; if labels are withheld, of the folds and of the models' scores."""
    entry = run.entry
    tables = entry and (entry.labels, entry.folds, entry.rows, entry.confound_only or entry.confound_only_scores)
    return build_board_key(run), build_controls_key(run), tables


# Gains of pretrained rows over from-scratch and feature rows (references) of the same leaderboard.

_GAIN = TypeAdapter(PretrainingGain)


def add_pretraining_gains(
    rows: Sequence[Row], entries: Mapping[str, EntrySummary], target: str, score: Callable[[Row], tuple[float, ...]]
) -> list[Row]:
    """Return the rows of a target, with `pretraining_comparison` in pretrained rows. If a row has several references of
    one kind and method, the reference with the highest `score` is used.

    Args:
        entries: id of a row -> its entry.
    """
    read = cache(partial(read_record, models=False))
    completed = []
    for row in rows:
        entry = entries[row.id]
        keys = entry.reference_keys
        if not keys.wants:
            completed.append(row)
            continue
        best: dict[tuple[ReferenceKind, str], Row] = {}
        for other in rows:
            other_keys = entries[other.id].reference_keys
            if kind := match_reference(keys, row.seeds, other_keys, other.seeds):
                best[kind, other_keys.name] = max(best.get((kind, other_keys.name), other), other, key=score)
        gains = [_load_gain(kind, name, entry, entries[ref.id], target, read) for (kind, name), ref in best.items()]
        ordered = tuple(sorted(gains, key=get_gain_order))
        completed.append(replace(row, pretraining_comparison=PretrainingGains(ordered, keys.epochs)))
    return completed


def _load_gain(
    kind: ReferenceKind,
    name: str,
    entry: EntrySummary,
    reference: EntrySummary,
    target: str,
    read: Callable[[Path], Record],
) -> PretrainingGain:
    """Return the gain of a pretrained entry over a reference. The gain is cached, since computing it takes a quarter of
    a second.

    Args:
        kind, name: kind of the reference, and name of its method.
        read: loads the record of an entry from its folder.
    """
    place = find_cache_file("pretraining_gains", entry.content, reference.content, target)
    if content := read_checked(place):
        with suppress(ValidationError):
            return _GAIN.validate_json(content)
    from embench.statistics.gains import compute_pretraining_gain  # imports scipy, which a cached gain does not need

    gain = compute_pretraining_gain(kind, name, read(entry.folder), read(reference.folder), target)
    write_checked(place, _GAIN.dump_json(gain, by_alias=True, exclude_unset=True))
    return gain


# Rows of a leaderboard: order, ranked groups, and fields.


def summarise_entry(entry: LeaderboardEntry) -> EntrySummary:
    """Return the part of an entry that leaderboards show."""
    run, scores = entry.run, entry.scores
    answers = answer_questions(run.content(), scores)
    trained_on = run.config.get("train_dataset")
    return EntrySummary(
        folder=entry.folder,
        content=hash_entry(entry.folder, run),
        shared=tuple(path.name for path in shared_files(entry.folder, run.entry)) if run.entry else (),
        id=run.id,
        board=entry.board,
        dataset=run.dataset.name,
        protocol=run.protocol.name,
        leaks=run.protocol.leaks,
        trained_on=board_name(trained_on) if trained_on else None,
        design=run.cohort.design,
        people=run.cohort.people,
        rows={target: _build_method_row(entry, target, answers[target]) for target in entry.targets},
        confound_only={
            target: tuple(
                c.name for c in scores.get_confound_only_models(target) if c.scores and c.name not in COMPARED
            )
            for target in entry.targets
        },
        confirmation_key="" if entry.confound_only_fitted or run.entry is None else digest(build_shared_key(run)),
        parts={target: dict(_list_parts(entry, target)) for target in entry.targets},
        undefined={
            target: {
                metric: score.undefined or ""
                for metric, score in scores.get_scores(target).items()
                if not score.is_defined
            }
            for target in entry.targets
        },
        reference_keys=make_reference_keys(run),
    )


@snapshot()
def rank_rows(
    entries: Sequence[EntrySummary], target: str, load: LoadEntry = load_leaderboard_entry
) -> tuple[list[Row], Mapping[str, Ranking]]:
    """Return the rows of one dataset, protocol and target, and a mapping from ranking classes to their rankings.
    Methods come first, sorted by the primary metric, then confound-only models.

    A rank compares methods with the same `get_ranking_class`. A row is not ranked, with the reason in `marks`, in these
    cases:

    - Its protocol leaks, or its seeds are not those of the leaderboard.
    - It was pretrained on the test subjects or on unknown data.
    - Its primary metric is undefined, depends on a threshold or measures errors.
    - Its confound-only models were not fitted again by anyone, and no other entry has the same ones.
    - Only its author has run it (see `LeaderboardEntry.ranked`).

    Where the primary metric is undefined, rows are sorted by the within-subject score.

    Args:
        load: loads an entry from its folder.
    """
    times = Counter(entry.confirmation_key for entry in entries)
    unconfirmed = {entry.id for entry in entries if entry.confirmation_key and times[entry.confirmation_key] == 1}
    rows = [entry.rows[target] for entry in entries if target in entry.rows]
    rows = [replace(row, marks=(*row.marks, UNCONFIRMED)) if row.id in unconfirmed else row for row in rows]
    rows.sort(key=_get_order)
    folders = {entry.id: entry.folder for entry in entries}
    classes: dict[str, list[Row]] = {}
    for row in rows:
        if not row.marks:
            classes.setdefault(get_ranking_class(row), []).append(row)
    rankings, ranked = {}, dict[str, Row]()
    for name, members in classes.items():
        found = rank_methods(
            [row.score for row in members if row.score], [load_summands(folders[row.id]).get(target) for row in members]
        )
        rankings[name] = found
        for row, rank, letters in zip(members, found.ranks, found.letters, strict=True):
            ranked[row.id] = replace(row, rank=rank, letters=letters)
    rows = [ranked.get(row.id, row) for row in rows]
    rows = add_pretraining_gains(rows, {entry.id: entry for entry in entries}, target, _get_sort_score)
    confirmed = [entry for entry in entries if entry.id not in unconfirmed]
    return rows + _select_control_rows(confirmed, target, load), rankings


def get_ranking_class(row: Row) -> str:
    """Return the class within which a row is ranked, as a text: access to data of the test subjects, other units of the
    session that a prediction depends on (if known), and measurement units of signals that are not standardised."""
    return ", ".join(filter(None, (row.target_access, row.time_context, row.measurement_units)))


def _get_order(row: Row) -> tuple[Any, ...]:
    return *(-score for score in _get_sort_score(row)), row.id


def _get_sort_score(row: Row) -> tuple[float, ...]:
    """Return the sort key of a row: the primary metric, then the within-subject score where that is undefined."""
    return get_mean(row), get_mean(row, inside_subjects(row.primary_metric))


def get_mean(row: Row, metric: str | None = None) -> float:
    """Return a score of a row, by default the primary metric; errors are negated, undefined scores are minus
    infinity."""
    score = row.score if metric is None else row.scores.get(metric)
    if score is None:
        return float("-inf")
    return score.mean if metric_facts(metric or row.primary_metric).higher else -score.mean


def _shorten_pretrainer(text: str) -> str:
    """Return the text of a pretrainer without the package in the plugin's name: `masked_value:amigos/all`, where
    `amigos/all` is the source."""
    if text.startswith("object:"):
        return bare_name(text)
    name, colon, source = text.partition(":")
    return f"{bare_name(name)}{colon}{source}"


def _list_marks(entry: LeaderboardEntry, target: str) -> list[str]:
    """Return the reasons why a row is not ranked."""
    run, primary_metric = entry.run, entry.scores.primary_metrics[target]
    marks = []
    if run.protocol.leaks:
        marks.append("leaks")
    if run.pretraining_overlap == "labelled_target":
        marks.append("pretrained on labels of the test subjects")
    saw = {about.saw for about in run.weights.values()}
    if run.pretraining_overlap == "unlabelled_target" or saw & {"unlabelled", "labelled"}:
        marks.append("its weights saw these subjects")
    if run.pretraining_overlap == "unknown" or "undisclosed" in saw:
        marks.append("pretrained on unknown subjects")
    if why := metric_facts(primary_metric).why_unranked:
        marks.append(why)
    if seeds := explain_refused_seeds(run):
        marks.append(f"seeds {seeds}")
    if entry.scores.get_score(target, primary_metric) is None:
        marks.append("primary metric not estimable")
    if not entry.files_known:
        marks.append(UNKNOWN_FILES)
    if not marks and not entry.ranked:
        marks.append(LEVEL_NAMES[entry.evidence.level])
    return marks


def _list_parts(entry: LeaderboardEntry, target: str) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Yield pairs of a question and a mapping: group of subjects -> contribution of the group to the partial r that
    answers the question."""
    if association := entry.scores.get_adjusted(target):
        yield from ((question, association.levels[level].by_group) for question, level in association.questions.items())


def _build_method_row(entry: LeaderboardEntry, target: str, answers: TargetAnswers) -> Row:
    """Build the row of an entry's method on a target, without its rank."""
    run, primary_metric = entry.run, entry.scores.primary_metrics[target]
    gain = entry.scores.get_calibration_gain(target)
    best = least_gain(gain, primary_metric) if gain else None
    return Row(
        id=run.id,
        subjects=run.cohort.size,
        primary_metric=primary_metric,
        score=entry.scores.get_score(target, primary_metric),
        scores={name: entry.scores.get_score(target, name) for name in SECONDARY_METRICS if name != primary_metric},
        seeds=tuple(run.seeds),
        marks=tuple(_list_marks(entry, target)),
        evidence=entry.evidence,
        suspicious=any(found["check"] == "suspicious" for found in (entry.audit or {"findings": []})["findings"]),
        encoders={m: bare_name(name) for m, name in run.method.encoders.items()},
        fusion=bare_name(run.method.fusion) if run.method.fusion else None,
        pretrainers=tuple(map(_shorten_pretrainer, run.method.pretrainers)),
        modalities=tuple(run.method.modalities),
        differences=tuple(describe_differences(run)),
        method_kind=method_kind(run.method),
        recipe=run.recipe.preset,
        assumed=tuple(run.recipe.assumed or ()),
        target_access=format_access(run.target_access),
        pretraining_overlap=run.pretraining_overlap,
        measurement_units="; ".join(_describe_kept_units(run)),
        answers={} if run.protocol.leaks else {each.question: each for each in answers.answers},
        problem=_describe_problem(entry, target, answers),
        adjusted=_shorten_analysis(entry.scores.get_adjusted(target)),
        gain_source=gain.source if gain else "",
        gain=best[1].difference if best else None,
        near_null=answers.near_null,
        time_context=run.time_context,
        audit=format_audit_status(entry.audit),
        cost=run.cost,
        test_evaluations=_get_target_count(run.test_evaluations, target),
        methods_evaluated=_get_target_count(run.methods_evaluated, target),
        dev_evaluations=_get_target_count(run.dev_evaluations, target),
        evaluations_known=run.ledger is not None,
        repaired=run.cohort.repaired,
    )


def _describe_problem(entry: LeaderboardEntry, target: str, answers: TargetAnswers) -> Unanswerable | None:
    """Return why the primary metric is missing, with the order of tasks if the dataset states it; None if the primary
    metric is not missing."""
    if answers.problem is None:
        return None
    return replace(answers.problem, reason=TargetQuestion.from_run(entry.run.content(), target).order_sentence(answers))


def _shorten_analysis(association: Adjusted | None) -> Adjusted | None:
    """Return the recorded confound analysis without the parts that only the entry's page shows."""
    if association is None:
        return None
    decides, level = association.decides, association.decisive_level
    levels = {level: decides.model_copy(update={"by_group": {}})} if decides else {}
    return association.model_copy(update={"levels": levels, "seeds": {}, "variants": {}, "tasks": {}, "placebo": {}})


def describe_differences(run: Manifest) -> list[str]:
    """Return a phrase for each way in which a run differs from the plain run of the same method."""
    config, differences = run.config, []
    if config.get("train_dataset"):
        differences.append(f"trained on {board_name(config['train_dataset'])}")
    differences += [f"{m} {words}" for m, words in run.sites.items()]
    differences += [f"{m} from {about.name}, {_describe_seen_subjects(about)}" for m, about in run.weights.items()]
    differences += _describe_kept_units(run)
    if config.get("label_subjects"):
        differences.append(f"labels of {config['label_subjects']} subjects")
    if config.get("label_fraction"):
        differences.append(f"{config['label_fraction']:g} of the labels")
    if run.calibration_data is not None:
        differences.append(f"given {describe_calibration_data(run)}")
    if config.get("drop"):
        differences.append(f"tested without {', '.join(config['drop'])}")
    differences += [
        f"{part} is not bundled, conformance {result}" for part, result in _list_foreign_plugins(run).items()
    ]
    if config.get("pretrained"):
        digests = sorted({digest[:8] for digest in config["pretrained"].values()})
        differences.append(f"started from weights {', '.join(digests)}{_describe_training_data(run)}")
    if run.pretraining_overlap != "none":
        differences.append(f"pretraining overlap: {run.pretraining_overlap.replace('_', ' ')}")
    more = [(name, value) for name, value in config.items() if name not in _DESCRIBED and value]
    differences += [f"{in_words(name)} {format_value(value, 'g')}" for name, value in more]
    differences += describe_tuning(config)
    return differences + [f"--set {setting}" for setting in run.recipe.settings]


_DESCRIBED = frozenset(
    (
        *("dataset", "data", "train_dataset", "pretrained_on", "train_data", "protocol", "preset", "modalities"),
        *("targets", "seeds", "dev", "drop", "label_subjects", "label_fraction", "calibration_data"),
        *("pretrained", "pretraining"),
        *("pretrainers", "device", "threads", "parts", "request", "tuned"),
    )
)
"""Fields of a configuration that other columns show, or that `describe_differences` puts in words. Other fields are
listed by name."""


def describe_calibration_data(run: Manifest) -> str:
    """Return in words which calibration data a run used."""
    kinds = {about.name: about.kind for about in run.card.label_rules}
    return given_in_words(
        run.calibration_data or {}, of_classes="value" not in {kinds.get(target) for target in run.targets}
    )


def _describe_kept_units(run: Manifest) -> list[str]:
    """Return a phrase for each modality whose signals are not standardised by subject, with their measurement unit."""
    return [f"{m} in {unit}, not standardised by subject" for m, unit in run.measurement_units.items()]


def _describe_seen_subjects(about: WeightsPart) -> str:
    """Return in words which data of the test subjects an encoder's weights were trained on."""
    words = {"none": "which saw none of these subjects", "undisclosed": "of which nobody says what they saw"}
    seen = words.get(about.saw, f"which saw these subjects, {about.saw}")
    return f"{seen} (declared)" if about.declared and about.saw != "undisclosed" else seen


def _describe_training_data(run: Manifest) -> str:
    """Return in words on which data the initial weights were trained, if these were converted from other code. Return
    an empty text for other weights, since pretrainers and pretraining overlap state their training data."""
    manifest = (run.initial_weights or {}).get("manifest") or {}
    if "converted" not in manifest:
        return ""
    words = [f"{data['dataset']}, {'with' if data['labels'] == 'source' else 'no'} labels" for data in manifest["seen"]]
    return f" of {manifest['converted']['layout']}, trained on {'; '.join(words) or 'unknown data'}"


def _list_foreign_plugins(run: Manifest) -> Mapping[str, str]:
    """Return a mapping for the plugins that are not bundled: part of the method, such as `encoder[ecg]` or `fusion` ->
    result of the plugin's conformance checks."""
    names = {f"encoder[{m}]": name for m, name in run.method.encoders.items()}
    names |= {"fusion": run.method.fusion} if run.method.fusion else {}
    outside = {part: "not checked" for part, name in names.items() if name.partition("/")[0] != BUNDLED}
    return {**outside, **run.conformance}


def _list_controls(entry: LeaderboardEntry, target: str) -> Iterator[Row]:
    """Yield the rows of the confound-only models of an entry, except models that depend on calibration data."""
    primary_metric = entry.scores.primary_metrics[target]
    for control in entry.scores.get_confound_only_models(target):
        if control.scores and control.name not in COMPARED:
            scores = {name: score if score.is_defined else None for name, score in control.scores.items()}
            yield Row(
                id=entry.run.id,
                subjects=entry.run.cohort.size,
                primary_metric=primary_metric,
                score=scores.get(primary_metric),
                scores={name: scores.get(name) for name in SECONDARY_METRICS if name != primary_metric},
                seeds=tuple(entry.run.seeds),
                control=control.name,
            )


def _select_control_rows(entries: Sequence[EntrySummary], target: str, load: LoadEntry) -> list[Row]:
    """Return one row for each confound-only model, from the confirmed entry with most subjects, then most seeds."""
    chosen: dict[str, EntrySummary] = {}
    of_target = [(row, entry) for entry in entries if (row := entry.rows.get(target))]
    for _, entry in sorted(of_target, key=lambda each: (-each[0].subjects, -len(each[0].seeds), each[0].id)):
        for name in entry.confound_only[target]:
            chosen.setdefault(name, entry)
    loaded = [load(folder) for folder in {entry.folder for entry in chosen.values()}]
    controls = (row for entry in loaded for row in _list_controls(entry, target))
    rows = [row for row in controls if chosen[str(row.control)].id == row.id]
    return sorted(rows, key=lambda row: (-get_mean(row), str(row.control)))


def _get_target_count(count: Any, target: str) -> Any:
    """Return the count of a target. `count`: target -> its count, or one count for all targets."""
    return count.get(target) if isinstance(count, dict) else count


# Contributions of groups of subjects to each method's primary metric, minus those of a constant score.


def compute_above_chance_parts(entries: Sequence[EntrySummary], target: str) -> dict[str, Mapping[str, float]]:
    """Return entry id -> group of subjects -> its contribution to the primary metric, minus the contribution of a
    constant score. Groups are named `3 of 20`, in the same order in all entries. Entries without contributions are
    omitted."""
    found, constant = dict[str, Mapping[str, float]](), dict[str, list[float] | None]()
    for entry in entries:
        summands = load_summands(entry.folder).get(target)
        if summands is None:
            continue
        if summands.fits not in constant:
            constant[summands.fits] = _compute_constant_parts(entry, target, summands.fits)
        groups, chance = len(summands.contributions), constant[summands.fits]
        if chance is not None and len(chance) == groups:
            found[entry.id] = {f"{k} of {groups}": float(summands.contributions[k] - chance[k]) for k in range(groups)}
    return found


def _compute_constant_parts(entry: EntrySummary, target: str, fits: str) -> list[float] | None:
    """Return the contributions of a constant score to the metric; cached, since the computation takes a second."""
    place = find_cache_file("chance", fits)
    if content := read_checked(place):
        return json.loads(content)
    from embench.statistics.gains import chance_contributions  # imports scipy, which a cached list does not need

    found = chance_contributions(read_record(entry.folder, models=False), target)
    write_checked(place, json.dumps(found).encode())
    return found


# Summaries of entries for leaderboards, computed or read from the cache.
#
# Reading and checking an entry takes a hundredth of a second, and there are thousands. The name of a cached summary is
# a digest of all files that it depends on. If a file has changed or the cached summary is damaged, the entry is read.

UNCHECKED = "nobody else has run or checked it"
"""Mark of a run that is not published."""
_SUMMARY = TypeAdapter(EntrySummary)


@snapshot()
def load_entry_summaries(root: Path) -> list[EntrySummary]:
    """Return the summaries of all entries below `root`, sorted by folder. Raises the errors of `load_entries`."""
    names: dict[Path, list[str]] = {}  # folder of attestations -> file names, read once
    entries = []
    for folder in list_entry_folders(root):
        place = get_attestation_folder(folder)
        if place not in names:
            names[place] = sorted(path.name for path in place.glob("*.json"))
        attestations = [place / name for name in _select_attestations(folder, names[place])]
        entries.append(_load_summary(folder, [*attestations, *root.glob(NONCES_FILE)] if attestations else []))
    return entries


def load_run_summaries(runs: Path) -> list[EntrySummary]:
    """Return the summaries of all finished runs below `runs`/<dataset>/ except those on validation subjects. Runs on
    synthetic data get leaderboards of their own. Raises DataError, or CheckFailed where a file was edited."""
    loaded = (load_run(folder, redacted=False) for folder in find_finished_runs(runs))
    return [_summarise_run(run) for run in loaded if not run.run.dev]


def _summarise_run(entry: LeaderboardEntry) -> EntrySummary:
    """Return the summary of a run in a folder of runs. The summary's rows state why they have no rank, and that nobody
    has checked them."""
    summary, reasons = summarise_entry(entry), explain_unpublishable(entry.run)
    public = {UNKNOWN_FILES, LEVEL_NAMES[entry.evidence.level]}
    rows = {
        target: replace(row, marks=(UNCHECKED, *(mark for mark in row.marks if mark not in public), *reasons))
        for target, row in summary.rows.items()
    }
    board = f"{summary.board}{OF_SYNTHETIC_DATA}" if entry.run.dataset.synthetic is not None else summary.board
    return replace(summary, rows=rows, board=board)


def _select_attestations(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Yield the file names of the attestations of the entry in `folder`, from the sorted `names` of all files."""
    start = f"{folder.parent.name}--{folder.name}--"
    return takewhile(lambda name: name.startswith(start), names[bisect_left(names, start) :])


def _load_summary(folder: Path, attestations: Sequence[Path]) -> EntrySummary:
    """Return the summary of the entry in `folder`, from the cache if the entry and its `attestations` are unchanged."""
    own_files = sorted(path for path in folder.iterdir() if path.is_file())
    place = find_cache_file("entries", *folder.absolute().parts[-3:], hash_contents((*own_files, *attestations)))
    if content := read_checked(place):
        with suppress(ValidationError):
            cached = replace(_SUMMARY.validate_json(content), folder=folder)
            shared = shared_folder(folder)
            if cached.content == hash_content(folder, [shared / name for name in cached.shared]):
                return cached
    entry = load_leaderboard_entry(folder)
    try:
        summary = summarise_entry(entry)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:  # not written by embench
        raise CheckFailed(
            f"a field is missing or is not what embench writes: {type(error).__name__}: {error}", where=str(folder)
        ) from error
    write_checked(place, _SUMMARY.dump_json(summary, by_alias=True, exclude_unset=True))
    return summary
