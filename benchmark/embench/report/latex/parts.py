"""The parts of a method in sentences: what networks are built of and read, how they were trained, and what estimators
were fitted with; from the recipes that a record holds."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from embench import registry, vocabulary
from embench.errors import EmbenchError
from embench.interfaces.recording import names_in
from embench.records.manifest import method_kind
from embench.records.wording import bare_name, join_with_and, recorded_hyperparameters
from embench.report.facts import RunFacts
from embench.report.latex.settings import describe_settings, describe_training, describe_view
from embench.report.text import code, escape

_CONTAINERS = frozenset({"Module", "ModuleDict", "ModuleList", "Parameter", "Sequential"})
_TRAINED: Mapping[str, Sequence[str]] = {
    "tokens": ("fusion",), "unimodal": ("encoder",), "hidden": ("encoder", "fusion"), "estimator": ("encoder",),
}  # fmt: skip
"""How modalities meet -> the parts whose recipes trained networks; of an estimator on features there is none."""


def describe_parts(run: RunFacts) -> list[str]:
    """Sentences on encoders, fusion and training."""
    return [*_encoders(run), *_fusion(run), *_size(run), *_training(run)]


def signals_in_words(modalities: Sequence[str]) -> str:
    """`PPG, EDA and skin temperature`."""
    names = [vocabulary.label(name, "modalities") for each in modalities for name in names_in(each)]
    return escape(join_with_and(list(dict.fromkeys(names))))


def _encoders(run: RunFacts) -> Iterator[str]:
    """Sentences on each encoder, once for the modalities that it treats alike."""
    groups: dict[str, list[str]] = {}
    for modality, name in run.manifest.method.encoders.items():
        if recipe := run.parts.get(f"encoder[{modality}]"):
            alike = [recipe.get(field) for field in ("view", "prepare", "build", "frozen")]
            groups.setdefault(str([name, *alike, run.manifest.kept_units.get(modality)]), []).append(modality)
    for modalities in groups.values():
        recipe, name = run.parts[f"encoder[{modalities[0]}]"], run.manifest.method.encoders[modalities[0]]
        if method_kind(run.manifest.method) == "features":
            of = f"{signals_in_words(modalities)} over {describe_view(recipe.get('view'))}"
            yield f"{_named('encoder', name)} computed features of {of}."
            if settings := describe_settings(recipe.get("prepare", {}), modalities):
                yield f"Settings: {'; '.join(settings)}."
        else:
            yield from _network(run, name, recipe, modalities)


def _network(run: RunFacts, name: str, recipe: Mapping[str, Any], modalities: Sequence[str]) -> Iterator[str]:
    """Sentences on the input of a network and its layers."""
    prepare, view = dict(recipe.get("prepare", {})), recipe.get("view") or {}
    rate = prepare.pop("rate_hz", None) or prepare.pop("frames_hz", None) or (run.rules.rate_hz if run.rules else None)
    how = f"in {describe_view(view)}"
    if rate:
        samples = f" ({round(view['length_s'] * rate):,} samples)" if view.get("length_s") else ""
        how += rf", at {rate:g}~Hz{samples}"
    if unit := run.manifest.kept_units.get(modalities[0]):
        how += f", in its unit instead of z-scores ({escape(unit)})"
    yield f"{_named('encoder', name)} read {signals_in_words(modalities)} {how}."
    if prepared := describe_settings(prepare, modalities):
        yield f"Its input: {'; '.join(prepared)}."
    if built := describe_settings(recipe.get("build", {}), modalities):
        yield f"Its network: {'; '.join(built)}."
    if about := run.manifest.objects.get(name):
        layers = layers_in("\n".join(about.get("source", ())))
        found = (
            f"builds, in this order: {join_with_and([*map(code, layers)])}" if layers else "is in the record of the run"
        )
        yield f"Its code {found}."
    if recipe.get("frozen"):
        yield "Its weights stayed as they were before training."


def layers_in(source: str) -> list[str]:
    """The layers that code makes of `torch.nn`, in its order; none where it cannot be read.

    >>> layers_in("net = nn.Sequential(nn.Conv1d(channels, 8, kernel_size=9), nn.ReLU())")
    ['Conv1d(channels, 8, kernel_size=9)', 'ReLU()']
    """
    try:
        tree = ast.parse(textwrap.dedent(source))
    except SyntaxError:
        return []
    layers = [
        (node.lineno, node.col_offset, node.func.attr, node.args, node.keywords)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if ast.unparse(node.func.value) in ("nn", "torch.nn") and node.func.attr not in _CONTAINERS
    ]
    return [
        f"{name}({', '.join([*map(ast.unparse, args), *(f'{k.arg}={ast.unparse(k.value)}' for k in keywords)])})"
        for _, _, name, args, keywords in sorted(layers, key=lambda layer: layer[:2])
    ]


def _fusion(run: RunFacts) -> Iterator[str]:
    method, recipe = run.manifest.method, run.parts.get("fusion")
    if not method.fusion or recipe is None or _joins(run) == "unimodal":
        return
    settings = describe_settings(recipe.get("build", {}), method.modalities)
    named = _named("fusion", method.fusion)
    if _joins(run) != "estimator" and method_kind(method) != "features":
        yield f"{named} joined the modalities{': ' * bool(settings)}{'; '.join(settings)}."
        return
    fitted_to = {"hidden": "the hidden layers of these networks", "decisions": "the decisions of these networks"}
    rows = fitted_to.get(method.inputs or "", "these features")
    balanced = recipe.get("class_weight") == "balanced" and "value" not in _kinds(run)
    settings += ["classes weighted inversely to their frequency"] if balanced else []
    yield f"{named} was fitted to {rows}{', with ' * bool(settings)}{'; '.join(settings)}."
    if about := run.manifest.objects.get(method.fusion):
        yield from _pipeline(str(about.get("repr", "")))


def _pipeline(text: str) -> Iterator[str]:
    """Sentences on the hyperparameters of a scikit-learn estimator and on missing values, from its recorded `repr`."""
    if not (steps := recorded_hyperparameters(text)):
        return
    defaults = "hyperparameters that are not named have the defaults of scikit-learn"
    yield f"It was {join_with_and([*map(code, steps)])}; {defaults}."
    if not any("Imputer(" in step for step in steps):
        yield (
            "Missing values were replaced by the median of the training rows, unless all of its steps accept missing "
            "values."
        )


def _size(run: RunFacts) -> Iterator[str]:
    cost = run.manifest.cost
    if cost.parameters and method_kind(run.manifest.method) == "network":
        each = " of each fold" if run.manifest.protocol.folds else ""
        head = ", with the head that embench adds: layer normalisation and a linear layer on the mean token"
        names = run.manifest.method.encoders.values()
        added = head if _joins(run) == "unimodal" and any(map(registry.is_object, names)) else ""
        yield f"The networks{each} had {round(cost.parameters):,} parameters in all{added}."


def _training(run: RunFacts) -> list[str]:
    """A sentence for all parts that were trained alike."""
    method, groups = run.manifest.method, dict[str, list[str]]()
    trained = {*(() if method_kind(method) == "features" else _TRAINED.get(_joins(run), ())), "pretrainer"}
    for part, recipe in run.parts.items():
        kind = part.partition("[")[0]
        if kind in trained and "optimiser" in recipe:  # a record may hold parts of another form
            how = describe_training(recipe, [] if kind == "pretrainer" else _kinds(run))
            groups.setdefault(how, []).append(_who(run, part, recipe))
    sentences = []
    for how, those in groups.items():
        several = len(set(those)) > 1 or those[0] == _END_TO_END
        who = join_with_and(list(dict.fromkeys(those)))
        sentences.append(f"{who} {'were' if several else 'was'} trained with {how}.")
    return sentences


def _joins(run: RunFacts) -> str:
    """How modalities meet; records of before don't say, so that the fusion does where it is installed."""
    method = run.manifest.method
    if method.joins or not method.fusion:
        return method.joins or ""
    try:
        return str(getattr(registry.load("fusion", method.fusion), "inputs", "estimator"))
    except EmbenchError:
        return ""


