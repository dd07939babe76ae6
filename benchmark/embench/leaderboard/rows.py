"""The lines of leaderboards: their order, the groups that are ranked, and their cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import embench
from embench import registry
from embench.errors import CheckFailed
from embench.files import cache_root, digest, read_checked, write_checked
from embench.leaderboard.columns import SECONDARY_METRICS, Row, ShownEntry
from embench.leaderboard.entries import (
    LEVEL_NAMES,
    UNCONFIRMED,
    UNKNOWN_FILES,
    LeaderboardEntry,
    LoadEntry,
    attestation_folder,
    board_name,
    content_digest,
    digest_of_files,
    entry_digest,
    entry_folders,
    finished_runs,
    load_leaderboard_entry,
    load_run,
    load_summands,
    why_not_publishable,
)
from embench.leaderboard.nonces import NONCES_FILE
from embench.records.audit import audit_status
from embench.records.manifest import Manifest, WeightsPart, method_kind, seeds_not_taken, tuned_in_words
from embench.records.pretraining_comparison import FloorGap, FloorKind, RowFloors, floor_keys, floor_order, matching
from embench.records.record import Record, read_record, shared_files, shared_folder
from embench.records.scores import Adds
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
from embench.statistics.answers import TargetAnswers, Unanswerable, answers_of
from embench.statistics.form import Subject
from embench.statistics.intervals import Ranking, rank_methods
from embench.statistics.scores import COMPARED

# Cache of what boards show, kept for the user from one command to the next, and named by all that it follows from: the
# bytes of files, those of embench and of installed plugin packages among them.

_CODE = (".py", ".yaml", ".html", ".j2")
_FORGOTTEN_S = 30 * 86400


def kept_place(kind: str, *names: str) -> Path:
    """The file of the cache for what this code makes of what `of` names. What code made that is a month old goes when
    other code begins."""
    folder = cache_root() / "boards" / code_digest()
    if not folder.is_dir():
        for old in folder.parent.glob("*"):
            with suppress(OSError):  # another process may remove it
                if time.time() - old.stat().st_mtime > _FORGOTTEN_S:
                    shutil.rmtree(old)
    return folder / kind / hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]


@cache
def code_digest() -> str:
    """A digest of the files of embench and of installed plugin packages, by which boards are made."""
    found, package = hashlib.sha256(), Path(embench.__file__).parent
    own = sorted(path for path in package.rglob("*") if path.suffix in _CODE)
    for path in (*own, *registry.shipped("**/*.py"), *registry.shipped("**/*.yaml")):
        found.update(f"{path.name} ".encode() + path.read_bytes())
    return found.hexdigest()[:32]


# Key of an entry's labels, folds and controls: entries with the same key can confirm each other's.

CONTROL_LIBRARIES = ("numpy", "scikit-learn")
"""The libraries that decide the digits of controls, which are trees."""


def board_of(run: Manifest) -> tuple[Any, ...]:
    """The facts that entries have to share so that their labels and folds are the same on the same people."""
    return run.dataset.name, run.protocol.hash, tuple(run.targets)


def fitted_on(run: Manifest) -> tuple[Any, ...]:
    """The facts that they also have to share so that their controls are the same: the labels to learn from."""
    return run.config.get("train_dataset"), *few_labels(run)


def few_labels(run: Manifest) -> tuple[Any, ...]:
    """The number or share of labels that the method and its controls were fitted on; None where it is all."""
    return run.config.get("label_subjects"), run.config.get("label_fraction")


def shared_by(run: Manifest) -> tuple[Any, ...]:
    """The facts that entries share whose controls are the same: tables of labels, folds, units and controls
    among them. Of sealed ones, which hold no tables but folds, the controls' scores."""
    entry = run.entry
    tables = entry and (entry.labels, entry.folds, entry.rows, entry.controls or entry.control_scores)
    return board_of(run), fitted_on(run), tables


# Floors of the pretrained rows of a board, among its other rows.

_GAP = TypeAdapter(FloorGap)


