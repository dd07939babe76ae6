"""The REFORMS checklist of a run: 32 items in eight sections, filled from its record, card, protocol and audit.

Kapoor et al., REFORMS: Consensus-based Recommendations for Machine-learning-based Science, Science Advances 10(18),
2024, https://doi.org/10.1126/sciadv.adk3452, Table 1; the items are named here in a few words of our own. An item that
only the authors of a paper can answer says what to write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embench.planning.request import command_of
from embench.records import cost
from embench.records.manifest import RuleOfTargetPart
from embench.records.predictions import MODEL
from embench.records.record import Record
from embench.records.wording import (
    bare_name,
    counted,
    describe_added_modalities,
    format_control,
    format_score,
    format_value,
    in_words,
    join_with_and,
    method_name,
)
from embench.report.about import ACCESS
from embench.report.forms.facts import TO_WRITE, RunFacts
from embench.report.latex.bibliography import dataset_title
from embench.report.latex.methods import NORMALISED, SPLIT
from embench.statistics.metrics import metric_facts

_NEVER_KNOWN = "not recorded"


def reforms_checklist(folder: Path, record: Record) -> str:
    """The checklist as Markdown. Raises DataError where the run's audit is damaged."""
    facts = RunFacts(Path(folder), record)
    about = record.manifest
    name = method_name(record.run) or about.id
    source = "Kapoor et al., Science Advances 10(18), 2024, https://doi.org/10.1126/sciadv.adk3452"
    lines = [
        f"# REFORMS checklist: {name}, {dataset_title(about.dataset.name)}",
        "",
        f"Filled by embench from the record `{about.id}`. The items are those of {source}.",
    ]
    if about.dataset.synthetic is not None:
        lines += ["", "**The data are synthetic: nothing here says anything about real subjects.**"]
    for number, (title, items) in enumerate(_SECTIONS.items(), 1):
        lines += ["", f"## {number}. {title}", ""]
        for letter, (what, answer) in zip("abcdefg", items, strict=False):
            said = answer if isinstance(answer, str) else answer(facts)
            lines.append(f"- **{number}{letter}. {what}.** {said}")
    return "\n".join(lines) + "\n"


def _population(of: RunFacts) -> str:
    return (
        f"{TO_WRITE}the population that the claim is about. The evidence is from "
        f"{counted(of.about.cohort.size, 'subject')} of {dataset_title(of.about.dataset.name)}."
    )


def _dataset(of: RunFacts) -> str:
    about, card = of.about.dataset, of.card
    parts = [f"{dataset_title(about.name)}, fingerprint of the files `{about.fingerprint}`."]
    if card is not None:
        doi = f" https://doi.org/{card.doi}" if card.doi else ""
        parts = [f"{card.citation}.{doi}. Licence: {card.licence}. Fingerprint of the files: `{about.fingerprint}`."]
    if of.run["config"].get("train_dataset"):
        parts.append(f"Trained on {dataset_title(of.run['config']['train_dataset'])}.")
    return " ".join(parts)


def _code(of: RunFacts) -> str:
    versions = format_value(of.run.get("versions") or {}, missing=_NEVER_KNOWN)
    parts: Mapping[str, Any] = of.run["config"].get("parts", {})
    named = "; ".join(f"{part}: {about['code']}" for part, about in parts.items() if "code" in about)
    text = f"embench {of.run['embench_version']} with {versions}."
    if of.outside:
        return f"{text} {TO_WRITE}a link to the code that made the predictions, and its version."
    return f"{text} Code of the method's parts: {named or _NEVER_KNOWN}."


def _machine(of: RunFacts) -> str:
    if of.outside:
        return f"{TO_WRITE}the machine on which the predictions were made."
    costs = cost.format_cost(of.run["cost"])
    measured = ", ".join(f"{name} {text}" for name, text in costs.items() if text != cost.NOT_MEASURED)
    return f"Device: {format_value(of.run.get('device'), missing=_NEVER_KNOWN)}. Cost: {measured or 'not measured'}."


def _script(of: RunFacts) -> str:
    request = of.run["config"].get("request")
    if request is None:
        return f"{TO_WRITE}the script that makes the predictions; `embench score` then gives these scores."
    command = command_of({**request, "recipe": of.about.recipe.preset})
    return f"`{command}`; or, from the record, `embench run --from {of.run['id']}`."


