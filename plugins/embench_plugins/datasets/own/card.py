"""The card that a `dataset.yaml` makes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from embench.interfaces.dataset import Baseline, Card, ModalityCard
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import card_unit
from embench_plugins.datasets.own.layout import TargetRule, Unlabelled
from embench_plugins.datasets.own.raters import raters_of
from embench_plugins.datasets.own.yaml import HINT

USUAL: Mapping[str, Literal["value", "mean", "majority"]] = {
    "rating": "value",
    "continuous": "mean",
    "condition": "majority",
}
"""How values in a unit become one where the description does not say it, by the label's kind."""


def card(of: Unlabelled) -> Card:
    """The card of one folder."""
    rest = of.baseline
    return Card(
        name=of.name,
        title=of.title,
        citation=of.citation,
        doi=of.doi,
        licence=of.licence,
        obtain=HINT,
        modalities={m: _modality(of, m) for m in of.modalities},
        default_modalities=of.default_modalities or of.modalities,
        targets=tuple(_target(of, name, rule) for name, rule in of.targets.items()),
        mains_hz=of.mains_hz,
        longest_s=of.longest_s,
        labels_public=of.labels_public,
        fixed_order=of.fixed_order,
        baseline=Baseline(rest.start_s, rest.stop_s, rest.in_unit) if rest else None,
        skip_s=of.skip_s,
        default_targets=of.default_targets,
        raters=raters_of(of.labels),
        sessions=of.sessions,
    )


def _modality(of: Unlabelled, m: str) -> ModalityCard:
    """A modality's channels, its rate where that is stated and the same everywhere, and its unit."""
    own = [s.signals[m] for s in of.recordings if isinstance(s.signals, Mapping) and m in s.signals]
    worn = any(source.e4 and m in source.modalities for source in of.recordings)
    rates = {float(c.rate) if isinstance(c.rate, int | float) else math.nan for c in own}
    rates |= {e4.CARDS[m].rate} if worn else set()
    rate = rates.pop() if len(rates) == 1 else math.nan
    if not own:
        return e4.CARDS[m]
    lows, highs = zip(*(c.applied for c in own), strict=True)
    low, high = [e for e in lows if e is not None], [e for e in highs if e is not None]
    # What all files have gone through: a filter that only some have had is applied to everything.
    applied = (min(low) if len(low) == len(own) else None, max(high) if len(high) == len(own) else None)
    return ModalityCard(own[0].standard, rate, card_unit(m, own[0].unit), applied)


def _target(of: Unlabelled, name: str, rule: TargetRule) -> Target:
    label = of.labels[rule.label]
    classes = label.class_names

    def numbers(named: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(classes.index(one) for one in named)

    made = LabelRule(
        aggregate=rule.aggregate or USUAL[label.kind],
        cut=rule.cut,
        ties=rule.ties,
        dead_band=rule.dead_band,
        lag_s=rule.lag_s,
        annotator=rule.annotator,
        positive=numbers(rule.positive),
        negative=numbers(rule.negative),
        classes=numbers(rule.classes),
        edges=rule.edges,
        centred=rule.centred,
    )
    n = len(rule.classes or classes) if classes else len(rule.edges) + 1
    return Target(name, rule.kind, made, rule.label, n if rule.kind == "classes" else 2, label.scale, rule.step)
