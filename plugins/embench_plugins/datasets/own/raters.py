"""Labels of several raters in a `dataset.yaml`: one of each column, and one of them all."""

from __future__ import annotations

from collections.abc import Mapping

from embench.interfaces.raters import Raters
from embench_plugins.datasets.own.layout import LabelSource


def raters_of(labels: Mapping[str, LabelSource]) -> dict[str, Raters]:
    """Label that several raters decide -> these, as a card has them: `calm_r1` and so on, in the order of columns."""
    return {
        name: Raters(tuple(f"{name}_r{k}" for k, _ in enumerate(spec.columns, 1)), spec.raters)
        for name, spec in labels.items()
        if spec.raters
    }


def read_labels(labels: Mapping[str, LabelSource]) -> dict[str, dict[str, LabelSource]]:
    """Label -> the labels that are read for it, by name, each of one column: itself, or one a rater."""
    fused = raters_of(labels)
    made = {}
    for name, spec in labels.items():
        one = {"columns": (), "raters": None}
        made[name] = {
            rater: spec.model_copy(update={**one, "column": column})
            for rater, column in zip(fused[name].labels if name in fused else (), spec.columns, strict=True)
        } or {name: spec}
    return made