def rows_with_floors(
    rows: Sequence[Row], entries: Mapping[str, ShownEntry], target: str, score: Callable[[Row], tuple[float, ...]]
) -> list[Row]:
    """The rows of a target, of which those that are pretrained have the gaps to their floors. Of several floors of one
    kind and method, the one with the highest `score` is taken.

    Args:
        entries: by the ids of rows.
    """
    read = cache(read_record)
    found = []
    for row in rows:
        own = entries[row.id]
        if not own.floors.wants:
            found.append(row)
            continue
        best: dict[tuple[FloorKind, str], Row] = {}
        for other in rows:
            theirs = entries[other.id].floors
            if kind := matching(own.floors, row.seeds, theirs, other.seeds):
                best[kind, theirs.name] = max(best.get((kind, theirs.name), other), other, key=score)
        gaps = [_gap(kind, name, own, entries[floor.id], target, read) for (kind, name), floor in best.items()]
        found.append(replace(row, floors=RowFloors(tuple(sorted(gaps, key=floor_order)), own.floors.epochs)))
    return found


def _gap(
    kind: FloorKind, name: str, row: ShownEntry, floor: ShownEntry, target: str, read: Callable[[Path], Record]
) -> FloorGap:
    """The gap to a floor, kept from one command to the next: it takes a quarter of a second."""
    place = kept_place("floors", row.content, floor.content, target)
    if content := read_checked(place):
        with contextlib.suppress(ValidationError):
            return _GAP.validate_json(content)
    from embench.statistics.gains import gap_to_floor  # with scipy, which what is kept does not need

    gap = gap_to_floor(kind, name, read(row.folder), read(floor.folder), target)
    write_checked(place, _GAP.dump_json(gap, by_alias=True, exclude_unset=True))
    return gap


# Rows of a leaderboard: their order, the groups that are ranked against each other, and their fields.


def shown_entry(entry: LeaderboardEntry) -> ShownEntry:
    """The part of an entry that leaderboards show."""
    run, scores = entry.run, entry.scores
    answers = answers_of(run.content(), scores)
    trained_on = run.config.get("train_dataset")
    return ShownEntry(
        folder=entry.folder,
        content=entry_digest(entry.folder, run),
        shared=tuple(path.name for path in shared_files(entry.folder, run.entry)) if run.entry else (),
        id=run.id,
        board=entry.board,
        dataset=run.dataset.name,
        protocol=run.protocol.name,
        leaks=run.protocol.leaks,
        trained_on=board_name(trained_on) if trained_on else None,
        design=run.cohort.design,
        fixed_order=run.card.fixed_order,
        people=run.cohort.people,
        rows={target: _method_row(entry, target, answers[target]) for target in entry.targets},
        controls={
            target: tuple(c.name for c in scores.controls(target) if c.scores and c.name not in COMPARED)
            for target in entry.targets
        },
        alike="" if entry.controls_fitted or run.entry is None else digest(shared_by(run)),
        parts={target: dict(_parts(entry, target)) for target in entry.targets},
        undefined={
            target: {metric: score.undefined or "" for metric, score in scores.of(target).items() if not score.defined}
            for target in entry.targets
        },
        floors=floor_keys(run),
    )


