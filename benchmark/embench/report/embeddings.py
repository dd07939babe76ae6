"""Embeddings (a network's last hidden layer): a map of one fold's test units, and linear probes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.records.predictions import MODEL, Embeddings, Labels, Predictions, read_embeddings
from embench.records.wording import join_with_and
from embench.report.drawing import SYMBOLS, Axis, Panel, error_bars, figure, scatter
from embench.report.facts import RunFacts
from embench.report.page import SectionBody, figure_row, figure_with_table, join_named, paragraph, with_reasons
from embench.statistics.joined import labels_of
from embench.statistics.probes import LABEL, STIMULUS, SUBJECT, ProbeResult, linear_probe
from embench.system import limited_threads

MAX_POINTS = 800
"""Units on a map."""

UNLABELLED = "no label"
MAX_NAMED = 8
"""Values of a colouring that a legend lists; more colours cannot be distinguished."""


def embeddings_section(run: RunFacts) -> SectionBody | Undefined:
    """The section on embeddings: a map of a fold's test units, and linear probes, for each network; one network may
    predict several targets."""
    embeddings = read_embeddings(run.folder) if run.folder and not run.sealed else None
    if embeddings is None:
        return Undefined(run.why_no_network("embeddings"))
    return join_named({_names(targets): _network(run, targets, embeddings) for targets in _networks(run, embeddings)})


def _networks(run: RunFacts, embeddings: Embeddings) -> list[list[Target]]:
    """The targets that one network predicts: those with the same embeddings."""
    found: dict[bytes, list[Target]] = {}
    for target in run.targets:
        ours = embeddings.take(embeddings.target == target.name)
        ours = ours.take(np.lexsort((ours.unit, ours.fold, ours.seed)))
        key = hashlib.sha256(b"".join(part.tobytes() for part in (ours.seed, ours.fold, ours.unit, ours.x))).digest()
        found.setdefault(key, []).append(target)
    return list(found.values())


def _names(targets: Sequence[Target]) -> str:
    return join_with_and([target.name for target in targets])


def _network(run: RunFacts, targets: Sequence[Target], embeddings: Embeddings) -> Markup | Undefined:
    ours = embeddings.take(embeddings.target == targets[0].name)
    if not len(ours):
        return Undefined("the record has none of this target")
    mapped, probed = _map(run, targets, ours), _probes(run, targets, embeddings)
    if isinstance(mapped, Undefined) and isinstance(probed, Undefined):
        return mapped
    shown = [one for one in (mapped, probed) if not isinstance(one, Undefined)]
    silent = {"map": mapped, "probes": probed}
    reasons = with_reasons({name: one.reason for name, one in silent.items() if isinstance(one, Undefined)})
    return figure_row(shown) + (paragraph(f"Left out: {reasons}.") if reasons else Markup())


def tsne_map(x: np.ndarray) -> np.ndarray:
    """(n, 2) t-SNE of standardised hidden layers (n, H), from their principal components on, with a fixed seed."""
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    with limited_threads(1):
        varied = StandardScaler().fit_transform(x[:, x.std(0) > 0].astype(np.float64))
        start = "pca" if min(varied.shape) > 1 else "random"
        positions = TSNE(2, perplexity=min(30.0, (len(x) - 1) / 3), init=start, random_state=0).fit_transform(varied)
    return np.asarray(positions)


def _map(run: RunFacts, targets: Sequence[Target], ours: Embeddings) -> Markup | Undefined:
    seed, fold = int(ours.seed.min()), int(ours.fold[ours.seed == ours.seed.min()].min())
    rows = run.record.predictions
    rows = rows.take(
        rows.rows_with(method=MODEL, target=targets[0].name) & (rows["seed"] == seed) & (rows["fold"] == fold)
    )
    embeddings = ours.take((ours.seed == seed) & (ours.fold == fold))
    _, at, place = np.intersect1d(rows["unit"], embeddings.unit, return_indices=True)
    some = np.sort(np.random.default_rng(0).permutation(len(at))[:MAX_POINTS])
    rows, x = rows.take(at[some]), embeddings.x[place[some]]
    if len(x) < 5:
        return Undefined(f"fold {fold} of seed {seed} has fewer than five test units")
    if not (x.std(0) > 0).any():
        return Undefined(f"the embeddings in fold {fold} of seed {seed} are all the same")
    flat = tsne_map(x)
    marks = {"subject": rows["subject"], "stimulus": rows["stimulus"]}
    if run.record.labels is not None:
        marks = {**_labels(run, targets, rows, run.record.labels), **marks}
    panels = [
        Panel(
            f"Coloured by {what}",
            _coloured(flat, values),
            Axis("t-SNE 1", ticks=False),
            Axis("t-SNE 2", ticks=False),
            230,
        )
        for what, values in marks.items()
        if len(np.unique(values)) > 1
    ]
    note = (
        f"t-SNE (perplexity {min(30.0, (len(x) - 1) / 3):.0f}, fixed seed) of the last hidden layer for {len(x):,} of "
        f"{len(at):,} test units in fold {fold} of seed {seed}: each fold has its own network. "
        "Distances between clusters have no meaning; the probes show what can be read from the layer."
    )
    if many := [what for what, values in marks.items() if len(np.unique(values)) > MAX_NAMED]:
        note += f" More than {MAX_NAMED} values have no legend ({join_with_and(many)}): the table has them."
    drawn = figure(panels, f"Embedding map of {_names(targets)}", note, columns=len(panels), width=1000)
    head = ("unit", *marks, "t-SNE 1", "t-SNE 2")
    cells = zip(
        rows["unit"].tolist(), *(v.tolist() for v in marks.values()), *np.round(flat, 2).T.tolist(), strict=True
    )
    return figure_with_table(drawn, head, list(cells), note, wide=True)


def _labels(run: RunFacts, targets: Sequence[Target], rows: Predictions, labels: Labels) -> dict[str, np.ndarray]:
    """The variable that colours a map -> the labels of its units (n,), for each target."""
    variables = {}
    for target in targets:
        label, classes = labels_of(rows, labels, target), run.classes(target)
        named = [classes[int(v)] if np.isfinite(v) else UNLABELLED for v in label] if classes else _thirds(label)
        variables["label" if len(targets) == 1 else target.name] = np.array(named)
    return variables


def _coloured(flat: np.ndarray, values: np.ndarray) -> list[Any]:
    names = np.unique(values).tolist()
    marks = []
    for k, name in enumerate(name for name in names if name != UNLABELLED):
        chosen = values == name
        symbol = SYMBOLS[k % len(SYMBOLS)] if len(names) <= MAX_NAMED else "circle"
        label = name if len(names) <= MAX_NAMED else ""
        marks.append(scatter(*flat[chosen].T, colour=k, symbol=symbol, size=2.2, label=label, opacity=0.7))
    return marks


def _thirds(values: np.ndarray) -> list[str]:
    """Values as low, middle or high, in equal parts."""
    edges = np.nanquantile(values, [1 / 3, 2 / 3])
    names = ("low third", "middle third", "high third")
    return [names[int(np.searchsorted(edges, v))] if np.isfinite(v) else UNLABELLED for v in values]


def _probes(run: RunFacts, targets: Sequence[Target], embeddings: Embeddings) -> Markup | Undefined:
    probed = {"subject": (SUBJECT, targets[0]), "stimulus": (STIMULUS, targets[0])}
    for target in targets:
        if run.record.labels is not None and target.traits.has_classes:
            probed["label" if len(targets) == 1 else target.name] = LABEL, target
    found = {
        name: linear_probe(embeddings, run.record.predictions, what, target=target.name, labels=run.record.labels)
        for name, (what, target) in probed.items()
    }
    known = {name: p for name, p in found.items() if isinstance(p, ProbeResult)}
    silent = "; ".join(f"{name}: {p.reason}" for name, p in found.items() if isinstance(p, Undefined))
    if not known:
        return Undefined(silent)
    at = np.arange(len(known))
    score, chance, std = (np.array([getattr(p, key) for p in known.values()]) for key in ("score", "chance", "std"))
    marks = [error_bars(at, score, score - std, score + std, across=True, label="probe, SD over folds and seeds")]
    marks.append(scatter(chance, at, colour="muted", symbol="diamond", size=4, opacity=1, label="chance"))
    names = [f"{name} ({p.metric})" for name, p in known.items()]
    panel = Panel("Linear probes", marks, Axis("score", 0, 1), Axis(names=names), 34.0 * len(known))
    note = (
        "Linear probes on the last hidden layer of test units, fitted and scored within each fold and seed. The "
        "subject is predicted for other segments of the same subjects, stimulus and label for other subjects. If the "
        "layer identifies the subject above chance, a head may learn subjects instead of states."
    )
    if silent:
        note += f" Skipped: {silent}."
    rows = [(n, p.metric, p.score, p.chance, p.std, p.folds, p.units) for n, p in known.items()]
    head = ("probe", "metric", "score", "chance", "SD", "folds and seeds", "units")
    return figure_with_table(figure([panel], f"Probes of {_names(targets)}", note, width=560), head, rows, note)
