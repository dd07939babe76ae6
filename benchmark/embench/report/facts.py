"""Facts of a finished run, from which reports and texts are written, and its units of analysis as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from embench import protocols, registry
from embench.data.describe import class_names
from embench.data.find import find_source
from embench.errors import DataError, EmbenchError, UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.leaderboard.rows import describe_calibration_data
from embench.leaderboard.withheld import redact_audit
from embench.planning.request import format_recorded_command
from embench.protocols import MADE_BY_METHOD
from embench.records import audit, wording
from embench.records.ledger import describe_evaluations_by_author
from embench.records.manifest import Manifest, RulePart, method_kind
from embench.records.predictions import MODEL, Labels, Predictions
from embench.records.record import Record, is_own, read_manifest, read_record
from embench.records.scores import Scores
from embench.records.wording import bare_name, format_value, in_words, join_with_and, method_name
from embench.statistics.answers import TargetAnswers, answer_questions
from embench.statistics.form import ResultForm, result_forms
from embench.statistics.joined import Joined, join, labels_of, make_names_unique, recorded_targets
from embench.store import Store

# Facts of a finished run, for reports, texts for papers, and other descriptions.

NO_LABELS = Undefined("this record has no labels, because the labels of the dataset are not public")
METHOD_UNKNOWN = "unknown: other code made the predictions"
_NOT_OPENED = Undefined("the recordings were not opened")

_ACCESS = {
    "none": "only the unit that is predicted",
    "baseline": "the recorded rest, for normalisation",
    "unlabelled": "all recordings of the subject without their labels, for normalisation",
}
"""Value of `target_access` in the record -> data of a test subject that the method used, in words."""

_NORMALISED = {
    "none": "were not normalised",
    "baseline": "were normalised for each subject by the recorded rest alone",
    "subject_unlabelled": "were z-scored for each subject over all recordings of that subject, including test subjects "
    "but without their labels",
    "recording_unlabelled": "were z-scored for each recording and channel separately (facial values keep their level)",
    "given": "were z-scored for each subject by its calibration data, combined with the spread of training subjects",
    "given nothing": "were z-scored by the level and spread of the training subjects",
}

_SPLIT = {
    "group": "subjects were assigned to folds, with those recorded together kept together, so that no subject is in "
    "both training and test",
    "group+stimulus": "subjects and stimuli were assigned to folds, so that test subjects are tested on stimuli "
    "that were not used in training",
    "stimulus": "stimuli were assigned to folds, so that other recordings of a test subject were in training",
    "recording": "recordings were assigned to folds {how}, so that other recordings of a test subject were in training",
    "segment": "segments of recordings were assigned to folds {how}, so that other segments of a test recording "
    "were in training",
}

_LATER = "and was scored on what came a block and a guard gap later"
_GIVEN = {
    "nothing": "",
    "units": f"; before that, a test subject gave its first units {_LATER}, the same units whatever it gave",
    "session": ", but for its first session; test subjects were trained on in their first session and scored on later "
    "ones",
    "blocks": f", but for its first blocks; a test subject was trained on in the first half of its blocks {_LATER}",
}
"""Kind of calibration data under a protocol -> calibration data of a test subject, in words."""


def access_in_words(about: Manifest) -> str:
    """Describe the data of a test subject, besides the predicted unit, that a method used."""
    known, _, trained_on = about.target_access.partition("+")
    if trained_on:
        return f"{_ACCESS.get(known, known)}; and its earlier {trained_on.removeprefix('labelled_')}, with labels"
    if not about.calibration_data or known in _ACCESS:
        return _ACCESS.get(known, known)
    adapts = ", for normalisation and to adapt to" if "labelled" in about.calibration_data else ", for normalisation"
    return f"before what is scored, {describe_calibration_data(about)}{adapts}"


def dataset_card(name: str) -> Card | None:
    """Return a dataset's card; None if its package, or the folder of the user's own recordings, is not available."""
    try:
        card: Card = find_source(name, None).card if is_own(name) else registry.load_plugin("dataset", name).card
    except EmbenchError:
        return None
    return card


def dataset_title(name: str) -> str:
    """Return a dataset's title, or its bare name if its package is not installed."""
    card = dataset_card(name)
    return card.title if card else bare_name(name)