def ranked_rows(
    entries: Sequence[ShownEntry], target: str, load: LoadEntry = load_leaderboard_entry
) -> tuple[list[Row], Mapping[str, Ranking]]:
    """Rows of one dataset, protocol and target: methods by their primary metric, then the confound-only models; and
    `class_of` a row -> the ranking of such methods.

    `rank` is the best and the worst rank that a method may have among rows of one `class_of`; rows that share one of
    their `letters` can't be told apart. Not ranked, with the reason in `marks`: rows of a protocol that leaks, rows
    pretrained on the test subjects or on unknown ones, rows of other seeds than the leaderboard takes, rows whose
    primary metric is undefined, depends on a cut or is an error, rows whose confound-only models nothing confirms, and
    rows of which nobody but their author has run anything (see `LeaderboardEntry.ranked`). Where the primary metric is
    undefined, rows are in the order of the within-subject score.

    Args:
        load: reads the folders of the entries.
    """
    having = Counter(entry.alike for entry in entries)
    alone = {entry.id for entry in entries if entry.alike and having[entry.alike] == 1}
    rows = [entry.rows[target] for entry in entries if target in entry.rows]
    rows = [replace(row, marks=(*row.marks, UNCONFIRMED)) if row.id in alone else row for row in rows]
    rows.sort(key=_order)
    folders = {entry.id: entry.folder for entry in entries}
    classes: dict[str, list[Row]] = {}
    for row in rows:
        if not row.marks:
            classes.setdefault(class_of(row), []).append(row)
    rankings, ranked = {}, dict[str, Row]()
    for name, alike in classes.items():
        found = rank_methods(
            [row.score for row in alike if row.score], [load_summands(folders[row.id]).get(target) for row in alike]
        )
        rankings[name] = found
        for row, rank, letters in zip(alike, found.ranks, found.letters, strict=True):
            ranked[row.id] = replace(row, rank=rank, letters=letters)
    rows = [ranked.get(row.id, row) for row in rows]
    rows = rows_with_floors(rows, {entry.id: entry for entry in entries}, target, _score)
    return rows + _control_rows([entry for entry in entries if entry.id not in alone], target, load), rankings


def class_of(row: Row) -> str:
    """The rows that it is ranked among: those with the same access to data of the test subjects, signals standardised
    alike and, where it is known, predictions that the same other units of a session reach."""
    return ", ".join(filter(None, (row.target_access, row.time_context, row.kept_units)))


def _order(row: Row) -> tuple[Any, ...]:
    return *(-score for score in _score(row)), row.id


def _score(row: Row) -> tuple[float, ...]:
    """The primary metric, and the within-subject score, by which rows are ordered where that is undefined."""
    return mean(row), mean(row, inside_subjects(row.headline))


def mean(row: Row, metric: str | None = None) -> float:
    """A score of a row, by default its primary metric, of an error its negative; below all numbers where undefined."""
    score = row.score if metric is None else row.scores.get(metric)
    if score is None:
        return float("-inf")
    return score.mean if metric_facts(metric or row.headline).higher else -score.mean


def _pretrainer_name(text: str) -> str:
    """A pretrainer without its package, and its source as it was named, which may have a variant (`amigos/all`)."""
    if text.startswith("object:"):
        return bare_name(text)
    name, colon, source = text.partition(":")
    return f"{bare_name(name)}{colon}{source}"


def _marks(entry: LeaderboardEntry, target: str) -> list[str]:
    """The reasons why a row is not ranked."""
    run, headline = entry.run, entry.scores.headlines[target]
    marks = []
    if run.protocol.leaks:
        marks.append("leaks")
    if run.pretrain_overlap == "labelled_target":
        marks.append("pretrained on labels of the test subjects")
    saw = {about.saw for about in run.weights.values()}
    if run.pretrain_overlap == "unlabelled_target" or saw & {"unlabelled", "labelled"}:
        marks.append("its weights saw these subjects")
    if run.pretrain_overlap == "unknown" or "undisclosed" in saw:
        marks.append("pretrained on unknown subjects")
    if why := metric_facts(headline).why_unranked:
        marks.append(why)
    if seeds := seeds_not_taken(run):
        marks.append(f"seeds {seeds}")
    if entry.scores.score(target, headline) is None:
        marks.append(f"{headline} undefined")
    if not entry.files_known:
        marks.append(UNKNOWN_FILES)
    if not marks and not entry.ranked:
        marks.append(LEVEL_NAMES[entry.evidence.level])
    return marks


