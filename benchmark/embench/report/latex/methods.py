"""The methods section of a paper on some runs, in LaTeX, from the records and their protocols."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from embench.interfaces.kinds import KINDS
from embench.interfaces.recording import names_in
from embench.records.manifest import RuleOfTargetPart, method_kind
from embench.records.predictions import MODEL
from embench.records.record import Record
from embench.records.wording import (
    bare_name,
    counted,
    describe_added_modalities,
    in_words,
    join_with_and,
    number_in_words,
)
from embench.report.facts import RunFacts, row_names
from embench.report.latex import bibliography
from embench.report.latex.features import describe_features
from embench.report.latex.parts import describe_machine, describe_parts, signals_in_words
from embench.report.latex.sample import describe_sample
from embench.report.text import cite, code, escape, render_text
from embench.signals.preprocess import RULES, band_after
from embench.statistics.form import Subject
from embench.statistics.inside import WITHIN_SUBJECT_SCORES
from embench.statistics.joined import unit_length
from embench.statistics.metrics import CONDITIONED_NEEDS, metric_facts

_BOOTSTRAP = r"with expanded 95~\% percentile intervals from a bootstrap of subjects within folds"
"""Wording for records made before intervals came from the jackknife, which give the number of replicates."""
_JACKKNIFE = r"with 95~\% $t$ intervals from the jackknife over groups of subjects"


def methods_section(records: Sequence[Record]) -> str:
    """A paragraph on the data, protocol and scores that several runs share, whatever their seeds, one for each run, and
    a supplement of the features that estimators were fitted to."""
    groups: dict[str, list[RunFacts]] = {}
    for record in records:
        run = record.manifest
        cohort = run.cohort.model_copy(update={"repaired": None})  # which depends on the method's modalities
        alike = [run.dataset.name, run.protocol.hash, cohort, run.targets, run.dev]
        groups.setdefault(str(alike), []).append(RunFacts(record))
    groups = {key: _counted_together(some) for key, some in groups.items()}
    return render_text(
        "methods.tex",
        groups=list(groups.values()),
        variants=_variants,
        described=_described,
        labels=_labels,
        names={run: name for some in groups.values() for run, name in row_names(some).items()},
        versions=sorted({record.manifest.embench_version for record in records}),
        added=describe_added_modalities,
        costs=lambda run: [text for text in run.measured if not text.startswith("processor ")],
        dataset_key=_dataset_key,
        left_out=_left_out,
        paper_of=bibliography.paper_of,
        paper_of_protocol=bibliography.paper_of_protocol,
        predicted=_predicted,
        primary_metric=_primary_metric,
        shown=_shown,
        setting=setting,
        sample=describe_sample,
        averages=_averages,
        bands=_bands,
        features=describe_features,
        machines=lambda some: dict.fromkeys(describe_machine(run) for run in some if not run.outside),
        shared_notes=_shared_notes,
    )


def _counted_together(some: Sequence[RunFacts]) -> list[RunFacts]:
    """Runs with the evaluations that their makers had made when the last of these was scored, which is when the text is
    written; published entries keep their own."""
    own = [run.manifest for run in some if run.manifest.entry is None]
    last = max(own, key=lambda run: run.most_of("tried"), default=None)
    counts = {} if last is None else {name: getattr(last, name) for name in ("tried", "test_looks", "ledger")}
    return [
        run if run.manifest.entry else RunFacts(replace(run.record, run={**run.record.run, **counts})) for run in some
    ]


def _variants(some: Sequence[RunFacts]) -> list[list[RunFacts]]:
    """Runs of the same parts, which differ in settings only, together."""
    found: dict[str, list[RunFacts]] = {}
    for run in some:
        key = [run.manifest.id] if run.outside else [run.row_name, run.manifest.method, run.manifest.given]
        found.setdefault(str(key), []).append(run)
    return list(found.values())


def _described(variant: Sequence[RunFacts], names: Mapping[str, str]) -> list[str]:
    """Sentences on a method; of several settings of it what they share, then the others under the name of each."""
    texts = [_sentences(run) for run in variant]
    shared = [text for text in texts[0] if all(text in each for each in texts)]
    if len(variant) == 1:
        return shared
    own = [
        rf"\emph{{{escape(setting(run, names))}}}: {' '.join(text for text in each if text not in shared)}".rstrip(": ")
        for run, each in zip(variant, texts, strict=True)
    ]
    return [*shared, f"It was run in {number_in_words(len(variant))} variants, which differ as follows.", *own]


def setting(run: RunFacts, names: Mapping[str, str]) -> str:
    """What tells a run from others of the same parts."""
    return names[run.manifest.id].removeprefix(run.row_name).lstrip(", ") or run.row_name


def _shared_notes(variant: Sequence[RunFacts]) -> list[str]:
    """The notes that all results of these runs have."""
    notes = [[note for form in run.forms.values() for note in form.notes] for run in variant]
    return [note for note in dict.fromkeys(notes[0]) if all(note in each for each in notes)]


def _sentences(run: RunFacts) -> list[str]:
    """Sentences on the parts of a method, its sources, settings and pretraining."""
    recipe = run.manifest.recipe
    made_here = all(name.startswith("object:") for name in run.manifest.method.encoders.values())
    texts = [] if made_here else [f"Settings not named here are those of embench's recipe {code(recipe.preset)}."]
    texts += [*describe_parts(run), *_sources(run)]
    if recipe.settings:
        texts.append(f"Changed settings: {join_with_and([code(each) for each in recipe.settings])}.")
    if recipe.assumed:
        texts.append(f"Assumed (left open by the paper): {join_with_and([code(each) for each in recipe.assumed])}.")
    return [*texts, *_pretraining(run)]


def _labels(run: RunFacts) -> list[str]:
    """Sentences on what the labels are, and how many units have each class."""
    sentences = []
    for target in run.targets:
        about = Subject.of(run.record.run, target.name)
        words = [code(part) if k % 2 else escape(part) for k, part in enumerate(about.label.split("`"))]
        text = f"The label of {escape(in_words(target.name))} was {''.join(words)}"
        labels = run.tested_labels(target)
        if labels is not None and about.higher:
            high = int((labels == 1).sum())
            text += (
                f": {high:,} labelled units of {escape(about.higher)}, {len(labels) - high:,} of {escape(about.lower)}"
            )
        sentences.append(f"{text}.")
    return sentences


def _predicted(run: RunFacts) -> list[str]:
    """Each target with its labels and units."""
    rules = {rule.name: rule for rule in run.manifest.card.label_rules}
    units, target, method = (run.record.predictions[name] for name in ("unit", "target", "method"))
    texts = []
    for head in run.answers.values():
        ids = np.unique(units[(method == MODEL) & (target == head.target)])
        length = unit_length(ids)
        what = "whole recordings" if np.isnan(length) else rf"segments of {length:g}~s"
        how_many = f"; {len(ids):,} {what}" if len(ids) else ""  # entries whose labels are not public hold no units
        kind = _kind(rules[head.target]) if head.target in rules else ""
        texts.append(f"{escape(in_words(head.target))} ({kind}{how_many})")
    return texts


def _kind(about: RuleOfTargetPart) -> str:
    rule, parts = about.rule, [KINDS[about.kind].words_of_one.format(n=number_in_words(about.n))]
    if rule.centred:
        parts.append("minus the subject's mean")
    if rule.cut == "training_mean":
        parts.append("cut at the mean of the training labels")
    elif rule.cut is not None:
        parts.append(f"cut at {rule.cut:g}, ties {rule.ties}")
    if rule.dead_band:
        low, high = rule.dead_band
        parts.append(f"no label from {low:g} to {high:g}")
    if rule.lag_s:
        when = "after" if rule.lag_s > 0 else "before"
        parts.append(rf"labels read {abs(rule.lag_s):g}~s {when} the signals")
    return ", ".join(parts)


def _bands(some: Sequence[RunFacts]) -> str:
    """The passband of each modality after filtering and resampling; empty where the dataset's card is not here."""
    run = some[0]
    card, rules = run.folder_card or run.card, run.rules
    if card is None or rules is None or rules.preprocess not in RULES:
        return ""
    names = [name for each in some for m in each.manifest.method.modalities for name in names_in(m)]
    bands = []
    for name in dict.fromkeys(names):
        if about := card.modalities.get(name):
            high, low = band_after(name, (about.rate, rules.rate_hz), about.applied, rules.preprocess)
            bands.append(rf"{signals_in_words([name])} {high:g} to {low:g}~Hz")
    return f"; passbands: {', '.join(bands)}" if bands else ""


