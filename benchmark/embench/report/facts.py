"""Facts of a finished run for everything that describes one, and its units as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from embench.leaderboard.rows import given_of
from embench.leaderboard.withheld import sealed_audit
from embench.planning.request import command_again
from embench.protocols import MADE_BY_METHOD
from embench.records import audit, wording
from embench.records.audit import reworded
from embench.records.ledger import scored_and_whose
from embench.records.manifest import Manifest, RulePart, method_kind
from embench.records.predictions import MODEL, Labels, Predictions
from embench.records.record import Record, is_own
from embench.records.scores import Scores
from embench.records.wording import bare_name, format_value, in_words, join_with_and, method_name
from embench.statistics.answers import TargetAnswers, answers_of
from embench.statistics.form import ResultForm, result_forms
from embench.statistics.joined import Joined, join, labels_of, names_apart, recorded_targets
from embench.store import Store

# Facts of a finished run for everything that describes one: the report, texts for papers, and forms of others.

NO_LABELS = Undefined("this record has no labels, because the labels of the dataset are not public")
METHOD_UNKNOWN = "unknown: other code made the predictions"
_NOT_OPENED = Undefined("the recordings were not opened")

_ACCESS = {
    "none": "only the unit that is predicted",
    "baseline": "the recorded rest, for normalisation",
    "unlabelled": "all recordings of the subject without their labels, for normalisation",
}
"""Access of a method to a test subject in words, by the record's `target_access`."""

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
"""What test subjects gave before they were scored, by what the protocol's `personal` says."""


def access_in_words(about: Manifest) -> str:
    """The data of a test subject that a method saw."""
    known, _, trained_on = about.target_access.partition(", ")
    if trained_on:
        return f"{_ACCESS.get(known, known)}; and its {trained_on.removeprefix('labelled ')}, with labels"
    if not about.given or known in _ACCESS:
        return _ACCESS.get(known, known)
    adapts = ", for normalisation and to adapt to" if "labelled" in about.given else ", for normalisation"
    return f"before what is scored, {given_of(about)}{adapts}"


def dataset_card(name: str) -> Card | None:
    """A dataset's card; None where its package, or the folder of own recordings, is not here."""
    try:
        card: Card = find_source(name, None).card if is_own(name) else registry.load("dataset", name).card
    except EmbenchError:
        return None
    return card


def dataset_title(name: str) -> str:
    """A dataset's name in text: its card's title, or its bare name where its package is not installed here."""
    card = dataset_card(name)
    return card.title if card else bare_name(name)


def rule_in_words(rule: RulePart) -> str:
    """The fields of a label rule that say anything: `aggregate mean, cut 5, ties low`."""
    silent = {"lag_s": 0.0}
    shown = {name: value for name, value in rule.content().items() if value not in (None, [], "", silent.get(name))}
    return format_value(shown, "g")


