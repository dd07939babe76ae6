"""A pretrained run beside the same network from scratch and simple features."""

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

# Comparison runs of a pretrained run: what the same network scores without pretraining, and what simple features score.
#
# A comparison run is recognised by what two records say of data, folds and method, never by a flag. The runs that a
# record has as comparison runs, and whose it is, are digests, since boards compare hundreds of records.

ReferenceKind = Literal["random_frozen", "scratch", "features"]
REFERENCE_WORDS: Mapping[ReferenceKind, str] = {
    "random_frozen": "the same at random, frozen",
    "scratch": "the same from scratch",
    "features": "simple features",
}
"""Kind of comparison run -> the words for it."""
NO_COMPARISON = "no from-scratch comparison"
TRAINING: Mapping[str, Any] = {"selection": "early_stop", "patience": 5, "epochs": 100}
"""Settings by which a network is trained until the loss on validation subjects falls no more."""

RANDOM = "random"
"""Weights of a network that starts at random, as `build.weights` and `--pretrained` name them."""
SIMPLE_ENCODERS = ("handcrafted", "tangent_space")
SIMPLE_ESTIMATORS = ("logreg", "ridge")
"""The parts of the kind `features`: as they are bundled, without changed settings."""
VIDEO, FACE = "video", "face_au"
"""What simple features read in place of pictures."""

_OF_THE_DOOR = frozenset({"weights", "accepts"})
"""Keys of `build` that say where weights come from, and not what network they are of."""
_OF_THE_START = frozenset({"frozen", "adapt", "assumed", "assets", "libraries", "build"})
"""Fields of a part's configuration that may differ between a pretrained run and its comparison runs, or are compared
apart."""


@dataclass(frozen=True)
class ComparisonKeys:
    """The keys by which a run finds its comparison runs, and is found as one.

    Args:
        wants: kind of comparison run -> the key that such a run has; empty where nothing was pretrained.
        key: of a run that may be a comparison run; empty of others.
        sizes: kind of comparison run -> the number of parameters that such a network has, which the sizes in a file of
            weights may decide; `size`: that of the run. None, or not there, where it does not matter or is not known.
        name: of the method, as a comparison run.
        epochs: the most that its networks were trained for; None where they were trained until the loss on validation
            subjects fell no more, or there is none.
    """

    wants: Mapping[ReferenceKind, str] = field(default_factory=dict)
    key: str = ""
    sizes: Mapping[ReferenceKind, int | None] = field(default_factory=dict)
    size: int | None = None
    name: str = ""
    epochs: int | None = None


@dataclass(frozen=True)
class PretrainingGap:
    """The score of a pretrained run less that of one of its comparison runs, on the units that both predict.

    Args:
        kind: of the comparison run. `name`: of its method. `run`: its id.
        gap: None where the two can't be paired; `why` not.
    """

    kind: ReferenceKind
    name: str
    run: str
    gap: Score | None
    why: str = ""

    @property
    def reference(self) -> str:
        """The comparison run in words: what the same network started from, or the name of a method of simple
        features."""
        return self.name if self.kind == "features" else REFERENCE_WORDS[self.kind]

    @property
    def text(self) -> str:
        """The gap with its interval, or why there is none."""
        return format_score(self.gap, "+.3f") if self.gap else f"not paired: {self.why}"


@dataclass(frozen=True)
class PretrainingComparison:
    """The comparison runs of a pretrained run; `epochs`: see `ComparisonKeys`."""

    gaps: tuple[PretrainingGap, ...] = ()
    epochs: int | None = None

    @property
    def texts(self) -> list[str]:
        """Texts such as `+0.052 [-0.029, +0.133] over the same at random, frozen`, one for each comparison run, and for
        how long networks were trained unless that was to the end."""
        unpaired: dict[str, list[str]] = {}
        for each in self.gaps:
            if each.gap is None:
                unpaired.setdefault(each.why, []).append(each.reference)
        return [
            *(f"{each.text} over {each.reference}" for each in self.gaps if each.gap),
            *(f"not paired with {join_with_and(names)}: {why}" for why, names in unpaired.items()),
            *([f"networks trained for at most {self.epochs} epochs"] if self.epochs and self.gaps else []),
        ]

    @property
    def words(self) -> str:
        """The same as one text, or that there are no comparison runs."""
        return "; ".join(self.texts) or NO_COMPARISON


def find_comparison_keys(run: Manifest) -> ComparisonKeys:
    """The keys of a run; none of a submission, of which nothing is known."""
    if run.method.submission or not run.config.get("parts"):
        return ComparisonKeys()
    names = [*dict.fromkeys(map(bare_name, run.method.encoders.values())), bare_name(run.method.fusion or "")]
    name = " + ".join(filter(None, names))
    before, adapted, simple, size = pretrained_modalities(run), _adapted(run), _is_simple(run), run.cost.parameters
    if not before:
        key = _key_of_features(run) if simple else _key_of_network(run, adapted)
        return ComparisonKeys(key=key, size=size, name=name)
    features: dict[ReferenceKind, str] = {"features": _key_of_features(run)}
    if method_kind(run.method) == "features":  # nothing trains the network
        return ComparisonKeys({"random_frozen": _key_of_network(run, adapted), **features}, name=name)
    epochs = _epochs_at_most(run)
    heads = {f"encoder[{m}]": "ridge" if adapted[f"encoder[{m}]"] == "ridge" else "frozen" for m in before}
    at_random: dict[ReferenceKind, str] = {
        "random_frozen": _key_of_network(run, {**adapted, **heads}),
        "scratch": _key_of_network(run, dict.fromkeys(adapted, "full")),
    }
    sizes: dict[ReferenceKind, int | None] = {
        "random_frozen": size,
        "scratch": None if "ridge" in heads.values() else size,
    }
    return ComparisonKeys({**at_random, **features}, sizes=sizes, name=name, epochs=epochs)