def _source(of: RunFacts) -> str:
    if of.card is None:
        return f"{TO_WRITE}who recorded the data, when, and how they were annotated."
    signals = ", ".join(of.about.method.modalities) or ", ".join(of.card.default_modalities)
    rules = "; ".join(f"{rule.name}: {_rule(rule)}" for rule in of.about.card.label_rules)
    return (
        f"{of.card.title}: {of.card.obtain}. Signals used: {signals}. Labels: {rules or _NEVER_KNOWN}. "
        f"{TO_WRITE}when and where the data were recorded, as {of.card.citation} describes it."
    )


def _rule(about: RuleOfTargetPart) -> str:
    rule = {k: v for k, v in about.rule.content().items() if v not in (None, [], "", 0.0)}
    return f"{about.kind} from `{about.label}` ({format_value(rule, 'g') or 'as it is'})"


def _outcome(of: RunFacts) -> str:
    rules = {rule.name: _rule(rule) for rule in of.about.card.label_rules}
    named = [f"{in_words(t)} ({rules.get(t, _NEVER_KNOWN)})" for t in of.record.scores.headlines]
    return f"{join_with_and(named)}. {_frequencies(of)}"


def _size(of: RunFacts) -> str:
    about = of.about
    left_out = f", {counted(len(about.cohort.left_out), 'subject')} excluded" if about.cohort.left_out else ""
    return f"{counted(about.cohort.size, 'subject').capitalize()} scored{left_out}. {_frequencies(of)}"


def _frequencies(of: RunFacts) -> str:
    """Units of each class, or the mean of a value, for each target."""
    if of.record.labels is None:
        return "The labels are not public, so the record does not hold their frequencies."
    made = []
    for target in of.view.targets:
        joined = of.view.joined_units(target).get(MODEL)
        seeds = {seed for seed, _, _ in joined} if joined else set()
        found = [units.y_true for seed, _, units in joined if seed == min(seeds)] if joined else []
        if not found:
            continue
        labels = np.concatenate(found)
        shown = f"mean {labels.mean():.3f}, SD {labels.std():.3f}"
        if target.traits.has_classes:
            names = of.view.classes(target)
            counts = [(name, int((labels == k).sum())) for k, name in enumerate(names)]
            shown = ", ".join(f"{name} {n} ({100 * n / len(labels):.1f} %)" for name, n in counts)
        made.append(f"{in_words(target.name)}: {len(labels)} labelled units, {shown}")
    return f"Frequencies: {'; '.join(made)}." if made else "No unit has a label."


def _missing(of: RunFacts) -> str:
    absent = format_value(of.record.scores.get("absent"), missing="none recorded")
    return (
        f"Units without any of the modalities: {absent}. {TO_WRITE}the share of missing data by class; `embench data "
        "verify` and `embench data labels` help to count."
    )


def _excluded(of: RunFacts) -> str:
    rows = of.about.cohort.left_out
    listed = [f"{r['subject']} ({r['reason']})" if isinstance(r, Mapping) else str(r) for r in rows]
    whole = f"Excluded subjects: {'; '.join(listed)}." if listed else "No subject is excluded."
    return f"{whole} Units without a label under the label rule are not scored."


def _corrupt(of: RunFacts) -> str:
    read = format_value(of.about.dataset.verified_on_real, missing=_NEVER_KNOWN)
    return (
        "`embench data verify` lists files and samples that are missing, damaged or impossible; gaps in a signal are "
        f"filled when it is prepared, and samples in them are masked. The reader on real data: {read}."
    )


def _transformed(of: RunFacts) -> str:
    if of.rules is None:
        return f"{TO_WRITE}filters, rates and normalisation; the record does not hold the protocol's rules."
    if of.outside:
        return f"{TO_WRITE}all steps from the raw data to the predictions, which other code made."
    dropped = sum(len(features) for features in of.about.dropped.values())
    added = "".join(f" {sentence}" for sentence in describe_added_modalities(of.run))
    gone = f" {counted(dropped, 'feature').capitalize()} dropped in some fold before fitting." if dropped else ""
    return (
        f"Signals were filtered by the rules `{of.rules.preprocess}`, resampled to {of.rules.rate_hz:g} Hz, and "
        f"{NORMALISED[of.rules.normalise]}.{added}{gone}"
    )


def _models(of: RunFacts) -> str:
    if of.outside:
        return f"{method_name(of.run)}. {TO_WRITE}the model that made the predictions."
    method = of.about.method
    encoders = "; ".join(f"{m}: {bare_name(e)}" for m, e in method.encoders.items())
    before = f", pretraining {', '.join(method.pretrainers)}" if method.pretrainers else ""
    fusion = bare_name(method.fusion or "none")
    parameters = cost.format_cost(of.run["cost"])["parameters"]
    return f"{method_name(of.run)}: encoders {encoders}{before}, fusion {fusion}; parameters: {parameters}."