@dataclass(frozen=True)
class RunFacts:
    """A finished run. `folder`: where its record lies, None where that does not matter; `store`: its recordings, or the
    reason why they are not available; `audited`: an audit that was made just now; `for_others`: whether it is described
    to whoever may read it; `folder_card`: the card that the dataset has in its folder, where that is available. What
    packages, protocols and audits know is empty or None where they lack it."""

    record: Record
    folder: Path | None = None
    store: Store | Undefined = _NOT_OPENED
    audited: Mapping[str, Any] | Undefined | None = None
    for_others: bool = False
    folder_card: Card | None = None

    @property
    def sealed(self) -> bool:
        """True where nobody but the owner of the run may see what tells labels."""
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
    def outside(self) -> bool:
        """True if other code made the predictions, of which nothing more is known."""
        return bool(self.manifest.method.outside)

    @property
    def synthetic(self) -> bool:
        """True of generated data."""
        return self.manifest.dataset.synthetic is not None

    @property
    def name(self) -> str:
        """The name of the method."""
        return method_name(self.record.run) or self.manifest.id

    @property
    def row_name(self) -> str:
        """The name of the method, with what test subjects gave to it."""
        given = self.manifest.given
        return f"{self.name}, given {given_of(self.manifest)}" if given else self.name

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
        """The content of the run's audit. Raises DataError where it is damaged."""
        found = audit.read_audit(self.folder) if self.folder else None
        if found is None:
            return None
        shown = sealed_audit(found) if self.sealed else found
        return {**shown, "findings": [reworded(each, self.scores) for each in shown["findings"]]}

    @cached_property
    def answers(self) -> dict[str, TargetAnswers]:
        """Target -> the answers to each question."""
        return answers_of(self.record.run, self.scores)

    @cached_property
    def forms(self) -> dict[str, ResultForm]:
        """Target -> the result in words, as every screen prints it."""
        return result_forms(self.record.run, self.scores)

    @property
    def without_prediction(self) -> str:
        """The name of units without a prediction: a run predicts all that have a signal, a file may omit any."""
        return "units without a prediction" if self.outside else "units without any of the modalities"

    @property
    def unpredicted(self) -> int:
        """The number of units that have no prediction in some seed, over all targets; each counts once, whatever the
        seeds."""
        return sum(self.scores.get("absent", {}).values())

    def shown(self, head: TargetAnswers) -> list[str]:
        """The controls that apply to a target, whether or not the method is compared with them; not what is made by the
        method itself, which reads signals."""
        applied = (control.name for control in self.scores.controls(head.target) if not control.reason)
        return [name for name in applied if name not in MADE_BY_METHOD]

    @property
    def level(self) -> str:
        """The level of intervals, as `95 %`."""
        return f"{100 * self.scores.level:.0f} %"

    @property
    def bootstrapped(self) -> bool:
        """True where intervals came from a bootstrap, as in earlier records, which hold the number of replicates."""
        return "replicates" in self.scores

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
        """The command that asks for the run; empty for a submission."""
        return command_again(self.manifest)

    @property
    def excluded(self) -> list[str]:
        """Each subject who was excluded, with the reason."""
        rows = self.manifest.cohort.left_out
        return [f"{row['subject']} ({row['reason']})" if isinstance(row, Mapping) else str(row) for row in rows]

    @property
    def label_rules(self) -> dict[str, str]:
        """Target -> how its labels were made."""
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
            return (
                f"the last of {split.folds} stretches of each recording was tested, and those before it were trained on"
            )
        gives = self.rules.personal.gives if self.rules.personal else "nothing"
        return _SPLIT[split.by].format(how="in their order" if split.deal else "at random") + _GIVEN[gives]

    @property
    def normalised(self) -> str:
        """The normalisation of signals, in words."""
        if self.rules is None:
            return ""
        given, rule = self.manifest.given, str(self.rules.normalise)
        if rule == "given" and not given:
            rule = "given nothing"
        elif given == {"unlabelled": "session"}:
            rule = "subject_unlabelled"
        return _NORMALISED[rule]

    @property
    def seeds(self) -> str:
        """`seed 0`, `seeds 0, 1 and 2`, `seeds 0 to 9`."""
        seeds = self.manifest.seeds
        if len(seeds) > 3 and seeds == list(range(seeds[0], seeds[0] + len(seeds))):
            return f"seeds {seeds[0]} to {seeds[-1]}"
        return f"seed{'s' * (len(seeds) > 1)} {join_with_and(list(map(str, seeds)))}"

    @property
    def access(self) -> str:
        """The data of a test subject that the method saw."""
        if self.outside:
            return METHOD_UNKNOWN
        return access_in_words(self.manifest)

    def why_no_network(self, kept: str) -> str:
        """The reason why the record has no `kept`, such as `history`, of a network."""
        if self.outside:
            return "the predictions are a submission, of whose method nothing more is known"
        if method_kind(self.manifest.method) == "features":
            return "the method is an estimator on features, without a network"
        if self.manifest.entry is not None:
            return f"entries of leaderboards hold no {kept}"
        return f"this record has no {kept}"

    @property
    def overlap(self) -> str:
        """The overlap of pretraining with the test subjects."""
        return in_words(self.manifest.pretrain_overlap)

    @property
    def weights(self) -> list[str]:
        """The weights that encoders brought with them: name, licence, and what they saw of the test subjects."""
        return [
            f"{m}: {about.name} ({about.licence}), saw of the test subjects: {about.saw}"
            f"{', as its authors declare' if about.declared else ''}, {about.source}"
            for m, about in self.manifest.weights.items()
        ]

    @property
    def costs(self) -> Mapping[str, str]:
        """The cost of the run, by `COST_COLUMNS`."""
        return wording.format_cost(self.record.run["cost"])

    @property
    def measured(self) -> list[str]:
        """The costs that were measured, with their names."""
        return wording.measured_costs(self.record.run["cost"])

    @property
    def opened(self) -> str:
        """A sentence on how many methods were scored on the test subjects; empty where that was not recorded."""
        sentence = scored_and_whose(self.manifest)
        return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""

    @cached_property
    def targets(self) -> list[Target]:
        """The targets that were scored."""
        return recorded_targets(self.record)

    def joined_units(self, target: Target) -> dict[str, Joined]:
        """Method -> its labelled units; empty where the record has no labels."""
        if self.record.labels is None:
            return {}
        if target.name not in self._joined:
            of = self.record
            self._joined[target.name] = join(of.predictions, self.record.labels, target, of.groups, np.nan)
        return self._joined[target.name]

    @cached_property
    def _joined(self) -> dict[str, dict[str, Joined]]:
        """Target -> `joined_units`, which several parts of a report show."""
        return {}

    def classes(self, target: Target) -> list[str]:
        """Names of the classes: those of the dataset's labels if the data are available, else general ones."""
        raw = None
        if not isinstance(self.store, Undefined):
            raw = next((label.classes for label in self.store.labels().get(target.label, {}).values()), None)
        return class_names(target, raw)

    def tested_labels(self, target: Target) -> np.ndarray | None:
        """The labels of the scored units, once each; None where the record has none."""
        if self.record.labels is None:
            return None
        own = self.record.predictions.own  # without the controls, which are most of the rows
        joined = join(own, self.record.labels, target, self.record.groups, np.nan).get(MODEL, Joined({}))
        found = [units.y_true for seed, _, units in joined if seed == min(joined.seeds)]
        return np.concatenate(found) if found else None

    def frequencies(self) -> list[str]:
        """The labelled units of each class, or the mean of a value, for each target that has any."""
        texts = []
        for target in self.targets:
            if (labels := self.tested_labels(target)) is None:
                continue
            shown = f"mean {labels.mean():.3f}, SD {labels.std():.3f}"
            if target.traits.has_classes:
                counts = {name: int((labels == k).sum()) for k, name in enumerate(self.classes(target))}
                shown = ", ".join(f"{name} {n} ({100 * n / len(labels):.1f} %)" for name, n in counts.items())
            texts.append(f"{in_words(target.name)}: {len(labels)} labelled units, {shown}")
        return texts