def rule_in_words(rule: RulePart) -> str:
    """Describe the fields of a label rule that have a value, such as `aggregate mean, cut 5, ties low`."""
    silent = {"lag_s": 0.0}
    fields = {name: value for name, value in rule.content().items() if value not in (None, [], "", silent.get(name))}
    return format_value(fields, "g")


@dataclass(frozen=True)
class RunFacts:
    """A finished run with the facts that reports and texts need. Facts from plugins, protocols and audits are empty or
    None if these are missing.

    Args:
        folder: folder of the record; None if unknown.
        store: the recordings, or the reason why they are not available.
        audited: audit that was made for this description.
        for_others: whether people without access to the data may read the description.
        folder_card: the dataset's card as read from its folder, if available.
    """

    record: Record
    folder: Path | None = None
    store: Store | Undefined = _NOT_OPENED
    audited: Mapping[str, Any] | Undefined | None = None
    for_others: bool = False
    folder_card: Card | None = None

    @property
    def withholds_labels(self) -> bool:
        """True if the description must not reveal labels."""
        return self.for_others and self.manifest.card.labels_public != "yes"

    @property
    def manifest(self) -> Manifest:
        """The record's `run.yaml`."""
        return self.record.manifest

    @property
    def scores(self) -> Scores:
        """The record's scores."""
        return self.record.scores

    @property
    def submission(self) -> bool:
        """True if the predictions came from a file of other code."""
        return bool(self.manifest.method.submission)

    @property
    def synthetic(self) -> bool:
        """True if the data are synthetic."""
        return self.manifest.dataset.synthetic is not None

    @property
    def name(self) -> str:
        """The name of the method."""
        return method_name(self.record.run) or self.manifest.id

    @property
    def row_name(self) -> str:
        """The name of the method, with the calibration data that it used."""
        given = self.manifest.calibration_data
        return f"{self.name}, given {describe_calibration_data(self.manifest)}" if given else self.name

    @property
    def title(self) -> str:
        """The title of the dataset."""
        return dataset_title(self.manifest.dataset.name)

    @property
    def trained_on(self) -> str:
        """The title of the other dataset that the method was trained on, if any."""
        name = self.manifest.config.get("train_dataset")
        return dataset_title(name) if name else ""

    @cached_property
    def card(self) -> Card | None:
        """The card of the dataset that is tested."""
        return dataset_card(self.manifest.dataset.name)

    @cached_property
    def rules(self) -> protocols.Protocol | None:
        """The protocol's rules."""
        return protocols.recorded_protocol(self.manifest.protocol.content())

    @cached_property
    def audit(self) -> Mapping[str, Any] | None:
        """The content of the run's audit.json; None without an audit. Raises DataError if the file is damaged."""
        found = audit.read_audit(self.folder) if self.folder else None
        if found is None:
            return None
        return redact_audit(found) if self.withholds_labels else found

    @cached_property
    def answers(self) -> dict[str, TargetAnswers]:
        """Target -> the answers to each question."""
        return answer_questions(self.record.run, self.scores)

    @cached_property
    def summaries(self) -> dict[str, ResultForm]:
        """Target -> the result in words, as all screens print it."""
        return result_forms(self.record.run, self.scores)

    @property
    def without_prediction(self) -> str:
        """Words for units without a prediction: a run predicts all units with a signal, a file may omit any."""
        return "units without a prediction" if self.submission else "units without any of the modalities"

    @property
    def unpredicted(self) -> int:
        """Number of units that lack a prediction in some seed, over all targets; each unit counts once."""
        return sum(self.scores.get("absent", {}).values())

    def list_applicable_controls(self, head: TargetAnswers) -> list[str]:
        """Return the confound-only models that apply to a target, without those made of the method itself."""
        applied = (control.name for control in self.scores.get_confound_only_models(head.target) if not control.reason)
        return [name for name in applied if name not in MADE_BY_METHOD]

    @property
    def level(self) -> str:
        """The confidence level of intervals, as `95 %`."""
        return f"{100 * self.scores.level:.0f} %"

    @property
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        """Part of the method, such as `encoder[eda]` -> its plugin, code and settings."""
        parts: Mapping[str, Mapping[str, Any]] = self.manifest.config.get("parts", {})
        return parts

    @property
    def plugins(self) -> list[tuple[str, str]]:
        """(kind, full name) of each part of the method, such as (`encoder`, `embench_plugins/tcn`)."""
        return [(part.partition("[")[0], about["plugin"]) for part, about in self.parts.items()]

    @property
    def datasets(self) -> list[str]:
        """Full names of the datasets that the method was tested, trained and pretrained on."""
        named = [self.manifest.dataset.name, self.manifest.config.get("train_dataset")]
        named += [source.get("dataset") for source in self.manifest.pretraining]
        return list(dict.fromkeys(name for name in named if name))

    @property
    def command(self) -> str:
        """The command that requests the run; empty for a submission."""
        return format_recorded_command(self.manifest)

    @property
    def excluded(self) -> list[str]:
        """Each subject who was excluded, with the reason."""
        rows = self.manifest.cohort.left_out
        return [f"{row['subject']} ({row['reason']})" if isinstance(row, Mapping) else str(row) for row in rows]

    @property
    def label_rules(self) -> dict[str, str]:
        """Target -> the rule of its labels in words."""
        rules = {}
        for about in self.manifest.card.label_rules:
            rules[about.name] = f"{about.kind} from `{about.label}` ({rule_in_words(about.rule) or 'as it is'})"
        return rules

    @property
    def split(self) -> str:
        """The assignment of subjects, stimuli or recordings to folds, in words."""
        if self.rules is None:
            return ""
        split = self.rules.split
        if split.tests:
            tested = f"the last of {split.folds} stretches of each recording was tested"
            return f"{tested}, and those before it were trained on"
        gives = self.rules.personal.gives if self.rules.personal else "nothing"
        return _SPLIT[split.by].format(how="in their order" if split.deal else "at random") + _GIVEN[gives]

    @property
    def normalised(self) -> str:
        """The normalisation of signals, in words."""
        if self.rules is None:
            return ""
        given, rule = self.manifest.calibration_data, str(self.rules.normalise)
        if rule == "given" and not given:
            rule = "given nothing"
        elif given == {"unlabelled": "session"}:
            rule = "subject_unlabelled"
        return _NORMALISED[rule]

    @property
    def seeds(self) -> str:
        """The seeds in words: `seed 0`, `seeds 0, 1 and 2`, `seeds 0 to 9`."""
        seeds = self.manifest.seeds
        if len(seeds) > 3 and seeds == list(range(seeds[0], seeds[0] + len(seeds))):
            return f"seeds {seeds[0]} to {seeds[-1]}"
        return f"seed{'s' * (len(seeds) > 1)} {join_with_and(list(map(str, seeds)))}"

    @property
    def access(self) -> str:
        """The data of a test subject that the method saw."""
        if self.submission:
            return METHOD_UNKNOWN
        return access_in_words(self.manifest)

    def why_no_network(self, part: str) -> str:
        """Return the reason why the record lacks a `part` that only networks have, such as `history`."""
        if self.submission:
            return "the predictions are a submission, of whose method nothing more is known"
        if method_kind(self.manifest.method) == "features":
            return "the method is an estimator on features, without a network"
        if self.manifest.entry is not None:
            return f"entries of leaderboards hold no {part}"
        return f"this record has no {part}"

    @property
    def overlap(self) -> str:
        """The data of the test subjects that pretraining used, in words."""
        return in_words(self.manifest.pretraining_overlap)

    @property
    def weights(self) -> list[str]:
        """Sentences on the pretrained weights of encoders: name, licence, and what they saw of the test subjects."""
        return [
            f"{m}: {about.name} ({about.licence}), saw of the test subjects: {about.saw}"
            f"{', as its authors declare' if about.declared else ''}, {about.source}"
            for m, about in self.manifest.weights.items()
        ]

    @property
    def costs(self) -> Mapping[str, str]:
        """Name of a cost, one of `COST_COLUMNS` -> its value in words."""
        return wording.format_cost(self.record.run["cost"])

    @property
    def measured(self) -> list[str]:
        """The costs that were measured, with their names."""
        return wording.measured_costs(self.record.run["cost"])

    @property
    def evaluations_sentence(self) -> str:
        """A sentence on the number of methods that were scored on the test subjects; empty if not recorded."""
        sentence = describe_evaluations_by_author(self.manifest)
        return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""

    @cached_property
    def targets(self) -> list[Target]:
        """The targets that were scored."""
        return recorded_targets(self.record)

    def read_siblings(self, matches: Callable[[Manifest], bool]) -> Iterator[Record]:
        """Yield the readable records next to the run's folder, including its own, whose run.yaml `matches`."""
        for path in sorted(self.folder.resolve().parent.glob("*/run.yaml")) if self.folder else ():
            with suppress(EmbenchError):
                if matches(read_manifest(path.parent)):
                    yield read_record(path.parent)

    def joined_units(self, target: Target) -> dict[str, Joined]:
        """Return method -> its predictions with labels; empty if the record has no labels."""
        if self.record.labels is None:
            return {}
        if target.name not in self._joined:
            record = self.record
            self._joined[target.name] = join(record.predictions, self.record.labels, target, record.groups, np.nan)
        return self._joined[target.name]

    @cached_property
    def _joined(self) -> dict[str, dict[str, Joined]]:
        """Target -> `joined_units`, computed once."""
        return {}

    def classes(self, target: Target) -> list[str]:
        """Return the names of a target's classes: those in the data if available, else general names such as `high`."""
        raw = None
        if not isinstance(self.store, Undefined):
            raw = next((label.classes for label in self.store.labels().get(target.label, {}).values()), None)
        return class_names(target, raw)

    def tested_labels(self, target: Target) -> np.ndarray | None:
        """Return the label of each scored unit (n,) in the first seed; None if the record has none."""
        if self.record.labels is None:
            return None
        own = self.record.predictions.own  # without confound-only models
        joined = join(own, self.record.labels, target, self.record.groups, np.nan).get(MODEL, Joined({}))
        labels = [units.y_true for seed, _, units in joined if seed == min(joined.seeds)]
        return np.concatenate(labels) if labels else None

    def frequencies(self) -> list[str]:
        """Return a text for each labelled target: the number of units in each class, or mean and SD of values."""
        texts = []
        for target in self.targets:
            if (labels := self.tested_labels(target)) is None:
                continue
            text = f"mean {labels.mean():.3f}, SD {labels.std():.3f}"
            if target.traits.has_classes:
                counts = {name: int((labels == k).sum()) for k, name in enumerate(self.classes(target))}
                text = ", ".join(f"{name} {n} ({100 * n / len(labels):.1f} %)" for name, n in counts.items())
            texts.append(f"{in_words(target.name)}: {len(labels)} labelled units, {text}")
        return texts