def _averages(some: Sequence[RunFacts]) -> bool:
    """True if a network reads windows, of which a unit may hold several."""
    recipes = [recipe for run in some for recipe in run.parts.values() if method_kind(run.manifest.method) == "network"]
    return any((recipe.get("view") or {}).get("kind") == "window" for recipe in recipes)


def _left_out(run: RunFacts) -> str:
    """A sentence on how many subjects were excluded for each reason."""
    counts = Counter(row["reason"] for row in run.manifest.cohort.left_out)
    if not counts:
        return ""
    who = join_with_and([f"{counted(number, 'subject')} ({escape(reason)})" for reason, number in counts.items()])
    return f"{who[0].upper()}{who[1:]} {'was' if counts.total() == 1 else 'were'} excluded."


def _primary_metric(run: RunFacts, metric: str) -> str:
    """Sentences on a primary metric: how its interval is made, and what it measures."""
    facts = metric_facts(metric)
    meaning = re.sub(r"(?<=\d) (?=s\b)", "~", escape(facts.about.partition(". ")[0].removesuffix(".")))
    own = cite(bibliography.paper_of("metric", metric))
    if metric in WITHIN_SUBJECT_SCORES:
        return rf"{escape(facts.title)}{own}, with a 95~\% $t$ interval over groups of subjects. {meaning}."
    intervals = f"{_BOOTSTRAP if run.bootstrapped else _JACKKNIFE}{cite(bibliography.intervals_paper(run))}"
    if metric in CONDITIONED_NEEDS:
        return f"{escape(facts.title)}, {intervals}. {meaning}."
    average = "computed for each fold and seed and averaged over seeds, then over folds"
    return f"{escape(facts.title)}{own}, {average}, {intervals}."


