"""Comparison of a pretrained run with the same network from scratch and with handcrafted features."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from embench.files import digest
from embench.records.manifest import Manifest, method_kind, tuned_trials
from embench.records.scores import Score
from embench.records.wording import bare_name, format_score, join_with_and
from embench.registry import BUNDLED

# Comparison runs of a pretrained run: the same network without pretraining, and simple features.
#
# A comparison run is recognised by the data, folds and method in both records, never by a flag. Digests of these facts
# are compared, since leaderboards compare hundreds of records.

ReferenceKind = Literal["random_frozen", "scratch", "features"]
REFERENCE_WORDS: Mapping[ReferenceKind, str] = {
    "random_frozen": "the same at random, frozen",
    "scratch": "the same from scratch",
    "features": "simple features",
}
"""Kind of reference -> its name in sentences."""
NO_REFERENCES = "no from-scratch comparison"
TRAINING: Mapping[str, Any] = {"selection": "early_stop", "patience": 5, "epochs": 100}
"""Settings with which a network is trained until the loss on validation subjects no longer falls."""

RANDOM = "random"
"""Value of `build.weights` and `--pretrained` for random initial weights."""
SIMPLE_ENCODERS = ("handcrafted", "tangent_space")
SIMPLE_ESTIMATORS = ("logreg", "ridge")
"""Encoders and estimators of the reference `features`, as they are bundled and without changed settings."""
VIDEO, FACE = "video", "face_au"
"""Modality of video frames, and the one that simple features read instead."""

_WEIGHT_KEYS = frozenset({"weights", "accepts"})
"""Keys of `build` that name the initial weights and do not change the network."""
_START_FIELDS = frozenset({"frozen", "adapt", "assumed", "assets", "libraries", "build"})
"""Fields of a part's configuration that `_hash_network` leaves out, or hashes separately (`adapt`, `build`)."""


@dataclass(frozen=True)
class ReferenceKeys:
    """Digests by which the references (comparison runs) of a pretrained run are found.

    Args:
        wants: kind of reference -> the `key` that a reference must have; empty if nothing was pretrained.
        key: digest of a run that was not pretrained; empty for pretrained runs.
        sizes: kind of reference -> number of parameters that it must have; missing or None if any number will do.
        size: number of parameters of this run; None if unknown.
        name: display name of the method.
        epochs: maximum number of epochs of its networks; None if they were trained until the loss on validation
            subjects no longer fell, or if it has no networks.
    """

    wants: Mapping[ReferenceKind, str] = field(default_factory=dict)
    key: str = ""
    sizes: Mapping[ReferenceKind, int | None] = field(default_factory=dict)
    size: int | None = None
    name: str = ""
    epochs: int | None = None


@dataclass(frozen=True)
class PretrainingGain:
    """The score of a pretrained run minus the score of a reference, on the units that both predict.

    Args:
        kind: kind of the reference. `name`: its method. `run`: its id.
        difference: of the two scores; None where the two cannot be paired, for the reason `why`.
    """

    kind: ReferenceKind
    name: str
    run: str
    difference: Score | None
    why: str = ""

    @property
    def reference(self) -> str:
        """The name of the reference: how the same network was started, or the name of the method."""
        return self.name if self.kind == "features" else REFERENCE_WORDS[self.kind]

    @property
    def text(self) -> str:
        """The difference with its interval, or why there is none."""
        return format_score(self.difference, "+.3f") if self.difference else f"not paired: {self.why}"


@dataclass(frozen=True)
class PretrainingGains:
    """The gains of a pretrained run over its references; `epochs`: see `ReferenceKeys`."""

    gains: tuple[PretrainingGain, ...] = ()
    epochs: int | None = None

    @property
    def texts(self) -> list[str]:
        """Texts such as `+0.052 [-0.029, +0.133] over the same at random, frozen`, one for each reference; and the
        number of epochs, unless networks were trained until the loss no longer fell."""
        unpaired: dict[str, list[str]] = {}
        for each in self.gains:
            if each.difference is None:
                unpaired.setdefault(each.why, []).append(each.reference)
        return [
            *(f"{each.text} over {each.reference}" for each in self.gains if each.difference),
            *(f"not paired with {join_with_and(names)}: {why}" for why, names in unpaired.items()),
            *([f"networks trained for at most {self.epochs} epochs"] if self.epochs and self.gains else []),
        ]

    @property
    def text(self) -> str:
        """All `texts` as one, or a statement that references are missing."""
        return "; ".join(self.texts) or NO_REFERENCES


def make_reference_keys(run: Manifest) -> ReferenceKeys:
    """Return the keys of a run; empty for a submission, whose method is unknown."""
    if run.method.submission or not run.config.get("parts"):
        return ReferenceKeys()
    names = [*dict.fromkeys(map(bare_name, run.method.encoders.values())), bare_name(run.method.fusion or "")]
    name = " + ".join(filter(None, names))
    pretrained, adapted, size = pretrained_modalities(run), _get_adaptations(run), run.cost.parameters
    if not pretrained:
        key = _hash_features(run) if _is_simple(run) else _hash_network(run, adapted)
        return ReferenceKeys(key=key, size=size, name=name)
    features: dict[ReferenceKind, str] = {"features": _hash_features(run)}
    if method_kind(run.method) == "features":  # nothing trains the network
        return ReferenceKeys({"random_frozen": _hash_network(run, adapted), **features}, name=name)
    epochs = _find_most_epochs(run)
    # Encoders of `random_frozen` keep random weights: only a ridge regression, or later parts, are fitted to them.
    frozen = {f"encoder[{m}]": "ridge" if adapted[f"encoder[{m}]"] == "ridge" else "frozen" for m in pretrained}
    networks: dict[ReferenceKind, str] = {
        "random_frozen": _hash_network(run, {**adapted, **frozen}),
        "scratch": _hash_network(run, dict.fromkeys(adapted, "full")),
    }
    sizes: dict[ReferenceKind, int | None] = {
        "random_frozen": size,
        "scratch": None if "ridge" in frozen.values() else size,
    }
    return ReferenceKeys({**networks, **features}, sizes=sizes, name=name, epochs=epochs)