def matching(
    keys: ComparisonKeys, seeds: Sequence[int], other: ComparisonKeys, others: Sequence[int]
) -> ReferenceKind | None:
    """The kind of comparison run that another run is of a pretrained one, told from the keys and seeds of both: on the
    same data, folds, subjects and labels, with the same head and training; None where it is none. Estimators may have
    more seeds, since boards ask for more of them; they are compared on those that both have."""
    for kind, key in keys.wants.items():
        same = set(seeds) <= set(others) if kind == "features" else sorted(seeds) == sorted(others)
        size = keys.sizes.get(kind)
        if same and key == other.key and (size is None or other.size in (None, size)):
            return kind
    return None


def pretrained_modalities(run: Manifest) -> list[str]:
    """The modalities whose encoders start from weights: those of a file, of another run, or of a pretrainer."""
    named = [found[1] if (found := _OF_MODALITY.match(text)) else None for text in run.method.pretrainers]
    started = run.config.get("pretrained") or {}
    return [
        m
        for m in run.method.modalities
        if m in started or m in named or None in named or _has_weights(_part(run, f"encoder[{m}]"))
    ]


_OF_MODALITY = re.compile(r"([\w+\[\]-]+)=")


def _has_weights(part: Mapping[str, Any]) -> bool:
    return bool(part.get("assets")) or part.get("build", {}).get("weights", RANDOM) != RANDOM


def _part(run: Manifest, name: str) -> Mapping[str, Any]:
    part: Mapping[str, Any] = run.config["parts"].get(name, {})
    return part


def _trained(run: Manifest) -> list[str]:
    return [*(f"encoder[{m}]" for m in run.method.modalities), "fusion"]


def _adapted(run: Manifest) -> dict[str, str]:
    """Part of the method -> how it goes on from what it starts with; of records before `adapt`, whether it is
    frozen."""
    parts = {name: _part(run, name) for name in _trained(run)}
    return {name: part.get("adapt") or ("frozen" if part.get("frozen") else "full") for name, part in parts.items()}


def _epochs_at_most(run: Manifest) -> int | None:
    """The most epochs of a network, unless all were trained to the end."""
    trains = {"unimodal": _trained(run)[:-1], "estimator": _trained(run)[:-1], "tokens": ["fusion"]}
    parts = [_part(run, name) for name in trains.get(run.method.joins or "", _trained(run))]
    short = [
        int(part.get("epochs", 0))
        for part in parts
        if part.get("selection") != TRAINING["selection"]
        or part.get("patience", 0) < TRAINING["patience"]
        or part.get("epochs", 0) < TRAINING["epochs"]
    ]
    return max(short, default=None)


def _key_of_network(run: Manifest, adapted: Mapping[str, str]) -> str:
    """Digest of a network's run without what it starts from; `adapted`: part -> how it goes on from there."""
    parts = {}
    for name in _trained(run):
        part = _part(run, name)
        build = {key: value for key, value in part.get("build", {}).items() if key not in _OF_THE_DOOR}
        parts[name] = {**{key: value for key, value in part.items() if key not in _OF_THE_START}, "build": build}
    method = run.method.model_dump(exclude={"pretrainers"})
    return digest([_circumstances(run), list(run.targets), method, parts, dict(adapted)])


def _key_of_features(run: Manifest) -> str:
    """Digest of the circumstances of a run, and of the modalities that simple features are of."""
    parts = {part for m in run.method.modalities for part in m.split("+")}
    return digest(
        [_circumstances(run), sorted(FACE if part == VIDEO else part for part in parts), run.recipe.on_leaderboard]
    )


def _is_simple(run: Manifest) -> bool:
    """True of the kind `features`: bundled, and as it is."""
    encoders = {f"{BUNDLED}/{name}" for name in SIMPLE_ENCODERS}
    fusions = {f"{BUNDLED}/{name}" for name in SIMPLE_ESTIMATORS}
    return set(run.method.encoders.values()) <= encoders and run.method.fusion in fusions and not run.recipe.settings


def _circumstances(run: Manifest) -> list[Any]:
    """Data, rules, labels and subjects of a run: all but its method, targets and seeds."""
    cohort, trained_on = run.cohort.subjects, run.trained_on
    chosen = {name: run.config.get(name) for name in ("drop", "label_subjects", "label_fraction")}
    return [
        [run.dataset.name, run.dataset.fingerprint, run.dataset.synthetic is not None],
        [trained_on.name, trained_on.fingerprint, trained_on.label_rules_hash] if trained_on else None,
        [run.protocol.name, run.protocol.hash, run.target_access, run.card.label_rules_hash],
        cohort if isinstance(cohort, int) else sorted(cohort),
        [chosen, run.dev, tuned_trials(run.config)],
    ]


def gap_sort_key(gap: PretrainingGap) -> tuple[int, str, str]:
    """Sorts comparison runs by their kinds, those of one kind by name."""
    return list(REFERENCE_WORDS).index(gap.kind), gap.name, gap.run
