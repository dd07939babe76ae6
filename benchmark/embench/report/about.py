"""Description of the run: marks that a reader must see first, its cost, its audit, and its settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from embench.interfaces.metric import Undefined
from embench.leaderboard.rows import describe_differences
from embench.records import audit as audits
from embench.records.scores import Score
from embench.records.wording import (
    bare_name,
    counted,
    format_interval,
    format_score,
    format_share,
    format_value,
)
from embench.report.facts import METHOD_UNKNOWN, RunFacts, rule_in_words
from embench.report.page import as_sentence, fact_list, html_table, join_parts, paragraph, render_macro, with_reasons
from embench.statistics.answers import TargetAnswers

OVERLAPS = {
    "unlabelled_target": "it saw signals of the test subjects",
    "labelled_target": "it saw labels of the test subjects",
    "unknown": "the subjects that it saw are unknown",
}
"""Pretraining that keeps a row from being ranked."""


def notices(run: RunFacts) -> list[tuple[bool, str, str]]:
    """(whether it is bad, title, text), for the top of the page."""
    about, outside = run.manifest, run.outside
    recipe, protocol = about.recipe, about.protocol
    leaks = "; ".join([f"under {protocol.name}, training sees test data", *protocol.gives_up.values()])
    overlap = OVERLAPS.get(about.pretrain_overlap, "")
    unknown = [f"{target}: {form.problem}" for target, form in run.forms.items() if form.problem]
    audit = run.audit or run.audited
    findings = audit["findings"] if isinstance(audit, Mapping) else []
    severe = [found["what"] for found in findings if found["severity"] == "severe"]
    differences = "" if outside else ", ".join(describe_differences(about))
    trial = f"{recipe.preset} is for trials and never enters a leaderboard"
    assumed = f"settings that the paper leaves open: {', '.join(recipe.assumed)}"
    marks = [
        (run.synthetic, True, "Synthetic data", "these numbers say nothing about real subjects"),
        (protocol.leaks, True, "Leaks", leaks),
        (about.dev, False, "Development", "validation subjects were scored; the test labels stayed closed"),
        (overlap and not outside, True, "Pretraining", overlap),
        *((True, False, "Primary metric", text) for text in unknown),
        *((True, True, "Audit", what) for what in severe),
        (outside, False, "Submission", "the predictions came from a file; how they were made is unknown"),
        (differences, False, "Differences from the plain method", differences),
        (not recipe.on_board and not outside, False, "Recipe", trial),
        (recipe.assumed, False, "Assumed", assumed),
    ]
    return [(bad, title, text) for holds, bad, title, text in marks if holds]


def page_header(run: RunFacts) -> Markup:
    """The top of the page: dataset, protocol, subjects, seeds, remarks that affect how to read it, and primary
    metrics."""
    about = run.manifest
    seeds = "one seed" if len(about.seeds) == 1 else f"{len(about.seeds)} seeds"
    line = f"{bare_name(about.dataset.name)}, {about.protocol.name}, {about.cohort.size} subjects, {seeds}"
    line += f", {len(run.excluded)} excluded" if run.excluded else ""
    listed = [(bad, called, as_sentence(text)) for bad, called, text in notices(run)]
    return render_macro("header", run.name, line, about.id, listed, [*map(_card, run.answers.values())])


def _card(found: TargetAnswers) -> dict[str, str]:
    word = found.problem.answer if found.problem else "not estimable"
    return {
        "target": found.target,
        "metric": found.title,
        "value": format_score(found.score, ".2f", missing="\N{EM DASH}", interval=False),
        "interval": format_interval(found.score, "{} to {}", ".2f") if found.score else word,
        "answers": "; ".join(f"{each.text.removesuffix('?')}: {each.answer}" for each in found.answers),
    }


def cost_section(run: RunFacts) -> Markup:
    """The section on time, parameters, operations, memory and energy."""
    note = (
        "Time: the sum over all stages. Parameters and FLOPs: the method of one fold, for the prediction of one row. "
        "Memory: the highest use of a stage. Energy: that of the GPU."
    )
    return fact_list(list(run.costs.items())) + paragraph(note)


def audit_section(run: RunFacts) -> Markup | Undefined:
    """The section on the audit: its findings, and the checks that were skipped."""
    content = run.audit or run.audited
    if content is None:
        return Undefined("this run has not been audited; run `embench audit RUN`")
    if isinstance(content, Undefined):
        return content
    found = [
        (f["severity"], f.get("check", ""), f["what"], _recorded(_short(f.get("evidence", ""))), f.get("todo", ""))
        for f in content["findings"]
    ]
    found_of = {severity: n for severity, n in content["counts"].items() if n}
    status = audits.format_counts(found_of).capitalize() or "Nothing found"
    summary = paragraph(f"{status}.{'' if run.audit else _audited_now(content)}")
    listed = (
        html_table(("severity", "check", "finding", "evidence", "what to do"), found, "Findings") if found else Markup()
    )
    silent = content.get("not_asked") or {}
    skipped = with_reasons({name: ", ".join(why.splitlines()) for name, why in silent.items()})
    return join_parts([summary, listed, paragraph(f"Skipped checks: {skipped}.") if skipped else Markup()])


def _audited_now(content: Mapping[str, Any]) -> str:
    """The note on an audit that a report made by itself."""
    return (
        f" Audited for this report by {counted(len(content['measured']), 'check')} that need the record alone. "
        "`embench audit RUN` makes all checks, with the data, and keeps what it found with the run."
    )


def facts_section(run: RunFacts) -> Markup:
    """The section on how the run came about: data, protocol, cohort, method, versions."""
    about = run.manifest
    subjects = "" if isinstance(about.cohort.subjects, int) else f": {', '.join(about.cohort.subjects)}"
    rows = [
        *([("command", f"`{run.command}`")] if run.command else []),
        ("dataset", f"{about.dataset.name}, data {about.dataset.fingerprint}"),
        ("reader verified on real data", _recorded(about.dataset.verified_on_real)),
        ("protocol", f"{about.protocol.name}, version {about.protocol.version}, {about.protocol.hash[:12]}"),
        ("protocol deviations", "; ".join(about.protocol.gives_up.values()) or "none"),
        ("subjects", f"{about.cohort.size}{subjects}"),
        ("units that rest on bridged or missing samples", format_share(about.cohort.repaired, "not recorded")),
        ("excluded", "; ".join(run.excluded) or "none"),
        (run.without_prediction, _recorded(run.scores.get("absent", "not recorded"))),
        ("encoders", ", ".join(f"{m}: {e}" for m, e in about.method.encoders.items()) or "unknown"),
        ("fusion", METHOD_UNKNOWN if run.outside else about.method.fusion or "none"),
        ("pretraining", METHOD_UNKNOWN if run.outside else ", ".join(about.method.pretrainers) or "none"),
        ("overlap of pretraining with test subjects", run.overlap),
        *([("weights", "; ".join(run.weights))] if run.weights else []),
        ("what the method saw of a test subject", run.access),
        *([] if run.outside else _recipe(run)),
        ("seeds", ", ".join(map(str, about.seeds))),
        ("submission", _recorded(run.record.run.get("outside", "no"))),
        ("evaluations on the test labels, including this one", _recorded(about.test_looks)),
        ("methods scored on these test subjects", run.opened or "not recorded"),
        ("scorings of validation subjects", _recorded(about.dev_looks)),
        *([("plugins that are not bundled", _recorded(about.conformance))] if about.conformance else []),
        *([("features dropped", _dropped(about.dropped))] if about.dropped else []),
        ("embench", about.embench_version),
        ("versions", _recorded(about.versions)),
        ("device", _recorded(about.device)),
        ("signals available for this report", f"no: {run.store.reason}" if isinstance(run.store, Undefined) else "yes"),
    ]  # fmt: skip
    rules = [
        (rule.name, rule.kind, rule.label, rule_in_words(rule.rule) or "as it is") for rule in about.card.label_rules
    ]
    return (
        fact_list(rows)
        + _folds(run)
        + html_table(("target", "kind", "made from", "label rule"), rules, "Label rules of the dataset")
    )


def _recipe(run: RunFacts) -> list[tuple[str, str]]:
    recipe = run.manifest.recipe
    return [
        ("recipe", recipe.preset),
        ("assumed settings that the paper leaves open", ", ".join(recipe.assumed) or "nothing"),
        ("changed settings", ", ".join(run.manifest.changed_settings) or "none"),
    ]


def _folds(run: RunFacts) -> Markup:
    """The numbers of subjects in folds; folds of the same numbers share a row."""
    subjects: dict[tuple[str, str], dict[str, set[str]]] = {}
    for row in run.record.folds:
        if row["fold"] != "":
            roles = subjects.setdefault((row["seed"], row["fold"]), {"train": set(), "val": set(), "test": set()})
            roles.setdefault(row["role"], set()).add(row["subject"])
    sizes = Counter(tuple(len(roles[name]) for name in ("train", "val", "test")) for roles in subjects.values())
    head = ("folds", "training subjects", "validation subjects", "test subjects")
    rows = [(str(n), *size) for size, n in sorted(sizes.items())]
    return html_table(head, rows, f"Subjects in the folds of {counted(len(run.manifest.seeds), 'seed')}")


def _dropped(dropped: Mapping[str, Mapping[str, str]]) -> str:
    return "; ".join(f"{m}: {name} ({why})" for m, features in dropped.items() for name, why in features.items())


def _short(evidence: Any) -> Any:
    """Evidence with each score as its mean and interval."""
    if isinstance(evidence, Mapping) and "mean" in evidence:
        return format_score(Score.model_validate(evidence))
    if isinstance(evidence, Mapping):
        return {name: _short(value) for name, value in evidence.items()}
    return [_short(value) for value in evidence] if isinstance(evidence, list) else evidence


def _recorded(value: Any) -> str:
    return format_value(value, missing="not recorded")