def row_names(runs: Sequence[RunFacts]) -> dict[str, str]:
    """Run -> the name of its method among these runs, with the settings that tell it from others of the same parts."""
    once = list({run.manifest.id: run for run in runs}.values())
    names = names_apart([run.row_name for run in once], [run.record.run for run in once])
    return dict(zip((run.manifest.id for run in once), names, strict=True))


# Labels and scores of runs by unit, as a table for a mixed model.

UNIT_COLUMNS = ("target", "subject", "stimulus", "recording", "unit", "start_s", "rating")
"""The columns of a unit; those of scores follow."""
WHY_DIFFERENT = (
    "Its result may differ from that of embench: it assumes one slope, also compares subjects, adjusts for neither "
    "time nor movement, and takes scores as independent, although the models that made them share training subjects."
)


def unit_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row for each target and labelled unit of runs on one dataset: `UNIT_COLUMNS`, then the score of each run
    (`score` of a single one), averaged over seeds. Blank are the label of a unit whose class depends on the seed, and
    the score of a unit that a run did not predict.

    Raises:
        UsageError: the runs are of several datasets or protocols, or a target has several classes. DataError: the
            labels of a record are withheld.
    """
    if len({(record.manifest.dataset.name, record.manifest.protocol.hash) for record in records}) > 1:
        raise UsageError(
            "the runs have several datasets or protocols", where="--table", expected="runs with the same units"
        )
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, record in zip(score_columns(records), records, strict=True):
        if record.labels is None:
            raise DataError("the labels of this record are withheld", where=record.manifest.id, expected="a run")
        for target in recorded_targets(record):
            if target.kind not in ("binary", "value"):
                raise UsageError(
                    f"{target.name} has several classes", where="--table", expected="binary or continuous targets"
                )
            for key, row, score in _scored(record.predictions.own, record.labels, target):
                rows.setdefault(key, row)[name] = score
    return [rows[key] for key in sorted(rows)]


def score_columns(records: Sequence[Record]) -> list[str]:
    """Return the name of each run's column: its sensors, encoders and fusion, with the end of its id where two share
    these."""
    if len(records) == 1:
        return ["score"]
    names = [_method(record.run) for record in records]
    ids = [record.manifest.id.rpartition("-")[2] for record in records]
    return [name if names.count(name) == 1 else f"{name}_{id_}" for name, id_ in zip(names, ids, strict=True)]


def mixed_model(path: Path, rows: Sequence[Mapping[str, Any]], column: str) -> tuple[str, str]:
    """Return the two lines of R that fit the mixed model of the first target's ratings to the table in `path`."""
    targets = list(dict.fromkeys(row["target"] for row in rows))
    binary = all(row["rating"] in (0, 1, "") for row in rows if row["target"] == targets[0])
    call, family = ("glmer", ", family = binomial") if binary else ("lmer", "")
    subset = f', subset = target == "{targets[0]}"' if len(targets) > 1 else ""
    stimuli = {row["stimulus"] for row in rows if row["target"] == targets[0]}
    formula = f"rating ~ {column} + (1|subject)" + (" + (1|stimulus)" if len(stimuli) > 1 else "")
    return f"lme4::{call}({formula},", f'  data = read.csv("{path.as_posix()}"){family}{subset})'


def _method(run: Mapping[str, Any]) -> str:
    method = run["method"]
    if method.get("outside"):
        parts = [in_words(str(method["outside"]))]
    else:
        parts = [*method["modalities"], *dict.fromkeys(map(bare_name, (method.get("encoders") or {}).values()))]
        parts += [bare_name(method["fusion"])] if method.get("fusion") else []
    # A name in R has letters, digits, dots and underscores.
    return "_".join(["score", *("".join(c if c.isalnum() else "." for c in part) for part in parts)])


def _scored(own: Predictions, labels: Labels, target: Target) -> Iterator[tuple[tuple[str, str], dict[str, Any], Any]]:
    """Yield the key, the row and the mean score of each labelled unit of a target."""
    own = own.take(own.rows_with(target=target.name))
    label, columns = labels_of(own, labels, target), dict(own.columns)  # a column of texts is made at each access
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
            "start_s": _number(start) if np.isfinite(start) else "",
            "rating": _number(known[0]) if len(known) == 1 else "",
        }
        yield (target.name, row["unit"]), row, _number(scores.mean()) if len(scores) else ""


def _number(value: float) -> float | int:
    """A number to nine significant digits, whole ones without a point."""
    return int(value) if float(value).is_integer() else float(f"{value:.9g}")