_END_TO_END = "Encoders and fusion"


def _who(run: RunFacts, part: str, recipe: Mapping[str, Any]) -> str:
    if part == "fusion" and _joins(run) == "tokens":
        return _END_TO_END
    named = code(bare_name(recipe["plugin"]))
    return f"The pretext task {named}" if part.startswith("pretrainer") else named


def _kinds(run: RunFacts) -> list[str]:
    return [rule.kind for rule in run.manifest.card.label_rules if rule.name in run.answers]


def _named(kind: str, name: str) -> str:
    """A plugin with what it is, in brackets."""
    about = vocabulary.definition(bare_name(name), "methods")
    if not about:
        try:
            about = "" if registry.is_object(name) else registry.find(kind, name).summary
        except EmbenchError:
            about = ""
    about = about.strip().removesuffix(".")
    lower = f"{about[0].lower()}{about[1:]}" if about[1:2].islower() or about[1:2] == " " else about
    return f"{code(bare_name(name))}{f' ({escape(lower)})' if lower else ''}"


def describe_machine(run: RunFacts) -> str:
    """A sentence on processor, threads and libraries."""
    about, config = run.manifest, run.manifest.config
    threads = config.get("threads")
    several = f" with {threads} thread{'s' if threads > 1 else ''} for each process" if isinstance(threads, int) else ""
    workers = (config.get("request") or {}).get("workers")
    several += f", {workers} processes at a time" if several and isinstance(workers, int) and workers > 1 else ""
    machine = about.cost.processor or str(about.device)
    shown = {"python": "Python", "torch": "PyTorch", "scikit-learn": "scikit-learn"}
    libraries = [f"{title} {about.versions[name]}" for name, title in shown.items() if name in about.versions]
    uses = f", {escape(join_with_and(libraries))}" if libraries else ""
    return f"Hardware and software: {escape(machine)}{several}{uses}."