def match_reference(
    keys: ReferenceKeys, seeds: Sequence[int], other: ReferenceKeys, others: Sequence[int]
) -> ReferenceKind | None:
    """Return the kind of reference that a run (keys `other`, seeds `others`) is for a pretrained run (`keys`, `seeds`);
    None if it is not a reference. References of kind `features` may have more seeds, as leaderboards require them."""
    for kind, key in keys.wants.items():
        same = set(seeds) <= set(others) if kind == "features" else sorted(seeds) == sorted(others)
        size = keys.sizes.get(kind)
        if same and key == other.key and (size is None or other.size in (None, size)):
            return kind
    return None


def pretrained_modalities(run: Manifest) -> list[str]:
    """Return the modalities whose encoders start from weights of a file, another run, or a pretrainer."""
    named = [found[1] if (found := _OF_MODALITY.match(text)) else None for text in run.method.pretrainers]
    started = run.config.get("pretrained") or {}
    return [
        m
        for m in run.method.modalities
        if m in started or m in named or None in named or _has_weights(_get_part(run, f"encoder[{m}]"))
    ]


_OF_MODALITY = re.compile(r"([\w+\[\]-]+)=")


def _has_weights(part: Mapping[str, Any]) -> bool:
    return bool(part.get("assets")) or part.get("build", {}).get("weights", RANDOM) != RANDOM


def _get_part(run: Manifest, name: str) -> Mapping[str, Any]:
    part: Mapping[str, Any] = run.config["parts"].get(name, {})
    return part


def _list_parts(run: Manifest) -> list[str]:
    return [*(f"encoder[{m}]" for m in run.method.modalities), "fusion"]


def _get_adaptations(run: Manifest) -> dict[str, str]:
    """Return part of the method -> its `adapt`; in early records, `frozen` or `full`."""
    parts = {name: _get_part(run, name) for name in _list_parts(run)}
    return {name: part.get("adapt") or ("frozen" if part.get("frozen") else "full") for name, part in parts.items()}


def _find_most_epochs(run: Manifest) -> int | None:
    """Return the largest limit on epochs among networks that train less than `TRAINING`; None if there are none."""
    trained = {"unimodal": _list_parts(run)[:-1], "estimator": _list_parts(run)[:-1], "tokens": ["fusion"]}
    parts = [_get_part(run, name) for name in trained.get(run.method.joins or "", _list_parts(run))]
    limits = [
        int(part.get("epochs", 0))
        for part in parts
        if part.get("selection") != TRAINING["selection"]
        or part.get("patience", 0) < TRAINING["patience"]
        or part.get("epochs", 0) < TRAINING["epochs"]
    ]
    return max(limits, default=None)


def _hash_network(run: Manifest, adapted: Mapping[str, str]) -> str:
    """Return a digest of a run's data, targets and networks, except initial weights. `adapted`: part -> its `adapt`."""
    parts = {}
    for name in _list_parts(run):
        part = _get_part(run, name)
        build = {key: value for key, value in part.get("build", {}).items() if key not in _WEIGHT_KEYS}
        parts[name] = {**{key: value for key, value in part.items() if key not in _START_FIELDS}, "build": build}
    method = run.method.model_dump(exclude={"pretrainers"})
    return digest([_list_circumstances(run), list(run.targets), method, parts, dict(adapted)])


def _hash_features(run: Manifest) -> str:
    """Return a digest of a run's circumstances, its modalities (`FACE` for `VIDEO`) and `recipe.on_leaderboard`."""
    parts = {part for m in run.method.modalities for part in m.split("+")}
    return digest(
        [_list_circumstances(run), sorted(FACE if part == VIDEO else part for part in parts), run.recipe.on_leaderboard]
    )


def _is_simple(run: Manifest) -> bool:
    """True if a run is a reference of kind `features`: bundled parts without changed settings."""
    encoders = {f"{BUNDLED}/{name}" for name in SIMPLE_ENCODERS}
    fusions = {f"{BUNDLED}/{name}" for name in SIMPLE_ESTIMATORS}
    return set(run.method.encoders.values()) <= encoders and run.method.fusion in fusions and not run.recipe.settings


def _list_circumstances(run: Manifest) -> list[Any]:
    """Return the data, rules, labels and subjects of a run: everything except method, targets and seeds."""
    cohort, trained_on = run.cohort.subjects, run.trained_on
    chosen = {name: run.config.get(name) for name in ("drop", "label_subjects", "label_fraction")}
    return [
        [run.dataset.name, run.dataset.fingerprint, run.dataset.synthetic is not None],
        [trained_on.name, trained_on.fingerprint, trained_on.label_rules_hash] if trained_on else None,
        [run.protocol.name, run.protocol.hash, run.target_access, run.card.label_rules_hash],
        cohort if isinstance(cohort, int) else sorted(cohort),
        [chosen, run.dev, tuned_trials(run.config)],
    ]


def get_gain_order(gain: PretrainingGain) -> tuple[int, str, str]:
    """Return the sort key of a gain: by kind of reference, then by name."""
    return list(REFERENCE_WORDS).index(gain.kind), gain.name, gain.run