def row_names(runs: Sequence[RunFacts]) -> dict[str, str]:
    """Return id of a run -> name of its method, with the settings that distinguish it from runs of the same method."""
    once = list({run.manifest.id: run for run in runs}.values())
    names = make_names_unique([run.row_name for run in once], [run.record.run for run in once])
    return dict(zip((run.manifest.id for run in once), names, strict=True))


# Labels and scores of runs by unit, as a table for a mixed model.

UNIT_COLUMNS = ("target", "subject", "stimulus", "recording", "unit", "start_s", "rating")
"""First columns of the table; a column of scores for each run follows."""
WHY_DIFFERENT = (
    "Its result may differ from that of embench: it assumes one slope, also compares subjects, adjusts for neither "
    "time nor movement, and takes scores as independent, although the models that made them share training subjects."
)


def unit_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row for each target and labelled unit of runs on one dataset: `UNIT_COLUMNS`, and a column for each run
    with its mean score over seeds, named by `score_columns`. The label is empty if the unit's class differs between
    seeds; a score is missing if the run did not predict the unit.

    Raises:
        UsageError: the runs have several datasets or protocols, or a target has several classes.
        DataError: the labels of a record are withheld.
    """
    if len({(record.manifest.dataset.name, record.manifest.protocol.hash) for record in records}) > 1:
        what = "the runs have several datasets or protocols"
        raise UsageError(what, where="--unit-table", expected="runs with the same units")
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, record in zip(score_columns(records), records, strict=True):
        if record.labels is None:
            raise DataError("the labels of this record are withheld", where=record.manifest.id, expected="a run")
        for target in recorded_targets(record):
            if target.kind not in ("binary", "value"):
                what = f"{target.name} has several classes"
                raise UsageError(what, where="--unit-table", expected="binary or continuous targets")
            for key, row, score in _score_units(record.predictions.own, record.labels, target):
                rows.setdefault(key, row)[name] = score
    return [rows[key] for key in sorted(rows)]


def score_columns(records: Sequence[Record]) -> list[str]:
    """Return the name of each run's column of scores: sensors, encoders and fusion, with the end of its id if two
    are equal; `score` for a single run."""
    if len(records) == 1:
        return ["score"]
    names = [_name_method(record.run) for record in records]
    ids = [record.manifest.id.rpartition("-")[2] for record in records]
    return [name if names.count(name) == 1 else f"{name}_{id_}" for name, id_ in zip(names, ids, strict=True)]


def mixed_model(path: Path, rows: Sequence[Mapping[str, Any]], column: str) -> tuple[str, str]:
    """Return two lines of R that fit a mixed model of the first target's ratings to the table in the file `path`.

    Args:
        rows: the rows of the table, see `unit_rows`.
        column: name of the column of scores.
    """
    targets = list(dict.fromkeys(row["target"] for row in rows))
    binary = all(row["rating"] in (0, 1, "") for row in rows if row["target"] == targets[0])
    call, family = ("glmer", ", family = binomial") if binary else ("lmer", "")
    subset = f', subset = target == "{targets[0]}"' if len(targets) > 1 else ""
    stimuli = {row["stimulus"] for row in rows if row["target"] == targets[0]}
    formula = f"rating ~ {column} + (1|subject)" + (" + (1|stimulus)" if len(stimuli) > 1 else "")
    return f"lme4::{call}({formula},", f'  data = read.csv("{path.as_posix()}"){family}{subset})'


def _name_method(run: Mapping[str, Any]) -> str:
    method = run["method"]
    if method.get("submission"):
        parts = [in_words(str(method["submission"]))]
    else:
        parts = [*method["modalities"], *dict.fromkeys(map(bare_name, (method.get("encoders") or {}).values()))]
        parts += [bare_name(method["fusion"])] if method.get("fusion") else []
    # A name in R has letters, digits, dots and underscores.
    return "_".join(["score", *("".join(c if c.isalnum() else "." for c in part) for part in parts)])


def _score_units(
    predictions: Predictions, labels: Labels, target: Target
) -> Iterator[tuple[tuple[str, str], dict[str, Any], Any]]:
    """Yield (target, id), row and mean score of each labelled unit; the score is empty without a prediction."""
    predictions = predictions.take(predictions.rows_with(target=target.name))
    label = labels_of(predictions, labels, target)
    columns = dict(predictions.columns)  # each access to `predictions` would decode a column of texts again
    unit, predicted = columns["unit"], columns["method"] == MODEL
    order = np.argsort(unit, kind="stable")
    ends = np.flatnonzero(unit[order][1:] != unit[order][:-1]) + 1
    for at in np.split(order, ends) if len(order) else ():
        known = np.unique(label[at][np.isfinite(label[at])])
        if not len(known):
            continue
        first, scores = at[0], columns["score"][at][predicted[at]]
        row: dict[str, Any] = {name: str(columns[name][first]) for name in ("subject", "stimulus", "recording", "unit")}
        start = float(columns["start_s"][first])
        row |= {
            "target": target.name,
            "start_s": _round(start) if np.isfinite(start) else "",
            "rating": _round(known[0]) if len(known) == 1 else "",
        }
        yield (target.name, row["unit"]), row, _round(scores.mean()) if len(scores) else ""


def _round(value: float) -> float | int:
    """Round a number to nine significant digits; return whole numbers as int."""
    return int(value) if float(value).is_integer() else float(f"{value:.9g}")
