"""The REFORMS checklist of a run: 32 items in eight sections, filled from its record, card, protocol and audit.

Kapoor et al., REFORMS: Consensus-based Recommendations for Machine-learning-based Science, Science Advances 10(18),
2024, https://doi.org/10.1126/sciadv.adk3452, Table 1. `templates/reforms.md` names the items in a few words of our own;
one that only the authors of a paper can answer says what to write.
"""

from __future__ import annotations

from pathlib import Path

from embench.protocols import MADE_BY_METHOD
from embench.records.record import Record
from embench.records.wording import bare_name, describe_added_modalities, format_control, format_score, in_words
from embench.report.facts import RunFacts
from embench.report.text import NOT_RECORDED, render_text
from embench.statistics.metrics import metric_facts
from embench.vocabulary import label


def reforms_checklist(folder: Path, record: Record) -> str:
    """The checklist as Markdown. Raises DataError where the run's audit is damaged."""
    run = RunFacts(record, Path(folder))
    about, rules = run.manifest, run.label_rules
    ranked = {head.metric for head in run.answers.values()}
    others = {metric for head in run.answers.values() for metric in run.scores.of(head.target)} - ranked
    findings = run.audit["findings"] if run.audit else []
    return render_text(
        "reforms.md",
        run=run,
        codes=[f"{part}: {recipe['code']}" for part, recipe in run.parts.items() if "code" in recipe],
        labels=[f"{target}: {rule}" for target, rule in rules.items()],
        outcomes=[f"{in_words(h.target)} ({rules.get(h.target, NOT_RECORDED)})" for h in run.answers.values()],
        frequencies=_frequencies(run),
        added=describe_added_modalities(record.run),
        dropped=sum(map(len, about.dropped.values())),
        encoders=[f"{modality}: {bare_name(name)}" for modality, name in about.method.encoders.items()],
        selection=_selection(run),
        asked=any(head.adds for head in run.answers.values()),
        baselines=_baselines(run),
        answers=[
            f"{in_words(head.target)}, {answer.text.removesuffix('?')}: {answer.answer} ({answer.evidence})"
            for head in run.answers.values()
            for answer in head.answers
        ],
        gains=[sentence for head in run.answers.values() for sentence in head.personal],
        findings=[f"{found['severity']}: {found['what']}" for found in findings if found["severity"] != "note"],
        headlines=[f"{head.title} (of {in_words(head.target)})" for head in run.answers.values()],
        others=[metric_facts(metric).title for metric in sorted(others)],
        scored=[
            f"{head.title} of {in_words(head.target)} {format_score(head.score)}"
            if head.score
            else f"{in_words(head.target)}: {head.problem.reason.removesuffix('.') if head.problem else head.why}"
            for head in run.answers.values()
        ],
    )


def _frequencies(run: RunFacts) -> str:
    if run.record.labels is None:
        return "The labels are not public, so the record does not contain their frequencies."
    found = run.frequencies()
    return f"Frequencies: {'; '.join(found)}." if found else "No unit has a label."


def _selection(run: RunFacts) -> list[str]:
    """Sentences on how the reported model was chosen."""
    texts = []
    if run.rules is not None and run.rules.validation.fraction:
        texts.append(f"{100 * run.rules.validation.fraction:g} % of the training subjects are held out for validation.")
    chosen = [f"{part}: {in_words(part_['selection'])}" for part, part_ in run.parts.items() if "selection" in part_]
    if chosen:
        texts.append(f"How the epoch of a network is chosen: {', '.join(chosen)}.")
    return [*texts, run.opened] if run.opened else texts


def _baselines(run: RunFacts) -> list[str]:
    """Each confound-only model with its score, and where they were compared in pairs, whether the method is better."""
    texts = []
    for head in run.answers.values():
        for control in run.scores.controls(head.target) if not head.compared else ():
            if not control.reason and control.name not in MADE_BY_METHOD:
                score = format_control(control.scores.get(head.metric), missing="undefined")
                texts.append(f"{label(control.name)} {score}")
        for control in head.compared:
            score = format_control(control.scores.get(head.metric), missing="undefined")
            better = "not significantly worse" if control.name in head.failed else "worse than the method"
            texts.append(f"{label(control.name)} {score} ({better})")
    return texts
