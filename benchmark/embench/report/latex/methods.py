"""The methods section of a paper on some runs, in LaTeX: what was done, as the records and their protocols say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from embench import protocols, registry
from embench.errors import EmbenchError
from embench.interfaces.kinds import KINDS
from embench.records import cost
from embench.records.predictions import MODEL
from embench.records.record import Record
from embench.records.wording import (
    bare_name,
    format_figure,
    format_interval,
    join_with_and,
    method_name,
    metric_name,
    number_in_words,
)
from embench.report.latex import bibliography
from embench.report.latex.tex import cite, code, escape
from embench.statistics.joined import unit_length

_NORMALISE = {
    "none": "were not normalised",
    "baseline": "were normalised with nothing of a person but the recorded rest",
    "subject_unlabelled": "were z-scored for each person over all of that person's recordings, test people's included, "
    "without their labels",
    "recording_unlabelled": "were z-scored for each recording and channel by itself",
}

_SPLIT = {
    "group": "people were dealt out to folds, those recorded together kept together, so that nobody stands in both "
    "training and test",
    "group+stimulus": "people and stimuli were dealt out to folds, so that test people meet stimuli on which nobody "
    "was trained",
    "recording": "recordings were dealt out to folds at random, so that other recordings of a test person were trained "
    "on",
    "segment": "stretches of recordings were dealt out to folds at random, so that other stretches of a test recording "
    "were trained on",
}

_HEADLINE = {
    "auroc_within": "the AUROC inside each test person who has both classes, averaged over seeds, then people, with a "
    r"95~\% $t$ interval over groups of people",
    "ccc": "Lin's concordance of predictions and labels inside each test person, averaged over seeds, then people, "
    r"with a 95~\% $t$ interval over groups of people",
    "auroc_crossed_time": "the share of quadruples of two people and two moments, labelled oppositely by the two, in "
    "which the positive moment has the higher score: chance is .5 for every score that the clock or the person "
    "explains",
}

_BOOTSTRAP = r"with expanded 95~\% percentile intervals of a bootstrap of people within folds"


def methods_section(records: Sequence[Record]) -> str:
    """A paragraph on the data, protocol and scores that several runs share, and one for each run."""
    groups: dict[str, list[Record]] = {}
    for of in records:
        run = of.run
        alike = [
            run["dataset"]["name"],
            run["protocol"]["hash"],
            run["seeds"],
            run["cohort"],
            run["targets"],
            run["dev"],
        ]
        groups.setdefault(str(alike), []).append(of)
    paragraphs = []
    for some in groups.values():
        paragraphs.append(" ".join([*_data(some[0]), *_rules(some[0]), *_scoring(some[0])]))
        paragraphs += [" ".join(_method(of)) for of in some]
    versions = sorted({str(of.run["embench_version"]) for of in records})
    ours = f"All was computed by embench {', '.join(versions)}{cite(bibliography.EMBENCH_KEY)}."
    return "\n\n".join([*paragraphs, ours]) + "\n"


def _data(of: Record) -> list[str]:
    run, name = of.run, of.run["dataset"]["name"]
    short = escape(bare_name(name))
    try:
        title = escape(registry.load("dataset", name).card.title)
        key = bibliography.dataset_paper(name).key
    except EmbenchError:  # of a package that is not installed here
        title, key = short, None
    said = []
    if run["dataset"]["synthetic"] is not None:
        said.append(r"\textbf{These are generated data: no number below says anything about people.}")
    people = run["cohort"]["people"]
    mine = of.predictions["method"] == MODEL
    parts = []
    for target in of.scores["headlines"]:
        ids = np.unique(of.predictions["unit"][mine & (of.predictions["target"] == target)])
        length = unit_length(ids)
        what = "whole recordings" if np.isnan(length) else rf"stretches of {length:g}~s"
        parts.append(f"{escape(target)} ({_kind(run, target)}; {len(ids)} {what} predicted)")
    count = people if isinstance(people, int) else len(people)
    said.append(
        f"The data were {title}{cite(key)}, of which {count} people took part; predicted was {join_with_and(parts)}."
    )
    left_out: dict[str, int] = {}
    for row in run["cohort"]["left_out"]:
        left_out[row["reason"]] = left_out.get(row["reason"], 0) + 1
    if left_out:
        reasons = join_with_and([f"{number} ({escape(reason)})" for reason, number in left_out.items()])
        said.append(f"Left out were {reasons}.")
    return said


def _kind(run: Mapping[str, Any], target: str) -> str:
    about = next(rule for rule in run["card"].get("label_rules", [{"name": target}]) if rule["name"] == target)
    kind, rule = KINDS.get(about.get("kind", "")), about.get("rule", {})
    said = [kind.words_of_one.format(n=number_in_words(about.get("n", 2)))] if kind else []
    if rule.get("cut") == "training_mean":
        said.append("cut at the mean of the training labels")
    elif rule.get("cut") is not None:
        said.append(f"cut at {rule['cut']:g}, ties {rule['ties']}")
    if rule.get("dead_band"):
        low, high = rule["dead_band"]
        said.append(f"none from {low:g} to {high:g}")
    if rule.get("lag_s"):
        said.append(rf"labels read {rule['lag_s']:g}~s later than signals")
    return ", ".join(filter(None, said))


def _rules(of: Record) -> list[str]:
    run, rules = of.run, protocols.recorded_protocol(of.run["protocol"])
    name = run["protocol"]["name"]
    paper = cite(bibliography.paper_of_protocol(name))
    said = [f"The protocol was {code(name)}{paper}."]
    if rules is None:
        return said
    folds = (
        "one fold for each of them" if rules.split.folds == "each" else f"{number_in_words(rules.split.folds)} folds"
    )
    said.append(f"In it, {_SPLIT[rules.split.by]} ({folds}).")
    if run["protocol"]["leaks"]:
        said.append(rf"\textbf{{This split leaks}}: {escape('; '.join(run['protocol'].get('gives_up', {}).values()))}.")
    seeds = run["seeds"]
    plural = "seeds" if len(seeds) > 1 else "seed"
    said.append(
        f"There were {number_in_words(len(seeds))} {plural}, each with a partition and an initialisation of its own."
    )
    if "outside" in run:
        return said
    if rules.validation.fraction or rules.validation.at_least:
        said.append(
            rf"Of the training side, {rules.validation.fraction * 100:g}~\% (at least {rules.validation.at_least}) "
            "were held out for validation."
        )
    said.append(
        rf"Signals were filtered by the rules {code(rules.preprocess)}, brought to {rules.rate_hz:g}~Hz, and "
        f"{_NORMALISE[rules.normalise]}."
    )
    if rules.select == "peak_on_test":
        said.append("As in the paper, the epoch was chosen by the test score.")
    return said


def _scoring(of: Record) -> list[str]:
    said = []
    for metric in dict.fromkeys(of.scores["headlines"].values()):
        paper = cite(bibliography.paper_of("metric", metric))
        drawn = cite(bibliography.INTERVALS_KEY)
        what = _HEADLINE.get(metric)
        if metric not in ("auroc_within", "ccc"):
            averaged = "" if what else ", computed for each fold and seed and averaged over seeds, then folds"
            what = f"{what or escape(metric_name(metric))}{averaged}, {_BOOTSTRAP}{drawn}"
        said.append(f"Methods are compared by {what}{paper}.")
    scored = sorted({name for by_target in of.scores["differences"].values() for name in by_target})
    controls = [code(name) for name in of.scores["differences"]]
    if controls and scored:
        said.append(
            f"Controls that read nothing of the body ({', '.join(controls)}) were fitted on the same training people; "
            "a method clears one when the interval of the paired difference of headlines, widened for people who train "
            "each other's models, lies above 0."
        )
    return said


def _method(of: Record) -> list[str]:
    run = of.run
    if run["method"].get("outside"):
        given = run["outside"]
        said = [rf"The predictions of \emph{{{escape(method_name(run))}}} were made outside embench and scored by it."]
        missing = sum(about["units"] for about in given.get("missing", {}).values())
        if missing:
            said.append(f"{missing} predictions were missing.")
    else:
        papers = [bibliography.paper_of(kind, name) for _, kind, name in bibliography.run_plugins(run)]
        preset = code(run["recipe"]["preset"])
        said = [rf"\emph{{{escape(method_name(run))}}}{cite(*papers)} is the recipe {preset}{_training(of)}."]
        if run["recipe"].get("settings"):
            said.append(f"Changed by hand: {join_with_and([code(s) for s in run['recipe']['settings']])}.")
        if run["recipe"]["assumed"]:
            said.append(
                f"Left open by the paper and assumed: {join_with_and([code(a) for a in run['recipe']['assumed']])}."
            )
        said += _pretraining(run)
    for target, metric in of.scores["headlines"].items():
        score = of.scores["scores"][target].get(metric, {})
        name = escape(metric_name(metric))
        if score.get("mean") is None:
            said.append(f"Its {name} on {escape(target)} is undefined: {escape(score.get('undefined', ''))}.")
            continue
        interval = "" if score["low"] is None else rf" (95~\% interval {format_interval(score, '{} to {}')})"
        failed = [c for c, by in of.scores["differences"].items() if target in by and not by[target]["clears"]]
        cleared = (
            f"it is not shown to be better than {join_with_and([code(c) for c in failed])}"
            if failed
            else "it clears all"
        )
        said.append(
            f"Its {name} on {escape(target)} is {format_figure(score['mean'])}{interval}; of the controls, {cleared}."
        )
    measured = [f"{name} {text}" for name, text in cost.format_cost(run["cost"]).items() if text != cost.NOT_MEASURED]
    if measured:
        said.append(f"Cost: {escape('; '.join(measured))}.")
    looks = [n for n in _values(run.get("test_looks")) if n]
    if looks and not run["dev"]:
        tried = max(_values(run.get("tried")), default=0)
        said.append(f"Openings of the test labels until then: {max(looks)}; methods that looked: {tried}.")
    if run["dev"]:
        said.append("Scored were validation people; the test labels stayed closed.")
    return said


def _training(of: Record) -> str:
    """How what was trained by epochs was trained; the history says which stages those are."""
    recipes: Mapping[str, Any] = of.run["config"].get("parts", {})
    kinds = {"unimodal": "encoder", "fusion": "fusion", "pretrain": "pretrainer"}
    trained = {kinds[row["kind"]] for row in of.history if row.get("kind") in kinds}
    said: dict[str, list[str]] = {}
    for part, recipe in recipes.items():
        if part.partition("[")[0] in trained:
            how = (
                f"{recipe['epochs']} epochs in batches of {recipe['batch']} by {recipe['optimiser']}, learning rate "
                f"{recipe['lr']:g} ({recipe['schedule']}), epoch: {recipe['selection'].replace('_', ' ')}"
            )
            said.setdefault(how, []).append(part)
    parts = [f"{join_with_and([code(p) for p in named])}: {escape(how)}" for how, named in said.items()]
    return f" ({'; '.join(parts)})" if parts else ""


def _pretraining(run: Mapping[str, Any]) -> list[str]:
    seen = [
        f"{escape(bare_name(str(source['dataset'])))}"
        f"{cite(_dataset_key(source['dataset'])) if source.get('dataset') else ''}"
        for source in run.get("pretraining", [])
    ]
    said = [f"Pretraining saw {join_with_and(seen)}."] if seen else []
    if any(":" not in text for text in run["method"]["pretrainers"]):
        said.append("It was pretrained in each fold anew, on that fold's training people.")
    if run["pretrain_overlap"] != "none":
        overlap = run["pretrain_overlap"].replace("_", " ")
        said.append(f"Overlap of pretraining with the tested people: {overlap}.")
    return said


def _dataset_key(name: str) -> str | None:
    try:
        return bibliography.dataset_paper(name).key
    except EmbenchError:
        return None


def _values(count: Any) -> list[int]:
    return [n for n in (count.values() if isinstance(count, Mapping) else [count]) if n is not None]
