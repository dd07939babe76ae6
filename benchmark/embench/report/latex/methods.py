"""The methods section of a paper on some runs, in LaTeX: what was done, as the records and their protocols say it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from embench import protocols
from embench.errors import EmbenchError
from embench.interfaces.kinds import KINDS
from embench.records import cost
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL
from embench.records.record import Record
from embench.records.wording import (
    bare_name,
    counted,
    describe_added_modalities,
    format_figure,
    format_interval,
    in_words,
    join_with_and,
    method_name,
    number_in_words,
)
from embench.report.latex import bibliography
from embench.report.latex.tex import cite, code, escape
from embench.statistics.joined import unit_length
from embench.statistics.metrics import CONDITIONED_FACTS, metric_facts

NORMALISED = {
    "none": "were not normalised",
    "baseline": "were normalised for each subject by the recorded rest alone",
    "subject_unlabelled": "were z-scored for each subject over all recordings of that subject, including test subjects "
    "but without their labels",
    "recording_unlabelled": "were z-scored for each recording and channel separately (facial values keep their level)",
}

SPLIT = {
    "group": "subjects were assigned to folds, with those recorded together kept together, so that no subject is in "
    "both training and test",
    "group+stimulus": "subjects and stimuli were assigned to folds, so that test subjects are tested on stimuli "
    "that were not used in training",
    "stimulus": "stimuli were assigned to folds, so that other recordings of a test subject were in training",
    "recording": "recordings were assigned to folds {how}, so that other recordings of a test subject were in training",
    "segment": "segments of recordings were assigned to folds {how}, so that other segments of a test recording "
    "were in training",
}

_BOOTSTRAP = r"with expanded 95~\% percentile intervals from a bootstrap of subjects within folds"
"""Of records made before intervals came from the jackknife, which say how many replicates they drew."""
_JACKKNIFE = r"with 95~\% $t$ intervals from the jackknife over groups of subjects"


def methods_section(records: Sequence[Record]) -> str:
    """A paragraph on the data, protocol and scores that several runs share, whatever their seeds, and one for each
    run."""
    groups: dict[str, list[Record]] = {}
    for of in records:
        run = of.manifest
        alike = [run.dataset.name, run.protocol.hash, run.cohort, run.targets, run.dev]
        groups.setdefault(str(alike), []).append(of)
    paragraphs = []
    for some in groups.values():
        paragraphs.append(" ".join([*_data(some[0]), *_rules(some), *_scoring(some)]))
        paragraphs += [" ".join(_method(of, several_seeds=_seeds_differ(some))) for of in some]
    versions = sorted({of.manifest.embench_version for of in records})
    ours = f"All results were computed with embench {', '.join(versions)}{cite(bibliography.EMBENCH_KEY)}."
    return "\n\n".join([*paragraphs, ours]) + "\n"


def _data(of: Record) -> list[str]:
    run, name = of.manifest, of.manifest.dataset.name
    title, key = escape(bibliography.dataset_title(name)), _dataset_key(name)
    sentences = []
    if run.dataset.synthetic is not None:
        sentences.append(r"\textbf{The data are synthetic: no number below says anything about real subjects.}")
    mine = of.predictions["method"] == MODEL
    parts = []
    for target in of.scores.headlines:
        ids = np.unique(of.predictions["unit"][mine & (of.predictions["target"] == target)])
        length = unit_length(ids)
        what = "whole recordings" if np.isnan(length) else rf"segments of {length:g}~s"
        how_many = f"; {len(ids):,} {what}" if len(ids) else ""  # entries whose labels are not public hold no units
        parts.append(f"{_words(target)} ({_kind(run, target)}{how_many})")
    sentences.append(
        f"The data were those of {title}{cite(key)}, with {counted(run.cohort.size, 'subject')}. Predicted "
        f"target{'s' * (len(parts) > 1)}: {join_with_and(parts)}."
    )
    left_out: dict[str, int] = {}
    for row in run.cohort.left_out:
        left_out[row["reason"]] = left_out.get(row["reason"], 0) + 1
    if left_out:
        reasons = [f"{counted(number, 'subject')} ({escape(reason)})" for reason, number in left_out.items()]
        who, verb = join_with_and(reasons), "was" if sum(left_out.values()) == 1 else "were"
        sentences.append(f"{who[0].upper()}{who[1:]} {verb} excluded.")
    return sentences


def _kind(run: Manifest, target: str) -> str:
    about = next((rule for rule in run.card.label_rules if rule.name == target), None)
    if about is None:
        return ""
    rule, parts = about.rule, [KINDS[about.kind].words_of_one.format(n=number_in_words(about.n))]
    if rule.cut == "training_mean":
        parts.append("cut at the mean of the training labels")
    elif rule.cut is not None:
        parts.append(f"cut at {rule.cut:g}, ties {rule.ties}")
    if rule.dead_band:
        low, high = rule.dead_band
        parts.append(f"no label from {low:g} to {high:g}")
    if rule.lag_s:
        parts.append(rf"labels read {rule.lag_s:g}~s after the signals")
    return ", ".join(parts)


def _seeds_differ(some: Sequence[Record]) -> bool:
    return len({tuple(of.manifest.seeds) for of in some}) > 1


def _rules(some: Sequence[Record]) -> list[str]:
    run = some[0].manifest
    rules = protocols.recorded_protocol(run.protocol.content())
    name = run.protocol.name
    paper = cite(bibliography.paper_of_protocol(name))
    sentences = [f"The protocol was {code(name)}{paper}."]
    if rules is None:
        return sentences
    folds = (
        "one fold for each of them" if rules.split.folds == "each" else f"{number_in_words(rules.split.folds)} folds"
    )
    how = "in their order" if rules.split.deal else "at random"
    alone = "the units of each subject were split by themselves: " if rules.split.within else ""
    sentences.append(f"In it, {alone}{SPLIT[rules.split.by].format(how=how)} ({folds}).")
    if rules.stimuli:
        sentences.append("The stimuli that take part, and their parts, are those of the protocol.")
    if run.protocol.leaks:
        sentences.append(rf"\textbf{{This split leaks}}: {escape('; '.join(run.protocol.gives_up.values()))}.")
    if _seeds_differ(some):
        sentences.append("Each seed has its own partition and initialisation.")
    elif len(run.seeds) == 1:
        sentences.append(f"There was one seed ({run.seeds[0]}), for the partition and the initialisation.")
    else:
        seeds = join_with_and(list(map(str, run.seeds)))
        how_many = counted(len(run.seeds), "seed")
        sentences.append(f"There were {how_many} ({seeds}), each with its own partition and initialisation.")
    if run.outside is not None:
        return sentences
    if rules.validation.fraction or rules.validation.at_least:
        sentences.append(
            rf"Of the training side, {rules.validation.fraction * 100:g}~\% (at least {rules.validation.at_least}) "
            "was held out for validation."
        )
    sentences.append(
        rf"Signals were filtered by the rules {code(rules.preprocess)}, resampled to {rules.rate_hz:g}~Hz, and "
        f"{NORMALISED[rules.normalise]}."
    )
    sentences += map(escape, describe_added_modalities(some[0].run))
    if rules.select == "peak_on_test":
        sentences.append("As in the paper, the epoch was selected by the test score.")
    return sentences


def _scoring(some: Sequence[Record]) -> list[str]:
    of, sentences = some[0], []
    for metric in dict.fromkeys(of.scores.headlines.values()):
        paper = cite(bibliography.paper_of("metric", metric))
        sentences.append(f"Methods are compared by {_headline(of, metric)}{paper}.")
    controls = sorted({c.name for r in some for t in r.scores.headlines for c in r.scores.controls(t) if c.gap})
    if controls:
        named = ", ".join(map(_words, controls))
        sentences.append(
            f"Controls that use no physiological signal ({named}) were fitted on the same training "
            "subjects. A method clears a control if the interval of the paired difference of headlines lies above 0; "
            "this interval is widened to allow for subjects who train each other's models."
        )
    return sentences


def _headline(of: Record, metric: str) -> str:
    """What a headline measures, and how its interval is made."""
    facts = metric_facts(metric)
    what = re.sub(r"(?<=\d) (?=s\b)", "~", escape(facts.about.partition(". ")[0].removesuffix(".")))
    what = f"the {what.removeprefix('The ')}" if what.startswith("The ") else what
    if metric in {kind.within for kind in KINDS.values()}:
        return rf"{what}, with a 95~\% $t$ interval over groups of subjects"
    if metric not in CONDITIONED_FACTS:
        what = f"{escape(facts.title)}, computed for each fold and seed and averaged over seeds, then over folds"
    intervals = _BOOTSTRAP if "replicates" in of.scores else _JACKKNIFE
    return f"{what}, {intervals}{cite(bibliography.intervals_paper(of))}"


def _method(of: Record, *, several_seeds: bool) -> list[str]:
    run, name = of.manifest, rf"\emph{{{escape(method_name(of.run))}}}"
    if run.method.outside:
        sentences = [f"The predictions of {name} were made by other code and scored by embench."]
        missing = sum(about["units"] for about in (run.outside or {}).get("missing", {}).values())
        if missing:
            sentences.append(f"{missing} predictions were missing.")
    else:
        sentences = [f"{name} used the recipe {code(run.recipe.preset)}{_training(of)}.", *_sources(of.run)]
        if run.recipe.settings:
            sentences.append(f"Changed settings: {join_with_and(list(map(code, run.recipe.settings)))}.")
        if run.recipe.assumed:
            assumed = join_with_and(list(map(code, run.recipe.assumed)))
            sentences.append(f"Assumed (left open by the paper): {assumed}.")
        sentences += _pretraining(run)
    if several_seeds:
        seeds = [str(seed) for seed in run.seeds]
        sentences.append(f"It was run with the seed{'s' * (len(seeds) > 1)} {join_with_and(seeds)}.")
    for target, metric in of.scores.headlines.items():
        name, score = escape(metric_facts(metric).title), of.scores.score(target, metric)
        if score is None:
            reason = escape(of.scores.why_undefined(target, metric))
            sentences.append(f"Its {name} on {_words(target)} is undefined: {reason}.")
            continue
        interval = rf" (95~\% interval {format_interval(score, '{} to {}')})" if score.low is not None else ""
        gaps = {control.name: control.gap for control in of.scores.controls(target) if control.gap}
        if failed := [_words(control) for control, gap in gaps.items() if not gap.clears]:
            verdict = f"it is not shown to be better than {join_with_and(failed)}"
        else:
            verdict = "it clears all controls" if gaps else "no control applies"
        sentences.append(f"Its {name} on {_words(target)} is {format_figure(score.mean)}{interval}; {verdict}.")
    costs = cost.format_cost(of.run["cost"])
    measured = [f"{name} {text}" for name, text in costs.items() if text != cost.NOT_MEASURED]
    if measured:
        sentences.append(f"Cost: {escape('; '.join(measured))}.")
    looks = [n for n in _values(run.test_looks) if n]
    if looks and not run.dev:
        tried = max(_values(run.tried), default=0)
        opened = "once" if max(looks) == 1 else f"{max(looks)} times"
        sentences.append(f"The test labels had been opened {opened} before, by {counted(tried, 'method')}.")
    if run.dev:
        sentences.append("The scores are those of validation subjects; the test labels stayed closed.")
    return sentences


def _sources(run: Mapping[str, Any]) -> list[str]:
    """Which part of the method is whose: a paper is that of a part, not of what parts are combined here."""
    parts_by_paper: dict[str, list[str]] = {}
    for _, kind, name in bibliography.run_plugins(run):
        if paper := bibliography.paper_of(kind, name):
            parts_by_paper.setdefault(paper, []).append(code(bare_name(name)))
    sentences = []
    for paper, parts in parts_by_paper.items():
        distinct = list(dict.fromkeys(parts))
        follows = "follows" if len(distinct) == 1 else "follow"
        sentences.append(f"{join_with_and(distinct)} {follows}{cite(paper)}.")
    return sentences


def _words(name: str) -> str:
    return escape(in_words(name))


def _training(of: Record) -> str:
    """How what was trained by epochs was trained; the history says which stages those are."""
    recipes: Mapping[str, Any] = of.manifest.config.get("parts", {})
    kinds = {"unimodal": "encoder", "fusion": "fusion", "pretrain": "pretrainer"}
    trained = {kinds[row["kind"]] for row in of.history if row.get("kind") in kinds}
    parts_by_training: dict[str, list[str]] = {}
    for part, recipe in recipes.items():
        if part.partition("[")[0] in trained:
            how = (
                f"{recipe['epochs']} epochs in batches of {recipe['batch']} with {recipe['optimiser']}, learning rate "
                f"{recipe['lr']:g} ({recipe['schedule']}), selected epoch: {recipe['selection'].replace('_', ' ')}"
            )
            parts_by_training.setdefault(how, []).append(part)
    parts = [f"{join_with_and([code(p) for p in named])}: {escape(how)}" for how, named in parts_by_training.items()]
    return f" ({'; '.join(parts)})" if parts else ""


def _pretraining(run: Manifest) -> list[str]:
    seen = [
        f"{escape(bare_name(str(source['dataset'])))}"
        f"{cite(_dataset_key(source['dataset'])) if source.get('dataset') else ''}"
        for source in run.pretraining
    ]
    sentences = [f"Pretraining used {join_with_and(seen)}."] if seen else []
    if any(":" not in text for text in run.method.pretrainers):
        sentences.append("It was pretrained separately in each fold, on the training subjects of that fold.")
    if run.pretrain_overlap != "none":
        overlap = in_words(run.pretrain_overlap)
        sentences.append(f"Overlap of pretraining with the test subjects: {overlap}.")
    return sentences


def _dataset_key(name: str) -> str | None:
    try:
        return bibliography.dataset_paper(name).key
    except EmbenchError:
        return None


def _values(count: Any) -> list[int]:
    return [n for n in (count.values() if isinstance(count, Mapping) else [count]) if n is not None]