def _evaluation(of: RunFacts) -> str:
    seeds = f"seed{'s' * (len(of.about.seeds) > 1)} {join_with_and([str(seed) for seed in of.about.seeds])}"
    name = f"Protocol `{of.about.protocol.name}`"
    if of.rules is None:
        return f"{name}, {seeds}."
    folds = "one fold for each" if of.rules.split.folds == "each" else counted(of.rules.split.folds, "fold")
    how = "in their order" if of.rules.split.deal else "at random"
    leaks = " **This split leaks.**" if of.about.protocol.leaks else ""
    return f"{name}: {SPLIT[of.rules.split.by].format(how=how)} ({folds}; {seeds}).{leaks}"


def _selection(of: RunFacts) -> str:
    looks, tried = _greatest(of.about.test_looks), _greatest(of.about.tried)
    opened = "once" if looks == 1 else f"{looks} times"
    known = f"The test labels had been opened {opened} before, by {counted(tried, 'method')}." if looks else ""
    if of.outside:
        return f"{TO_WRITE}how the reported model was chosen, and on which subjects. {known}".strip()
    parts: Mapping[str, Any] = of.run["config"].get("parts", {})
    chosen = [f"{part}: {in_words(about['selection'])}" for part, about in parts.items() if "selection" in about]
    epochs = f"How the epoch of a network is chosen: {', '.join(chosen)}." if chosen else ""
    held = ""
    if of.rules is not None and of.rules.validation.fraction:
        held = f"{100 * of.rules.validation.fraction:g} % of the training subjects are held out for validation."
    return " ".join(filter(None, [held, epochs, known])) or f"{TO_WRITE}how the reported model was chosen."


def _greatest(count: Any) -> int:
    values = [n for n in (count.values() if isinstance(count, Mapping) else [count]) if n is not None]
    return max(values, default=0)


def _tuning(of: RunFacts) -> str:
    if of.outside:
        return f"{TO_WRITE}which hyperparameters were searched, how, and on which subjects."
    changed = ", ".join(f"`{s}`" for s in of.about.recipe.settings) or "none"
    assumed = ", ".join(of.about.recipe.assumed) or "nothing"
    return (
        f"Hyperparameters are those of the recipe `{of.about.recipe.preset}`, listed in run.yaml under `config: "
        f"parts`; embench searched none. Changed settings: {changed}. Settings that the method's paper leaves open: "
        f"{assumed}. {TO_WRITE}any search outside this record."
    )


def _baselines(of: RunFacts) -> str:
    made = []
    for target, metric in of.record.scores.headlines.items():
        for control in of.record.scores.controls(target):
            if control.gap:
                score = format_control(control.scores.get(metric), missing="undefined")
                verdict = "cleared" if control.gap.clears else "not cleared"
                made.append(f"{in_words(control.name)} {score} ({verdict})")
    listed = f"Controls without any signal: {'; '.join(made)}." if made else "No control applies."
    return f"{listed} {TO_WRITE}the published methods that it is compared with."


def _isolation(of: RunFacts) -> str:
    if of.outside:
        return f"{TO_WRITE}on which subjects everything was fitted. {_audited(of)}"
    access = ACCESS.get(of.about.target_access, of.about.target_access)
    overlap = in_words(of.about.pretrain_overlap)
    return (
        "Everything that is fitted is fitted on the training side of its fold, and test labels are opened once, after "
        f"the predictions. What the method saw of a test subject: {access}. Overlap of pretraining with test "
        f"subjects: {overlap}. {_audited(of)}"
    )


def _audited(of: RunFacts) -> str:
    if of.audit is None:
        return "The run has not been audited; `embench audit RUN` looks for leaks."
    found = [f"{f['severity']}: {f['what']}" for f in of.audit["findings"] if f["severity"] != "note"]
    return f"Findings of the audit: {'; '.join(found)}." if found else "The audit found nothing."


def _dependencies(of: RunFacts) -> str:
    if of.rules is None:
        return f"{TO_WRITE}how subjects, sessions and recordings were kept apart."
    kept = {
        "group": "Subjects, with those recorded together, are in training or in test, never in both.",
        "group+stimulus": "Neither subjects nor stimuli of the test are in training.",
        "stimulus": "Stimuli of the test are not in training, but its subjects are.",
        "recording": "Recordings of the test are not in training, but its subjects are.",
        "segment": "Segments of one recording are on both sides of the split.",
    }
    copies = "`embench audit` also looks for copied recordings."
    return f"{kept[of.rules.split.by]} {copies}"


