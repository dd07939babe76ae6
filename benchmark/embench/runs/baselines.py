"""Simple estimators on handcrafted features: what any method must beat."""

from __future__ import annotations

from typing import Any

from embench import protocols, registry
from embench.callbacks import EventCallback
from embench.data import find
from embench.data.cohort import card_for_protocol, choose_targets
from embench.planning.request import Request
from embench.runs import run

ESTIMATORS = ("logreg", "svm", "ridge", "svr", "boosting")


def baselines(
    dataset: str, *, progress: EventCallback | None = None, workers: int | None = None, **options: Any
) -> run.GridResult:
    """Handcrafted features with the simple estimators that predict the targets' kinds, each modality alone and all
    together; controls come with each.

    Args:
        options: further fields of `Request`.
    """
    rules = protocols.load_protocol(options.get("protocol") or Request.protocol)
    card = card_for_protocol(rules, find.card_of(dataset, options.get("data_root")))
    accepts = registry.load("encoder", "handcrafted").accepts
    chosen = options.pop("modalities", None)
    known = [m for m in card.default_modalities if "+" not in m and registry.known_as(accepts, m)]
    wanted = chosen.split(",") if chosen else known
    sets = [*wanted, ",".join(wanted)] if len(wanted) > 1 else wanted
    passed = {k: v for k, v in options.items() if v is not None}
    kinds = {target.kind for target in choose_targets(card, passed.get("targets"))}
    fitting = [name for name in ESTIMATORS if kinds <= registry.load("fusion", name).kinds]
    requests = [
        Request(dataset, encoders=("handcrafted",), fusion=estimator, modalities=some, workers=workers, **passed)
        for some in sets
        for estimator in fitting
    ]
    return run.grid(requests, workers=workers, progress=progress)
