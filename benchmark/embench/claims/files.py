"""Claims of papers as YAML files: comparisons, measurements and printed numbers; and the measures of finished runs."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, get_args, get_type_hints

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, model_validator

from embench import registry
from embench.errors import DataError, UsageError, describe_faults, list_faults
from embench.files import MOST_YAML, parse_yaml, read_text
from embench.interfaces.units import Units
from embench.planning.request import OPTIONS, Request
from embench.protocols import load_protocol
from embench.records.predictions import ANY_SEED, MODEL, Embeddings, read_embeddings
from embench.records.scores import Score
from embench.records.wording import half_width_over_folds
from embench.statistics.gains import (
    Scored,
    ValuesBySeed,
    names_of,
    of_subjects,
    scores_of,
    subject_gap,
    subject_scores,
    units_by_seed,
)
from embench.statistics.intervals import Jackknife
from embench.vocabulary import did_you_mean, has_control, iterate_texts, names_code, names_path

# A finished run of a claim, with the quantities that are measured.

SeedAndFold = tuple[int, int]
"""Seed and number of a fold, in which all runs trained on the same subjects."""


class ClaimRun(Scored):
    """A finished run of a claim; `by`: unit -> label of the target that divides the units, if the claim names one."""

    @property
    def labels(self) -> dict[tuple[int, str], float]:
        """(seed, unit) -> label; seed `ANY_SEED` stands for all seeds. Raises DataError if the record has no labels."""
        table = self.record.labels
        if table is None:
            raise DataError("the record contains no labels", where=str(self.folder))
        of_target = table["target"] == self.target
        keys = zip(table["seed"][of_target].tolist(), table["unit"][of_target].tolist(), strict=True)
        return dict(zip(keys, table["label"][of_target].tolist(), strict=True))

    def right(self) -> dict[SeedAndFold, dict[str, bool]]:
        """Return (seed, fold) -> labelled unit -> whether the method's decision is correct."""
        rows, known = self.predictions, self.labels
        found: dict[SeedAndFold, dict[str, bool]] = defaultdict(dict)
        columns = (rows[name].tolist() for name in ("seed", "fold", "unit", "decision"))
        for seed, fold, unit, decision in zip(*columns, strict=True):
            if np.isfinite(label := get_label(known, seed, unit)):
                found[seed, fold][unit] = decision == label
        return found

    def scores(self) -> dict[SeedAndFold, float]:
        """Return (seed, fold) -> score by the claim's metric; folds with an undefined score are omitted."""
        rows = [r for r in self.record.scores.folds if (r["method"], r["target"]) == (MODEL, self.target)]
        return {(r["seed"], r["fold"]): r[self.metric] for r in rows if r.get(self.metric) is not None}

    def curves(self, kind: str) -> dict[SeedAndFold, list[Mapping[str, Any]]]:
        """Return (seed, fold) -> rows of the training history of the stages of a kind that train this target."""
        found: dict[SeedAndFold, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self.record.history:
            if row["kind"] == kind and (not row["target"] or self.target in row["target"].split(",")):
                found[int(row["seed"]), int(row["fold"] or 0)].append(row)
        return found


def get_label(labels: Mapping[tuple[int, str], float], seed: int, unit: str) -> float:
    """Return the label of a unit in a seed; NaN without a label."""
    return labels.get((seed, unit), labels.get((ANY_SEED, unit), np.nan))


Runs = Mapping[str, ClaimRun]


# Measures with a value for each subject (see `statistics/gains.py`). Where a claim names a target `by`, units without a
# label of it are excluded.


def score_by_subject(runs: Runs) -> Mapping[str, ValuesBySeed]:
    """Return the run's score in each subject, and in each stimulus if there are several."""
    ((_, run),) = runs.items()
    found = {f"{run.metric}, over subjects": subject_scores(run)}
    by_stimulus = [replace(units, subject=units.stimulus) for _, units in units_by_seed(run)]
    if len(names := names_of(by_stimulus)) > 1:
        trained = np.tile(~np.eye(len(names), dtype=bool), (len(by_stimulus), 1, 1))  # on all other stimuli
        jackknife, scores = Jackknife(names, np.arange(len(names))), scores_of(run, by_stimulus, names)
        found[f"{run.metric}, over stimuli"] = ValuesBySeed("stimuli", scores, jackknife, trained)
    return found


def gap_by_subject(runs: Runs) -> Mapping[str, ValuesBySeed]:
    """Return the first run's score minus the second's in each subject; each run has its own units and target."""
    return {"difference": subject_gap(*runs.values())}


def gap_by_label(runs: Runs) -> Mapping[str, ValuesBySeed]:
    """Return in each subject the score on units in the positive class of the target `by`, minus the score on units in
    its negative class."""
    ((_, run),) = runs.items()
    positive, negative = [], []
    for ids, units in units_by_seed(run):
        label = np.array([run.by.get(unit, np.nan) for unit in ids.tolist()])
        positive.append(units.take(label == 1))
        negative.append(units.take(label == 0))
    return _gap([run], positive, negative)


def gap_of_merged(runs: Runs) -> Mapping[str, ValuesBySeed]:
    """Return in each subject the first run's score on the second run's target, minus the second run's score. Classes of
    the first run are merged into classes of the second run by adding their probabilities.

    Raises:
        DataError: a class of the first run belongs to several classes of the second run.
    """
    fine, coarse = runs.values()
    merged, whole_units = [], []
    for (fine_ids, parts), (ids, units) in zip(units_by_seed(fine), units_by_seed(coarse), strict=True):
        _, at, where = np.intersect1d(fine_ids, ids, return_indices=True)
        parts, units = parts.take(at), units.take(where)
        pairs = np.unique(np.stack([parts.y_true, units.y_true]).astype(int), axis=1)
        part, whole = pairs
        if len(np.unique(part)) < len(part):
            what = f"classes of {fine.target} each cover several classes of {coarse.target}"
            expected = "classes that each belong to one class of the other target"
            raise DataError(what, where=str(fine.folder), expected=expected)
        score = np.zeros_like(units.score)
        np.add.at(score.T, whole, parts.score.T[part])
        merged.append(replace(units, score=score, decision=score.argmax(1).astype(float)))
        whole_units.append(units)
    return _gap([fine, coarse], merged, whole_units)


SUBJECT_MEASURES: Mapping[str, tuple[Callable[[Runs], Mapping[str, ValuesBySeed]], int]] = {
    "by_subject": (score_by_subject, 1),
    "gap_by_subject": (gap_by_subject, 2),
    "gap_by_label": (gap_by_label, 1),
    "gap_of_merged": (gap_of_merged, 2),
}
"""Name -> measure with a value for each subject or stimulus, and the number of runs that it takes."""


def _gap(runs: Sequence[ClaimRun], first: Sequence[Units], second: Sequence[Units]) -> Mapping[str, ValuesBySeed]:
    """Return in each subject the difference of the scores on the units `first` and `second` of each seed."""
    return {"difference": of_subjects(runs, names_of([*first, *second]), first, second)}


# Measures with a value for each seed and fold (J,). Larger values support a claim. If a claim has a margin, values near
# its reference support it.

Values = Mapping[str, np.ndarray]
"""Measure in words -> its values (J,), for the seeds and folds in which it is defined."""


def cases(runs: Runs) -> Values:
    """Compare the last run, which joins modalities, with the other runs. Return for each of these: among the units that
    only it predicts correctly (of these runs), the proportion that the joined run predicts correctly, too."""
    *singles, joined = runs
    right = {name: run.right() for name, run in runs.items()}
    found = {}
    for name in singles:
        proportions = []
        for fold in _find_common(right.values()):
            correct = {run: right[run][fold] for run in runs}
            units = set.intersection(*(set(units) for units in correct.values()))
            only = [u for u in units if [single for single in singles if correct[single][u]] == [name]]
            proportions += [np.mean([correct[joined][u] for u in only])] if only else []
        found[f"{joined} is correct where {name} is the only correct single model"] = np.array(proportions)
    return found


def disagreements(runs: Runs) -> Values:
    """Return how often the first of two runs is the correct one, as a proportion of units where exactly one is."""
    (one, first), (other, second) = runs.items()
    ours, theirs, proportions = first.right(), second.right(), []
    for fold in _find_common([ours, theirs]):
        other_right = theirs[fold]
        split = [right for unit, right in ours[fold].items() if unit in other_right and right != other_right[unit]]
        proportions += [np.mean(split)] if split else []
    return {f"{one} is correct where {one} and {other} disagree": np.array(proportions)}


def pretext_accuracy(runs: Runs) -> Values:
    """Return the best accuracy of a pretraining stage on its pretext task."""
    ((_, run),) = runs.items()
    curves = run.curves("pretrain").values()
    best = [max(float(row["accuracy"]) for row in rows if row.get("accuracy")) for rows in curves]
    return {"best accuracy of the pretext task": np.array(best)}


def sooner(runs: Runs) -> Values:
    """Return by how many epochs the first run's validation loss reaches its minimum earlier than the second's."""
    best_epochs = []
    for run in runs.values():
        curves = run.curves("unimodal") or run.curves("fusion")
        best_epochs.append({
            fold: min((float(row["val_loss"]), int(row["epoch"])) for row in rows if row.get("val_loss"))[1]
            for fold, rows in curves.items()
        })  # fmt: skip
    first, second = best_epochs
    return {"epochs earlier": np.array([second[fold] - first[fold] for fold in _find_common(best_epochs)], float)}


def separation(runs: Runs) -> Values:
    """Return how much better the first run's last hidden layers separate classes than the second run's: differences in
    the proportion of variance between classes, and in the silhouette."""
    between, silhouettes = zip(*(_measure_layers(run) for run in runs.values()), strict=True)
    return {
        f"{what}, more": np.array([one[fold] - other[fold] for fold in _find_common([one, other])])
        for what, (one, other) in {"variance between classes": between, "silhouette": silhouettes}.items()
    }


def imbalance(runs: Runs) -> Values:
    """Return the proportion of labels in the more frequent of two classes."""
    ((_, run),) = runs.items()
    known = run.labels
    by_fold = [[get_label(known, seed, unit) for unit in units] for (seed, _), units in run.right().items()]
    positive = np.array([np.mean(labels) for labels in by_fold])
    return {"proportion of the more frequent class": positive if positive.mean() >= 0.5 else 1 - positive}


def gap(runs: Runs) -> Values:
    """Return the difference between the scores of the first and the second run."""
    first, second = (run.scores() for run in runs.values())
    return {"difference": np.array([first[fold] - second[fold] for fold in _find_common([first, second])])}


def gap_of_gaps(runs: Runs) -> Values:
    """Return the difference between the scores of the first two runs, minus that of the last two."""
    a, b, c, d = scores = [run.scores() for run in runs.values()]
    values = [(a[fold] - b[fold]) - (c[fold] - d[fold]) for fold in _find_common(scores)]
    return {"difference of differences": np.array(values)}


MEASURES: Mapping[str, tuple[Callable[[Runs], Values | Mapping[str, ValuesBySeed]], int]] = {
    "cases": (cases, 3),
    "disagreements": (disagreements, 2),
    "pretext_accuracy": (pretext_accuracy, 1),
    "sooner": (sooner, 2),
    "apart": (separation, 2),
    "imbalance": (imbalance, 1),
    "gap": (gap, 2),
    "gap_of_gaps": (gap_of_gaps, 4),
    **SUBJECT_MEASURES,
}
"""Name -> measure, and the number of runs that it takes, in the order of the claim."""


def _find_common(by_fold: Iterable[Mapping[SeedAndFold, Any]]) -> Sequence[SeedAndFold]:
    """Return the seeds and folds that all mappings contain."""
    first, *others = by_fold
    return [fold for fold in first if all(fold in other for other in others)]


def _measure_layers(run: ClaimRun) -> tuple[dict[SeedAndFold, float], dict[SeedAndFold, float]]:
    """Return two mappings from (seed, fold) for the last hidden layer: to the proportion of its variance that lies
    between classes, and to the silhouette of the classes."""
    from sklearn.metrics import silhouette_score  # slow to import

    layers, known = read_embeddings(run.folder), run.labels
    if layers is None:
        raise DataError("the run saved no hidden layers", where=str(run.folder), expected="a run of a network")
    layers = layers.take(layers.target == run.target)
    shares, silhouettes = {}, {}
    for seed, fold in sorted(set(zip(layers.seed.tolist(), layers.fold.tolist(), strict=True))):
        hidden: Embeddings = layers.take((layers.seed == seed) & (layers.fold == fold))
        y = np.array([get_label(known, seed, unit) for unit in hidden.unit.tolist()])
        x, y = hidden.x[np.isfinite(y)].astype(np.float64), y[np.isfinite(y)]
        if len(np.unique(y)) < 2 or len(y) <= len(np.unique(y)):
            continue
        means = np.stack([x[y == label].mean(0) for label in y])
        total = ((x - x.mean(0)) ** 2).sum()
        if total > 0:
            shares[seed, fold] = float(1 - ((x - means) ** 2).sum() / total)
            silhouettes[seed, fold] = float(silhouette_score(x, y))
    return shares, silhouettes


# Claims of papers as small YAML files: the two sides of a comparison, the rules, and the published numbers.


def _as_tuple(value: Any) -> Any:
    """Return a string, or a list of strings, as a tuple; the schema refuses other values."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]


class Strict(BaseModel):
    """Base of schemas for a package's files: no unknown fields, and strict types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Stated(Strict):
    """Options of a run that a claim may state, under their names on the command line."""

    @property
    def stated(self) -> dict[str, Any]:
        """The options that the claim states, without defaults."""
        return self.model_dump(exclude_unset=True)


if TYPE_CHECKING:
    Configuration = _Stated
else:
    _HINTS = get_type_hints(Request)
    Configuration = create_model(
        "Configuration",
        __base__=_Stated,
        **{
            option.name.replace("-", "_"): ((Texts if _HINTS[option.field] == tuple[str, ...] else str) | None, None)
            for option in OPTIONS
            if option.claimed
        },
    )


class ClaimDataset(Strict):
    """A dataset of a claim.

    Args:
        targets: targets of the runs; empty: the default targets.
        both, a, b: options on this dataset: of both sides, of side a, and of side b.
        published: target -> published difference, a minus b, as a proportion (.05 for 5 points).
    """

    targets: Texts = ()
    both: Configuration = Configuration()
    a: Configuration = Configuration()
    b: Configuration = Configuration()
    published: dict[str, float] = {}

    @model_validator(mode="after")
    def _check_published(self) -> Self:
        if other := sorted(set(self.published) - set(self.targets)):
            raise ValueError(f"`published` names {', '.join(other)}, which `targets` does not contain")
        return self


class Claim(Strict):
    """A claim that compares two configurations of a run, the sides a and b.

    Args:
        both, a, b: options of both sides, of side a, and of side b. Options of a dataset replace them.
        corpora: pretrainer -> the paper's corpora, used with the run's own training part where they are present.
        direction: the claim: a's score is higher, or lower, than b's.
        protocol, metric, datasets: as in the paper.
        elsewhere: further datasets, on which the claim is tested on request only.
    """

    id: Identity
    paper: Identity
    claim: str
    both: Configuration = Configuration()
    a: Configuration = Configuration()
    b: Configuration = Configuration()
    corpora: dict[str, str] = {}
    direction: Literal["higher", "lower"]
    protocol: str
    metric: str
    datasets: dict[str, ClaimDataset] = Field(min_length=1)
    elsewhere: dict[str, ClaimDataset] = {}
    remarks: str = ""

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        for dataset in (*self.datasets, *self.elsewhere):
            one, other = (self.options(side, dataset) for side in ("a", "b"))
            if not one.get("encoder") or not other.get("encoder"):
                raise ValueError(f"a or b has no encoder on {dataset}")
            if one == other:
                raise ValueError(f"a and b are equal on {dataset}")
        if also := sorted(set(self.datasets) & set(self.elsewhere)):
            raise ValueError(f"{', '.join(also)} is in `datasets` and in `elsewhere`")
        return self

    def place(self, dataset: str) -> ClaimDataset:
        """Return the options on a dataset; empty ones if the claim does not name it."""
        return self.datasets.get(dataset) or self.elsewhere.get(dataset) or ClaimDataset()

    def options(self, side: Literal["a", "b"], dataset: str) -> dict[str, Any]:
        """Return the options that the claim states for one side on a dataset."""
        place = self.place(dataset)
        own, local = (self.a, place.a) if side == "a" else (self.b, place.b)
        return self.both.stated | place.both.stated | own.stated | local.stated


class MeasuredRun(Configuration):
    """Options of a run that a claim measures, with a protocol or target if these differ from the claim's."""

    protocol: str | None = None
    target: str | None = None


class MeasuredDataset(Strict):
    """A dataset on which a claim is measured: its targets, and its differing options."""

    targets: Texts = ()
    both: Configuration = Configuration()


class MeasuredClaim(Strict):
    """A claim on a measured value of finished runs. Without a `margin`, it holds if the value is above `reference`;
    with a `margin`, it holds if the value is within `margin` of `reference`.

    Args:
        measure: name of a measure, see `MEASURES`.
        runs: name -> options of each run, in the order of the measure's arguments.
        corpora: as of a `Claim`.
        by: name of a target. `gap_by_label` compares the units of its two classes. The other `SUBJECT_MEASURES` only
            exclude units without a label of this target.
        metric: metric of measures that use scores.
        published: name -> printed number, as a proportion: one number, or two whose difference (first minus second) is
            the measured value.
    """

    id: Identity
    paper: Identity
    claim: str
    measure: str
    runs: dict[str, MeasuredRun] = Field(min_length=1)
    corpora: dict[str, str] = {}
    by: str | None = None
    reference: float = 0.0
    margin: float | None = Field(default=None, gt=0)
    protocol: str
    metric: str
    datasets: dict[str, MeasuredDataset] = Field(min_length=1)
    published: dict[str, float] = Field(default={}, max_length=2)
    remarks: str = ""

    @model_validator(mode="after")
    def _check_measure(self) -> Self:
        if self.measure not in MEASURES:
            raise ValueError(f"`measure` is {self.measure}, expected one of {', '.join(MEASURES)}")
        if len(self.runs) != MEASURES[self.measure][1]:
            what = f"{self.measure} takes {MEASURES[self.measure][1]} runs, but the claim has {len(self.runs)}"
            raise ValueError(what)
        if self.by and self.measure not in SUBJECT_MEASURES:
            raise ValueError(f"`by` applies only to {', '.join(SUBJECT_MEASURES)}, but the measure is {self.measure}")
        if self.measure == "gap_by_label" and not self.by:
            raise ValueError("`by` is missing: name the target whose classes divide the units")
        if wrong := [name for name, run in self.runs.items() if not run.stated.get("encoder")]:
            raise ValueError(f"run {wrong[0]} has no encoder")
        return self

    @property
    def published_value(self) -> float | None:
        """The published value of the measure, if there is one."""
        first, *second = self.published.values() or (None,)
        return first - second[0] if first is not None and second else first


AnyClaim = Claim | MeasuredClaim


class UntestedClaim(Strict):
    """A claim that runs of embench cannot test yet, and the reason."""

    id: Identity
    paper: Identity
    claim: str
    not_tested: str


S = TypeVar("S", bound=Strict)
_PROSE = frozenset({"claim", "remarks", "not_tested", "row", "what", "why"})
"""Fields with sentences, which may contain names of files."""


def read_stated(path: Path, what: str, choose_schema: Callable[[Mapping[str, Any]], type[S]]) -> S:
    """Read a YAML file of a package, which must not name files on this machine.

    Args:
        what: the kind of file, for messages.
        choose_schema: function from the content to its schema.

    Raises:
        UsageError: the file cannot be read, breaks the schema, or names files.
    """
    try:
        content = parse_yaml(read_text(path, MOST_YAML))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the file of {what}: {' '.join(str(error).split())}", where=str(path)) from error
    if not isinstance(content, dict):
        expected = ", ".join(choose_schema({}).model_fields)
        raise UsageError(
            f"the file of {what} is not a YAML mapping (`key: value` lines)", where=str(path), expected=expected
        )
    named = [(field, text) for field, text in iterate_texts(content) if field.rpartition(".")[2] not in _PROSE]
    if wrong := [field for field, text in named if names_code(text) or names_path(text)]:
        expected = "names of installed plugins"
        raise UsageError(f"{what} names a file: {', '.join(wrong)}", where=str(path), expected=expected)
    if wrong := [field for field, text in iterate_texts(content) if has_control(text)]:
        raise UsageError(
            f"{what} contains control characters: {', '.join(wrong)}", where=str(path), expected="plain text"
        )
    kind = choose_schema(content)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = list_faults(error)
        hint = did_you_mean(found[0].field.rpartition(".")[2], list(kind.model_fields))
        raise UsageError(describe_faults(what, found), where=str(path), hint=hint) from error


def read_claim(path: Path) -> AnyClaim | UntestedClaim:
    """Read a claim from `<paper>/<id>.yaml`. Raises UsageError if the file is invalid or has another name."""

    def choose_schema(content: Mapping[str, Any]) -> type[Claim | MeasuredClaim | UntestedClaim]:
        return UntestedClaim if "not_tested" in content else MeasuredClaim if "measure" in content else Claim

    claim = read_stated(path, "a claim", choose_schema)
    if (claim.paper, claim.id) != (path.parent.name, path.stem):
        expected = f"{claim.paper}/{claim.id}.yaml"
        raise UsageError(f"this is claim {claim.id} of {claim.paper}", where=str(path), expected=expected)
    return claim


def installed_claims() -> list[AnyClaim | UntestedClaim]:
    """Return the claims of all packages, sorted by paper and id; unusable files are excluded with a warning."""
    found: list[AnyClaim | UntestedClaim] = []
    for path in registry.find_shipped_files("claims/*/*.yaml"):
        try:
            found.append(read_claim(path))
        except UsageError as error:
            warnings.warn(f"a claim is excluded: {error}", stacklevel=2)
    return sorted(found, key=lambda claim: (claim.paper, _get_numeric_key(claim.id)))


def _get_numeric_key(text: str) -> list[tuple[int, str]]:
    """Return a sort key that compares the numbers in a text as numbers: S2 comes before S10."""
    return [(int(part or 0), rest) for rest, part in re.findall(r"(\D*)(\d*)", text)]


def select_claims(paper: str | None, ids: tuple[str, ...]) -> list[AnyClaim | UntestedClaim]:
    """Return the claims of a paper, or of all papers; if ids are given, only claims with these ids.

    Raises:
        UsageError: no claim has this paper or id.
    """
    claims = installed_claims()
    for what, wanted, known in (
        ("paper", (paper,) if paper else (), {claim.paper for claim in claims}),
        ("claim", ids, {claim.id for claim in claims if paper in (None, claim.paper)}),
    ):
        for name in wanted:
            if name not in known:
                raise UsageError(
                    f"no {what} with testable claims has the name `{name}`"
                    if what == "paper"
                    else f"no claim has the id `{name}`",
                    where="embench claims",
                    expected=f"one of {', '.join(sorted(known))}",
                    hint=did_you_mean(name, sorted(known)),
                )
    return [claim for claim in claims if paper in (None, claim.paper) and (not ids or claim.id in ids)]


# Numbers in the tables of papers, each with its run. Any package can provide them, as `printed/<paper>.yaml` next to
# its `registry.yaml`.


def _as_figures(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


Figures = Annotated[tuple[()] | tuple[float] | tuple[float, float], BeforeValidator(_as_figures)]
"""A printed number, with its spread if there is one; empty for a number that could not be read."""


SplitName = Literal["the paper's split", "recordings apart", "subjects apart"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
"""Columns of results next to a printed number: each keeps more of a test subject's data out of training."""


class PrintedRow(Strict):
    """A row of a paper's tables: options of its run, corpora as of a `Claim`, a protocol if not the paper's, and target
    -> metric -> number."""

    tables: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    row: str
    dataset: str
    run: Configuration
    corpora: dict[str, str] = {}
    protocol: str | None = None
    printed: dict[str, dict[str, Figures]] = Field(min_length=1)
    remarks: str = ""

    def numbers(self) -> Iterator[tuple[str, str, Sequence[float]]]:
        """Yield target, metric, and the number with its spread if one is printed."""
        for target, scores in self.printed.items():
            yield from ((target, metric, figures) for metric, figures in scores.items())


class UnreadTable(Strict):
    """A table or figure of a paper whose numbers are not included, and why."""

    table: str
    what: str
    why: str


SpreadName = Literal["SD over folds", "half width of the 95 % interval over folds"]
SPREADS: Mapping[SpreadName, tuple[str, Callable[[Score, int], float | None]]] = {
    "SD over folds": ("SD with k - 1 in the denominator", lambda score, _: score.std),
    "half width of the 95 % interval over folds": (
        "t · SD / √k, with the 0.975 quantile t of k - 1 degrees of freedom",
        half_width_over_folds,
    ),
}
"""What the ± of a paper is -> its formula for k folds in words, and a function (score, k) that returns it."""


class Printed(Strict):
    """The tables of a paper.

    Args:
        protocol: the paper's split, with the label rules and preparation of the paper.
        recordings_apart, subjects_apart: the same rules with all units of a recording, or of a subject, in one fold. By
            default, a protocol that doesn't leak stands for `subjects_apart` itself.
        unit: how the paper prints proportions. `spread`: what its ± is.
    """

    paper: Identity
    protocol: str
    recordings_apart: str | None = None
    subjects_apart: str | None = None
    unit: Literal["share", "percent"]
    spread: SpreadName | None = None
    rows: Annotated[tuple[PrintedRow, ...], Field(strict=False)]
    unread: Annotated[tuple[UnreadTable, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _check_spread(self) -> Self:
        if not self.spread and any(len(figures) > 1 for row in self.rows for _, _, figures in row.numbers()):
            raise ValueError("a number has a spread, but `spread` does not say what the spread is")
        return self

    def in_words(self, figures: Sequence[float]) -> str:
        """Format a printed number, with its spread and unit; `not read` for a number that could not be read."""
        text = " ± ".join(f"{figure:g}" for figure in figures)
        return f"{text} %" if text and self.unit == "percent" else text or "not read"

    def format_score(self, score: Score, folds: int) -> str:
        """Format a score in the paper's unit with the paper's spread over so many folds, then its own 95 % interval."""
        factor, spec, narrow = (100, ".1f", ".1f") if self.unit == "percent" else (1, ".3f", ".4f")
        spread = SPREADS[self.spread][1](score, folds) if self.spread and score.over == "folds" else None
        parts = [format(factor * score.mean, spec), *([f"± {factor * spread:{narrow}}"] if spread is not None else [])]
        parts += ["%"] if self.unit == "percent" else []
        ends = [format(factor * end, spec) for end in score.interval or ()]
        return " ".join([*parts, *([f"[{', '.join(ends)}]"] if ends else [])])

    def protocols(self, row: PrintedRow) -> dict[SplitName, str | None]:
        """Return column -> the protocol of a row; None without one. The row's own protocol has no counterparts."""
        own = row.protocol or self.protocol
        recordings, subjects = (None, None) if row.protocol else (self.recordings_apart, self.subjects_apart)
        if subjects is None and not load_protocol(own).leaks:
            subjects = own
        return dict(zip(SPLITS, (own, recordings, subjects), strict=True))


def printed_tables(paper: str | None = None) -> list[Printed]:
    """Return the tables of all papers, or of one, sorted by paper. Raises UsageError for an invalid file."""
    found = [_read_table(path) for path in registry.find_shipped_files("printed/*.yaml") if paper in (None, path.stem)]
    return sorted(found, key=lambda printed: printed.paper)


def _read_table(path: Path) -> Printed:
    printed = read_stated(path, "a table", lambda _: Printed)
    if printed.paper != path.stem:
        raise UsageError(f"these are the tables of {printed.paper}", where=str(path), expected=f"{printed.paper}.yaml")
    return printed