def _parts(entry: LeaderboardEntry, target: str) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Question -> the contributions of groups of subjects to the number that decides."""
    if adds := entry.scores.adds(target):
        yield from ((question, adds.levels[level].of_groups) for question, level in adds.questions.items())


def _method_row(entry: LeaderboardEntry, target: str, answers: TargetAnswers) -> Row:
    run, headline = entry.run, entry.scores.headlines[target]
    personal = entry.scores.personal(target)
    best = least_gain(personal, headline) if personal else None
    return Row(
        id=run.id,
        subjects=run.cohort.size,
        headline=headline,
        score=entry.scores.score(target, headline),
        scores={name: entry.scores.score(target, name) for name in SECONDARY_METRICS if name != headline},
        seeds=tuple(run.seeds),
        marks=tuple(_marks(entry, target)),
        evidence=entry.evidence,
        suspicious=any(found["check"] == "suspicious" for found in (entry.audit or {"findings": []})["findings"]),
        encoders={m: bare_name(name) for m, name in run.method.encoders.items()},
        fusion=bare_name(run.method.fusion) if run.method.fusion else None,
        pretrainers=tuple(map(_pretrainer_name, run.method.pretrainers)),
        modalities=tuple(run.method.modalities),
        apart=tuple(describe_differences(run)),
        method_kind=method_kind(run.method),
        recipe=run.recipe.preset,
        assumed=tuple(run.recipe.assumed),
        target_access=run.target_access,
        pretrain_overlap=run.pretrain_overlap,
        kept_units="; ".join(_kept_units(run)),
        answers={} if run.protocol.leaks else {each.question: each for each in answers.answers},
        problem=_problem(entry, target, answers),
        adds=_briefly(entry.scores.adds(target)),
        gains_by=personal.gains_by if personal else "",
        gain=best[1].difference if best else None,
        borderline=answers.borderline,
        time_context=run.time_context,
        audit=audit_status(entry.audit),
        cost=run.cost,
        openings=_of(run.test_looks, target),
        tried=_of(run.tried, target),
        dev=_of(run.dev_looks, target),
        looks_known=run.ledger is not None,
        repaired=run.cohort.repaired,
    )


def _problem(entry: LeaderboardEntry, target: str, answers: TargetAnswers) -> Unanswerable | None:
    """Why there is no primary metric, with the order of tasks where the dataset states it."""
    if answers.problem is None:
        return None
    return replace(answers.problem, reason=Subject.of(entry.run.content(), target).order_sentence(answers))


def _briefly(adds: Adds | None) -> Adds | None:
    """The recorded analysis without the parts that only an entry's page shows."""
    if adds is None:
        return None
    levels = {name: at.model_copy(update={"of_groups": {}}) for name, at in adds.levels.items() if name == adds.judged}
    return adds.model_copy(update={"levels": levels, "seeds": {}, "variants": {}, "tasks": {}, "placebo": {}})


def describe_differences(run: Manifest) -> list[str]:
    """Texts on how a run differs from the plain run of the same method."""
    config, differences = run.config, []
    if config.get("train_dataset"):
        differences.append(f"trained on {board_name(config['train_dataset'])}")
    differences += [f"{m} {words}" for m, words in run.sites.items()]
    differences += [f"{m} from {about.name}, {_saw_people(about)}" for m, about in run.weights.items()]
    differences += _kept_units(run)
    if config.get("label_subjects"):
        differences.append(f"labels of {config['label_subjects']} subjects")
    if config.get("label_fraction"):
        differences.append(f"{config['label_fraction']:g} of the labels")
    if run.given is not None:
        differences.append(f"given {given_of(run)}")
    if config.get("drop"):
        differences.append(f"tested without {', '.join(config['drop'])}")
    differences += [f"{part} is not bundled, conformance {result}" for part, result in _not_bundled(run).items()]
    if config.get("pretrained"):
        digests = sorted({digest[:8] for digest in config["pretrained"].values()})
        differences.append(f"started from weights {', '.join(digests)}{_saw(run)}")
    if run.pretrain_overlap != "none":
        differences.append(f"pretraining overlap: {run.pretrain_overlap.replace('_', ' ')}")
    more = [(name, value) for name, value in config.items() if name not in _DESCRIBED and value]
    differences += [f"{in_words(name)} {format_value(value, 'g')}" for name, value in more]
    differences += tuned_in_words(config)
    return differences + [f"--set {setting}" for setting in run.recipe.settings]


_DESCRIBED = frozenset(
    (
        *("dataset", "data", "train_dataset", "pretrained_on", "train_data", "protocol", "preset", "modalities"),
        *("targets", "seeds", "dev", "drop", "label_subjects", "label_fraction", "given"),
        *("pretrained", "pretraining"),
        *("pretrainers", "device", "threads", "parts", "request", "tuned"),
    )
)
"""Parts of a configuration that stand elsewhere in a row, or above in words; of any other, its name does."""