def _inputs(of: RunFacts) -> str:
    fixed = "The tasks came in the same order for all subjects, so the clock can predict the label. "
    design = fixed if of.about.card.fixed_order else ""
    inputs = f"{', '.join(of.about.method.modalities)}; a method gets signals and a mask, no index, time or identity"
    if of.outside:
        inputs = f"those of other code. {TO_WRITE}that none of them tells the subject, the stimulus or the time"
    return (
        f"Inputs are {inputs}. {design}Controls that know only the clock, the stimulus, the length or the movement "
        "are scored beside the method (5f)."
    )


def _metrics(of: RunFacts) -> str:
    headlines = of.record.scores.headlines
    heads = [f"{metric_facts(m).title} (of {in_words(t)})" for t, m in headlines.items()]
    others = sorted({m for target in headlines for m in of.record.scores.of(target)} - {*headlines.values()})
    return (
        f"The headline, which the study's design decides: {join_with_and(heads)}. Also computed: "
        f"{', '.join(metric_facts(m).title for m in others)}."
    )


def _uncertainty(of: RunFacts) -> str:
    how = "a bootstrap of subjects" if "replicates" in of.record.scores else "the jackknife over groups of subjects"
    scores = of.record.scores
    made = [
        f"{metric_facts(m).title} of {in_words(t)} {format_score(scores.score(t, m), missing='undefined')}"
        for t, m in scores.headlines.items()
    ]
    return f"{100 * scores.level:.0f} % intervals from {how}: {'; '.join(made)}."


def _external(of: RunFacts) -> str:
    if trained := of.run["config"].get("train_dataset"):
        return f"All test subjects are of another dataset than those trained on ({dataset_title(trained)})."
    return (
        f"All results are of {dataset_title(of.about.dataset.name)}. {TO_WRITE}evidence from other data, such as a "
        "run with `--train-dataset`."
    )


_README = (
    "embench's user guide describes how to get and check the data (`embench data fetch`, `embench data verify`), and "
    f"how to repeat a run from its record. {TO_WRITE}a README of the paper's own repository."
)
_TESTS = (
    "A control is cleared if the interval of the paired difference lies above 0; it allows for subjects who train each "
    "other's models. `embench compare` compares methods subject by subject, with corrected p values. embench's page on "
    "statistics gives the error rates found by simulation."
)

_SECTIONS: dict[str, tuple[tuple[str, str | Callable[[RunFacts], str]], ...]] = {
    "Study goals": (
        ("Population of the claim", _population),
        ("Why this population", TO_WRITE + "the motivation for the population of 1a."),
        ("Why machine learning", TO_WRITE + "why the question needs a learned model, and not a simpler analysis."),
    ),
    "Computational reproducibility": (
        ("Dataset", _dataset),
        ("Code", _code),
        ("Computing infrastructure", _machine),
        ("README with instructions", _README),
        ("Script that reproduces the results", _script),
    ),
    "Data quality": (
        ("Sources of the data and of their annotation", _source),
        (
            "Sampling frame",
            TO_WRITE + "from whom the dataset's subjects were recruited, and how.",
        ),
        ("Why the dataset suits the task", TO_WRITE + "why these signals, tasks and labels can answer the question."),
        ("Outcome variable", _outcome),
        ("Sample size and outcome frequencies", _size),
        ("Missing data", _missing),
        (
            "Is the sample representative",
            TO_WRITE + "how the sampling frame (3b) compares with 1a.",
        ),
    ),
    "Data preprocessing": (
        ("Excluded samples", _excluded),
        ("Impossible or corrupt samples", _corrupt),
        ("Transformations from the raw data to the model", _transformed),
    ),
    "Modelling": (
        ("Models trained", _models),
        ("Why these models", TO_WRITE + "why these types of models were chosen."),
        ("Evaluation", _evaluation),
        ("Selection of the reported model", _selection),
        ("Hyperparameters", _tuning),
        ("Baselines", _baselines),
    ),
    "Data leakage": (
        ("Separation of training and test", _isolation),
        ("Dependencies and duplicates", _dependencies),
        ("Legitimacy of the inputs", _inputs),
    ),
    "Metrics and uncertainty": (
        ("Metrics", _metrics),
        ("Uncertainty", _uncertainty),
        ("Statistical tests", _TESTS),
    ),
    "Generalisability and limitations": (
        ("External validity", _external),
        (
            "Where the findings are not expected to hold",
            TO_WRITE + "populations, devices, tasks and settings for which nothing is shown.",
        ),
    ),
}