def _shown(some: Sequence[RunFacts]) -> list[str]:
    """The confound-only models beside methods whose scores are adjusted for confounds."""
    return sorted({name for run in some for head in run.answers.values() if head.adds for name in run.shown(head)})


def _sources(run: RunFacts) -> list[str]:
    """Sentences that attribute parts of the method: a paper describes a part, not the combination made here."""
    parts_by_paper: dict[str, list[str]] = {}
    for kind, name in run.plugins:
        if paper := bibliography.paper_of(kind, name):
            parts_by_paper.setdefault(paper, []).append(code(bare_name(name)))
    sentences = []
    for paper, parts in parts_by_paper.items():
        distinct = list(dict.fromkeys(parts))
        follows = "follows" if len(distinct) == 1 else "follow"
        sentences.append(f"{join_with_and(distinct)} {follows}{cite(paper)}.")
    return sentences


def _pretraining(run: RunFacts) -> list[str]:
    """Sentences on the data that pretraining saw."""
    about = run.manifest
    named = [source.get("dataset") for source in about.pretraining]
    sources = [f"{escape(bare_name(str(name)))}{cite(_dataset_key(name)) if name else ''}" for name in named]
    sentences = [f"Pretraining used {join_with_and(sources)}."] if sources else []
    own = (about.trained_on or about.dataset).name
    if any(_in_each_fold(text, own) for text in about.method.pretrainers):
        sentences.append("It was pretrained separately in each fold, on the training subjects of that fold.")
    sentences += [f"Weights of {escape(words)}." for words in run.weights]
    if about.pretrain_overlap != "none":
        sentences.append(f"Overlap of pretraining with the test subjects: {run.overlap}.")
    return sentences


def _in_each_fold(pretrainer: str, own: str) -> bool:
    """True if a pretrainer sees training subjects of a run's own dataset: it names no source, or that among several."""
    sources = pretrainer.rpartition(":")[2].split("+") if ":" in pretrainer else []
    return not sources or (len(sources) > 1 and any(source in (own, own.split("/", 1)[-1]) for source in sources))


def _dataset_key(name: str) -> str | None:
    paper = bibliography.dataset_paper(name)
    return paper.key if paper else None