def given_of(run: Manifest) -> str:
    """Words for what test subjects gave to a run."""
    kinds = {about.name: about.kind for about in run.card.label_rules}
    return given_in_words(run.given or {}, of_classes="value" not in {kinds.get(target) for target in run.targets})


def _kept_units(run: Manifest) -> list[str]:
    """The units of signals that are not standardised, in words."""
    return [f"{m} in {unit}, not standardised by subject" for m, unit in run.kept_units.items()]


def _saw_people(about: WeightsPart) -> str:
    """The data of the tested people that an encoder's weights saw, in words."""
    words = {"none": "which saw none of these subjects", "undisclosed": "of which nobody says what they saw"}
    seen = words.get(about.saw, f"which saw these subjects, {about.saw}")
    return f"{seen} (declared)" if about.declared and about.saw != "undisclosed" else seen


def _saw(run: Manifest) -> str:
    """The training data of converted weights; for others it is among the pretrainers and the overlap."""
    manifest = (run.started_from or {}).get("manifest") or {}
    if "converted" not in manifest:
        return ""
    words = [f"{data['dataset']}, {'with' if data['labels'] == 'source' else 'no'} labels" for data in manifest["seen"]]
    return f" of {manifest['converted']['layout']}, trained on {'; '.join(words) or 'unknown data'}"


def _not_bundled(run: Manifest) -> dict[str, str]:
    """Part of the method whose plugin is not bundled -> the result of its conformance checks."""
    names = {f"encoder[{m}]": name for m, name in run.method.encoders.items()}
    names |= {"fusion": run.method.fusion} if run.method.fusion else {}
    outside = {part: "not checked" for part, name in names.items() if name.partition("/")[0] != BUNDLED}
    return {**outside, **run.conformance}


def _controls_of(entry: LeaderboardEntry, target: str) -> Iterator[Row]:
    """The confound-only models that were scored with an entry, whatever its calibration data."""
    headline = entry.scores.headlines[target]
    for control in entry.scores.controls(target):
        if control.scores and control.name not in COMPARED:
            scores = {name: score if score.defined else None for name, score in control.scores.items()}
            yield Row(
                id=entry.run.id,
                subjects=entry.run.cohort.size,
                headline=headline,
                score=scores.get(headline),
                scores={name: scores.get(name) for name in SECONDARY_METRICS if name != headline},
                seeds=tuple(entry.run.seeds),
                control=control.name,
            )


def _control_rows(entries: Sequence[ShownEntry], target: str, load: LoadEntry) -> list[Row]:
    """Each confound-only model once, as it scored in the entry with most subjects, then most seeds (the first by id of
    several), of entries whose models somebody confirms."""
    chosen: dict[str, ShownEntry] = {}
    of_target = [(row, entry) for entry in entries if (row := entry.rows.get(target))]
    for _, entry in sorted(of_target, key=lambda each: (-each[0].subjects, -len(each[0].seeds), each[0].id)):
        for name in entry.controls[target]:
            chosen.setdefault(name, entry)
    loaded = [load(folder) for folder in {entry.folder for entry in chosen.values()}]
    every = (row for entry in loaded for row in _controls_of(entry, target))
    rows = [row for row in every if chosen[str(row.control)].id == row.id]
    return sorted(rows, key=lambda row: (-mean(row), str(row.control)))


def _of(count: Any, target: str) -> Any:
    return count.get(target) if isinstance(count, dict) else count


# Contributions of groups of subjects to each method's primary metric, minus those of a constant score.


def above_chance_parts(entries: Sequence[ShownEntry], target: str) -> dict[str, Mapping[str, float]]:
    """Id -> group of subjects -> its contribution beyond that of a constant score; without entries that do not hold
    contributions. Groups have numbers, in one order for all entries with as many."""
    found, constant = dict[str, Mapping[str, float]](), dict[str, list[float] | None]()
    for entry in entries:
        summands = load_summands(entry.folder).get(target)
        if summands is None:
            continue
        if summands.fits not in constant:
            constant[summands.fits] = _of_constant(entry, target, summands.fits)
        groups, chance = len(summands.adds), constant[summands.fits]
        if chance is not None and len(chance) == groups:
            found[entry.id] = {f"{k} of {groups}": float(summands.adds[k] - chance[k]) for k in range(groups)}
    return found


def _of_constant(entry: ShownEntry, target: str, fits: str) -> list[float] | None:
    """Contributions to the metric of a constant score, kept from one command to the next: they take a second."""
    place = kept_place("chance", fits)
    if content := read_checked(place):
        return json.loads(content)
    from embench.statistics.gains import chance_contributions  # with scipy, which what is kept does not need

    found = chance_contributions(read_record(entry.folder), target)
    write_checked(place, json.dumps(found).encode())
    return found


# The part that boards show of entries, read from them or kept from before.
#
# To read and check an entry takes a hundredth of a second, and boards have thousands. What is kept is named by the
# bytes of all files that it follows from; where one has changed, or what is kept is damaged, the entry is read.

UNCHECKED = "nobody else has run or checked it"
"""Mark of a run that is not published."""
_SHOWN = TypeAdapter(ShownEntry)


def load_shown_entries(root: Path) -> list[ShownEntry]:
    """The part that boards show of all entries below `root`, in the order of their folders. Raises as `load_entries`
    does."""
    attested: dict[Path, list[str]] = {}
    entries = []
    for folder in entry_folders(root):
        beside = attestation_folder(folder)
        if beside not in attested:
            attested[beside] = sorted(path.name for path in beside.glob("*.json"))
        own = [beside / name for name in _of_entry(folder, attested[beside])]
        entries.append(_shown(folder, [*own, *root.glob(NONCES_FILE)] if own else []))
    return entries


def load_shown_runs(runs: Path) -> list[ShownEntry]:
    """The part that boards show of all finished runs below `runs`/<dataset>/, whether or not they may be published, but
    those that scored validation subjects. Runs on synthetic data have leaderboards of their own. Raises DataError,
    CheckFailed where the files of a run are not as they were written."""
    loaded = (load_run(folder, sealed=False) for folder in finished_runs(runs))
    return [_shown_run(run) for run in loaded if not run.run.dev]


def _shown_run(entry: LeaderboardEntry) -> ShownEntry:
    """The part that boards show of a run: its rows say why they have no rank, and that nobody has checked them."""
    shown, reasons = shown_entry(entry), why_not_publishable(entry.run)
    public = {UNKNOWN_FILES, LEVEL_NAMES[entry.evidence.level]}
    rows = {
        target: replace(row, marks=(UNCHECKED, *(mark for mark in row.marks if mark not in public), *reasons))
        for target, row in shown.rows.items()
    }
    board = f"{shown.board}{OF_SYNTHETIC_DATA}" if entry.run.dataset.synthetic is not None else shown.board
    return replace(shown, rows=rows, board=board)


def _of_entry(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """The attestations of the entry in `folder`, of sorted names."""
    start = f"{folder.parent.name}--{folder.name}--"
    return takewhile(lambda name: name.startswith(start), names[bisect_left(names, start) :])


def _shown(folder: Path, attestations: Sequence[Path]) -> ShownEntry:
    own = sorted(path for path in folder.iterdir() if path.is_file())
    place = kept_place("entries", *folder.absolute().parts[-3:], digest_of_files((*own, *attestations)))
    if content := read_checked(place):
        with suppress(ValidationError):
            found = replace(_SHOWN.validate_json(content), folder=folder)
            shared = shared_folder(folder)
            if found.content == content_digest(folder, [shared / name for name in found.shared]):
                return found
    entry = load_leaderboard_entry(folder)
    try:
        shown = shown_entry(entry)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:  # a document that nobody wrote so
        raise CheckFailed(
            f"a field is missing or is not what embench writes: {type(error).__name__}: {error}", where=str(folder)
        ) from error
    write_checked(place, _SHOWN.dump_json(shown, by_alias=True, exclude_unset=True))
    return shown
