"""The methods section of a paper, in LaTeX, from the records of runs and their protocols."""

from __future__ import annotations

import ast
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from embench import registry, vocabulary
from embench.data.find import find_source
from embench.errors import EmbenchError
from embench.interfaces.kinds import KINDS
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import MODALITIES, split_modality
from embench.records.manifest import Manifest, RuleOfTargetPart, method_kind
from embench.records.predictions import MODEL
from embench.records.record import Record, is_own
from embench.records.wording import (
    bare_name,
    counted,
    describe_added_modalities,
    grouped,
    in_words,
    join_with_and,
    number_in_words,
    recorded_hyperparameters,
)
from embench.report.facts import RunFacts, row_names
from embench.report.latex import bibliography
from embench.report.latex.bibliography import cite, code, escape, render_text
from embench.signals.preprocess import RULES, band_after
from embench.statistics import CONDITIONED_NEEDS, metric_facts
from embench.statistics.estimates import WITHIN_SUBJECT_SCORES
from embench.statistics.form import TargetQuestion
from embench.statistics.joined import unit_length

# Settings of a recipe in words: sizes and switches, input, and training of a stage.

_WORDS = {
    "C": "C =",
    "query": "query modality",
    "candidates": "chosen on training subjects from",
    "dim": "token width",
    "ffn": "feed-forward width",
    "heads": "attention heads",
    "hidden": "hidden width",
    "impute": "missing values by",
    "least": "least samples in a leaf",
    "leaves": "most leaves",
    "lr": "learning rate",
    "norm": "layer normalisation",
    "pca": "variance kept by principal components",
    "pos": "positional encoding",
}
"""Abbreviated settings of bundled plugins in words; other settings keep their names."""

_OPTIMISERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
_SCHEDULES = {"cosine": "cosine decay to 0", "linear": "linear decay to 0", "constant": "constant"}
_LOSSES = {
    "mse": "squared error",
    "mae": "absolute error",
    "ccc_batch": "1 minus the concordance correlation in a batch",
    "ccc_recording": "1 minus the concordance correlation in each recording",
}


def format_number(value: float) -> str:
    r"""Format a number as in a paper.

    >>> format_number(0.001), format_number(1e-05), format_number(128.0)
    ('0.001', '$10^{-5}$', '128')
    """
    digits, _, power = f"{value:g}".partition("e")
    if not power:
        return digits
    times = "" if digits == "1" else rf"{digits} \times "
    return f"${times}10^{{{int(power)}}}$"


def describe_settings(settings: Mapping[str, Any], modalities: Sequence[str]) -> list[str]:
    """Describe the enabled settings of a method for these modalities in LaTeX, such as `kernels 9, 5 and 3`."""
    return [text for name, value in settings.items() if (text := _describe_setting(name, value, modalities))]


def _describe_setting(name: str, value: Any, modalities: Sequence[str]) -> str:
    if value is None or value is False or value in ("", [], {}) or not _is_applicable(name, modalities):
        return ""
    words = escape(_WORDS.get(name, in_words(name)))
    if value is True:
        return words
    if isinstance(value, Mapping):
        inner = describe_settings(value, modalities)
        return f"{words} ({', '.join(inner)})" if inner else ""
    return f"{words} {_format_value(value)}"


def _format_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return join_with_and([_format_value(each) for each in value])
    return format_number(value) if isinstance(value, int | float) else escape(value)


def _is_applicable(name: str, modalities: Sequence[str]) -> bool:
    """Return False if a setting, such as `eeg` or `face_kernels`, is for a modality that the method does not read."""
    matching = [m for m in MODALITIES if name == m or name.startswith((f"{m}_", f"{m.partition('_')[0]}_"))]
    return not matching or any(m in each for m in matching for each in modalities)


def describe_view(view: Mapping[str, Any] | None) -> str:
    """Describe the part of a unit that a method reads at a time: a window, a context window, or the whole unit."""
    about = view or {}
    kind, length, step = about.get("kind", "unit"), about.get("length_s"), about.get("step_s")
    if kind == "context" and length:
        return rf"one window of {length:g}~s for each unit, which ends with the unit and may begin before it"
    if kind == "window" and length:
        return rf"windows of {length:g}~s, one every {step or length:g}~s"
    return "whole units"


def describe_training(recipe: Mapping[str, Any], kinds: Sequence[str]) -> str:
    """Describe optimiser, learning rate, batches, epochs, and the loss for targets of these kinds."""
    return "; ".join([", ".join(_steps(recipe)), _describe_epochs(recipe), *_describe_losses(recipe, kinds)])


def _steps(recipe: Mapping[str, Any]) -> Iterator[str]:
    optimiser = recipe["optimiser"]
    decay = f"weight decay {format_number(recipe['weight_decay'])}"
    betas = rf"$\beta$ = {join_with_and([f'{beta:g}' for beta in recipe['betas']])}"
    moments = f"momentum {recipe['momentum']:g}" if optimiser == "sgd" else betas
    yield f"{_OPTIMISERS.get(optimiser, escape(optimiser))} ({moments}, {decay})"
    schedule = _SCHEDULES.get(recipe["schedule"], f"times {recipe['factor']:g} every {recipe['every']} epochs")
    warmup = recipe.get("warmup")
    after = f" after {warmup} epoch{'s' if warmup > 1 else ''} of linear warm-up" if warmup else ""
    yield f"learning rate {format_number(recipe['lr'])} ({schedule}{after})"
    if recipe.get("layer_decay", 1.0) != 1.0:
        yield f"multiplied by {recipe['layer_decay']:g} from layer to layer, from the head down"
    yield f"batches of {recipe['batch']}"
    if recipe.get("clip") is not None:
        yield f"gradient norm at most {recipe['clip']:g}"


def _describe_epochs(recipe: Mapping[str, Any]) -> str:
    epochs, patience = recipe["epochs"], recipe.get("patience", 0)
    if recipe["selection"] == "early_stop":
        stop = f", and training stopped after {patience} epochs without a lower one" if patience < epochs else ""
        return f"at most {epochs} epochs, of which the one with the lowest loss on validation subjects was kept{stop}"
    if recipe["selection"] == "best_train":
        return f"{epochs} epochs, of which the one with the highest training accuracy was kept"
    return f"{epochs} epochs, of which the last was kept; the held-out validation subjects were not used for that"


def _describe_losses(recipe: Mapping[str, Any], kinds: Sequence[str]) -> Iterator[str]:
    found = dict.fromkeys(kinds)
    balanced = ", classes weighted inversely to their frequency" if recipe.get("class_weight") == "balanced" else ""
    if "binary" in found:
        yield f"loss: binary cross-entropy{balanced}"
    if "classes" in found:
        yield f"loss: cross-entropy{balanced}"
    if "value" in found:
        yield f"loss: {_LOSSES[recipe.get('loss', 'mse')]} of labels standardised by the training units"


# Parts of a method in sentences: layers and input of networks, their training, and the fitting of estimators, from the
# recipes in a record.

_CONTAINERS = frozenset({"Module", "ModuleDict", "ModuleList", "Parameter", "Sequential"})
_TRAINED: Mapping[str, Sequence[str]] = {
    "tokens": ("fusion",), "unimodal": ("encoder",), "hidden": ("encoder", "fusion"), "estimator": ("encoder",),
}  # fmt: skip
"""How a fusion joins modalities -> the parts of the method whose recipes trained networks."""


def describe_parts(run: RunFacts) -> list[str]:
    """Return sentences on encoders, fusion and training."""
    return [*_describe_encoders(run), *_describe_fusion(run), *_describe_size(run), *_describe_trained(run)]


def signals_in_words(modalities: Sequence[str]) -> str:
    """Return the names of signals in a sentence: `PPG, EDA and skin temperature`."""
    names = [vocabulary.label(name, "modalities") for each in modalities for name in split_modality(each)]
    return escape(join_with_and(list(dict.fromkeys(names))))


def _describe_encoders(run: RunFacts) -> Iterator[str]:
    """Yield sentences on each encoder, once for all modalities with the same settings."""
    groups: dict[str, list[str]] = {}
    for modality, name in run.manifest.method.encoders.items():
        if recipe := run.parts.get(f"encoder[{modality}]"):
            key = [recipe.get(field) for field in ("view", "prepare", "build", "frozen")]
            groups.setdefault(str([name, *key, run.manifest.measurement_units.get(modality)]), []).append(modality)
    for modalities in groups.values():
        recipe, name = run.parts[f"encoder[{modalities[0]}]"], run.manifest.method.encoders[modalities[0]]
        if method_kind(run.manifest.method) == "features":
            input_text = f"{signals_in_words(modalities)} over {describe_view(recipe.get('view'))}"
            yield f"{_describe_plugin('encoder', name)} computed features of {input_text}."
            if settings := describe_settings(recipe.get("prepare", {}), modalities):
                yield f"Settings: {'; '.join(settings)}."
        else:
            yield from _describe_network(run, name, recipe, modalities)


def _describe_network(run: RunFacts, name: str, recipe: Mapping[str, Any], modalities: Sequence[str]) -> Iterator[str]:
    """Yield sentences on the input and the layers of a network."""
    prepare, view = dict(recipe.get("prepare", {})), recipe.get("view") or {}
    rate = prepare.pop("rate_hz", None) or prepare.pop("frames_hz", None) or (run.rules.rate_hz if run.rules else None)
    how = f"in {describe_view(view)}"
    if rate:
        samples = f" ({round(view['length_s'] * rate):,} samples)" if view.get("length_s") else ""
        how += rf", at {rate:g}~Hz{samples}"
    if unit := run.manifest.measurement_units.get(modalities[0]):
        how += f", in its unit instead of z-scores ({escape(unit)})"
    yield f"{_describe_plugin('encoder', name)} read {signals_in_words(modalities)} {how}."
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
    """Return the layers of `torch.nn` that Python code creates, in the order of the code; empty if it cannot be parsed.

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


def _describe_fusion(run: RunFacts) -> Iterator[str]:
    method, recipe = run.manifest.method, run.parts.get("fusion")
    if not method.fusion or recipe is None or _get_joins(run) == "unimodal":
        return
    settings = describe_settings(recipe.get("build", {}), method.modalities)
    named = _describe_plugin("fusion", method.fusion)
    if _get_joins(run) != "estimator" and method_kind(method) != "features":
        yield f"{named} joined the modalities{': ' * bool(settings)}{'; '.join(settings)}."
        return
    fitted_to = {"hidden": "the hidden layers of these networks", "decisions": "the decisions of these networks"}
    rows = fitted_to.get(method.inputs or "", "these features")
    balanced = recipe.get("class_weight") == "balanced" and "value" not in _get_kinds(run)
    settings += ["classes weighted inversely to their frequency"] if balanced else []
    yield f"{named} was fitted to {rows}{', with ' * bool(settings)}{'; '.join(settings)}."
    if about := run.manifest.objects.get(method.fusion):
        yield from _describe_pipeline(str(about.get("repr", "")))


def _describe_pipeline(text: str) -> Iterator[str]:
    """Yield sentences on the hyperparameters of a scikit-learn estimator and on missing values, from its `repr`."""
    if not (steps := recorded_hyperparameters(text)):
        return
    defaults = "hyperparameters that are not named have the defaults of scikit-learn"
    yield f"It was {join_with_and([*map(code, steps)])}; {defaults}."
    if not any("Imputer(" in step for step in steps):
        yield (
            "Missing values were replaced by the median of the training rows, unless all of its steps accept missing "
            "values."
        )


def _describe_size(run: RunFacts) -> Iterator[str]:
    cost = run.manifest.cost
    if cost.parameters and method_kind(run.manifest.method) == "network":
        each = " of each fold" if run.manifest.protocol.folds else ""
        head = ", with the head that embench adds: layer normalisation and a linear layer on the mean token"
        names = run.manifest.method.encoders.values()
        added = head if _get_joins(run) == "unimodal" and any(map(registry.is_object, names)) else ""
        yield f"The networks{each} had {round(cost.parameters):,} parameters in all{added}."


def _describe_trained(run: RunFacts) -> list[str]:
    """Return a sentence on training for each group of parts of the method that were trained alike."""
    method, groups = run.manifest.method, dict[str, list[str]]()
    trained = {*(() if method_kind(method) == "features" else _TRAINED.get(_get_joins(run), ())), "pretrainer"}
    for part, recipe in run.parts.items():
        kind = part.partition("[")[0]
        if kind in trained and "optimiser" in recipe:  # not all parts are trained by gradients
            how = describe_training(recipe, [] if kind == "pretrainer" else _get_kinds(run))
            groups.setdefault(how, []).append(_name_part(run, part, recipe))
    sentences = []
    for how, those in groups.items():
        several = len(set(those)) > 1 or those[0] == _END_TO_END
        who = join_with_and(list(dict.fromkeys(those)))
        sentences.append(f"{who} {'were' if several else 'was'} trained with {how}.")
    return sentences


def _get_joins(run: RunFacts) -> str:
    """Return how the fusion joins modalities, from the record, or for early records from the installed fusion."""
    method = run.manifest.method
    if method.joins or not method.fusion:
        return method.joins or ""
    try:
        return str(getattr(registry.load_plugin("fusion", method.fusion), "inputs", "estimator"))
    except EmbenchError:
        return ""


_END_TO_END = "Encoders and fusion"


def _name_part(run: RunFacts, part: str, recipe: Mapping[str, Any]) -> str:
    if part == "fusion" and _get_joins(run) == "tokens":
        return _END_TO_END
    named = code(bare_name(recipe["plugin"]))
    return f"The pretext task {named}" if part.startswith("pretrainer") else named


def _get_kinds(run: RunFacts) -> list[str]:
    return [rule.kind for rule in run.manifest.card.label_rules if rule.name in run.answers]


def _describe_plugin(kind: str, name: str) -> str:
    """Return the name of a plugin with its summary in brackets."""
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
    """Return a sentence on processor, threads and libraries."""
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


# Participants and design of the user's own study, in sentences for a methods section.


def describe_sample(run: RunFacts) -> list[str]:
    """Return sentences on participants and stimuli of the user's own study; none for published datasets."""
    if not is_own(run.manifest.dataset.name):
        return []
    return [*_describe_participants(run), *_describe_design(run)]


def _describe_participants(run: RunFacts) -> list[str]:
    subjects = run.manifest.cohort.subjects
    try:
        reader = find_source(run.manifest.dataset.name, None).reader
        known = [] if isinstance(subjects, int) else [reader.subject_info(subject) for subject in subjects]
    except EmbenchError:  # the folder of the recordings is unknown
        known = []
    sentences = []
    if sexes := Counter(facts["sex"] for facts in known if facts.get("sex")):
        sentences.append(f"Sex as recorded: {join_with_and([f'{escape(k)} {n}' for k, n in sexes.most_common()])}.")
    ages = [
        float(age) for facts in known if (age := facts.get("age", "").replace(",", ".")).replace(".", "", 1).isdigit()
    ]
    if len(ages) > 1:
        spread = f"M = {np.mean(ages):.1f}, SD = {np.std(ages, ddof=1):.1f}, range {min(ages):g} to {max(ages):g}"
        of_some = "" if len(ages) == len(known) else f", of {len(ages)} participants"
        sentences.append(f"Age in years: {spread}{of_some}.")
    return sentences


def _describe_design(run: RunFacts) -> list[str]:
    own = run.record.predictions.own
    rows = own.take(own["seed"] == own["seed"].min()) if len(own) else own
    shown: dict[str, dict[str, float]] = {}
    for subject, stimulus, start in zip(rows["subject"], rows["stimulus"], rows["start_s"], strict=True):
        starts = shown.setdefault(str(subject), {})
        starts[str(stimulus)] = min(float(start), starts.get(str(stimulus), np.inf))
    if not shown:
        return []
    counts = [len(starts) for starts in shown.values()]
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    text = f"Each participant had {each} of {len({name for starts in shown.values() for name in starts})} stimuli"
    if all(np.isfinite(list(starts.values())).all() for starts in shown.values()):
        orders = {tuple(sorted(starts, key=starts.__getitem__)) for starts in shown.values()}
        text += f", in {len(orders)} different orders" if len(orders) > 1 else ", in one order"
    return [f"{text}."]


# The features of estimators by name, as a supplement to the methods section.


def describe_features(runs: Sequence[RunFacts]) -> list[str]:
    """Return a sentence for each encoder and modality with the names of the features that an estimator was fitted to,
    and of dropped features; none where the plugin or the dataset's card is not installed."""
    sentences: dict[str, None] = {}
    for run in runs:
        if run.submission or method_kind(run.manifest.method) != "features":
            continue
        for modality, name in run.manifest.method.encoders.items():
            if listed := _list_features(run, modality, name):
                dropped = run.manifest.dropped.get(modality, {})
                sentences[f"{code(bare_name(name))} of {listed}.{_describe_dropped(dropped)}"] = None
    return list(sentences)


def _list_features(run: RunFacts, modality: str, name: str) -> str:
    recipe, card = run.parts.get(f"encoder[{modality}]"), run.folder_card or run.card
    parts = split_modality(modality)
    if recipe is None or card is None or any(part not in card.modalities for part in parts):
        return ""
    channels = tuple(channel for part in parts for channel in card.modalities[part].channels)
    try:
        settings = {key: value for key, value in recipe.items() if key not in ("plugin", "code")}
        names = registry.load_plugin("encoder", name)(Recipe.from_mapping(settings)).feature_names(
            "+".join(parts), channels
        )
    except (EmbenchError, TypeError):  # the plugin is not installed, or another version with other settings
        return ""
    if not names:
        return ""
    listed, each = _without_channels(names, channels)
    return f"{signals_in_words([modality])}, {counted(len(names), 'feature')}{each}: {escape(', '.join(listed))}"


def _without_channels(names: Sequence[str], channels: Sequence[str]) -> tuple[list[str], str]:
    """Return the names of features without channels, and a text on the channels, if all channels have the same
    features; else all names and an empty text."""
    first = f"{channels[0]}_" if channels else ""
    base = [name.removeprefix(first) for name in names if name.startswith(first)]
    every = {f"{channel}_{name}" for channel in channels for name in base}
    if len(channels) > 1 and len(every) == len(names) and every == set(names):
        return base, f" ({len(base)} of each of the channels {escape(join_with_and(list(channels)))})"
    return list(names), ""


def _describe_dropped(dropped: Mapping[str, str]) -> str:
    reasons = grouped((why, name) for name, why in dropped.items())
    texts = [f"{escape(', '.join(names))} ({escape(why)})" for why, names in reasons.items()]
    return f" Dropped in some fold: {'; '.join(texts)}." if texts else ""


# The methods section of a paper, in LaTeX, from the records of runs and their protocols.

_JACKKNIFE = r"with 95~\% $t$ intervals from the jackknife over groups of subjects"


def methods_section(records: Sequence[Record]) -> str:
    """Return the methods section on some runs, in LaTeX: for each group of runs on the same data a paragraph on data,
    protocol and scores, a paragraph for each method, and a supplement on the features of estimators."""

    def shared_facts(run: Manifest) -> str:
        cohort = run.cohort.model_copy(update={"repaired": None})  # `repaired` depends on the method's modalities
        return str([run.dataset.name, run.protocol.hash, cohort, run.targets, run.dev])

    alike = grouped((shared_facts(record.manifest), RunFacts(record)) for record in records)
    groups = [_update_counts(some) for some in alike.values()]
    return render_text(
        "methods.tex",
        groups=groups,
        variants=_group_variants,
        described=_describe_method,
        labels=_describe_labels,
        names={run: name for some in groups for run, name in row_names(some).items()},
        versions=sorted({record.manifest.embench_version for record in records}),
        added=describe_added_modalities,
        costs=lambda run: [text for text in run.measured if not text.startswith("processor ")],
        dataset_key=_get_dataset_key,
        left_out=_describe_exclusions,
        find_plugin_paper=bibliography.find_plugin_paper,
        find_protocol_paper=bibliography.find_protocol_paper,
        predicted=_describe_targets,
        primary_metric=_describe_metric,
        list_controls=_list_controls,
        variant_name=_variant_name,
        sample=describe_sample,
        averages=_reads_windows,
        bands=_describe_bands,
        features=describe_features,
        machines=lambda some: dict.fromkeys(describe_machine(run) for run in some if not run.submission),
        shared_notes=_list_shared_notes,
    )


def _update_counts(some: Sequence[RunFacts]) -> list[RunFacts]:
    """Give unpublished runs the evaluation counts of the latest one, after which the text is written."""
    unpublished = [run.manifest for run in some if run.manifest.entry is None]
    last = max(unpublished, key=lambda run: run.most_of("methods_evaluated"), default=None)
    names = ("methods_evaluated", "test_evaluations", "ledger") if last else ()
    counts = {name: getattr(last, name) for name in names}
    return [
        run if run.manifest.entry else RunFacts(replace(run.record, run={**run.record.run, **counts})) for run in some
    ]


def _group_variants(some: Sequence[RunFacts]) -> list[list[RunFacts]]:
    """Group runs of the same method, which differ in settings only."""

    def key(run: RunFacts) -> str:
        about = run.manifest
        return str([about.id] if run.submission else [run.row_name, about.method, about.calibration_data])

    return list(grouped((key(run), run) for run in some).values())


def _describe_method(variant: Sequence[RunFacts], names: Mapping[str, str]) -> list[str]:
    """Return LaTeX sentences on a method, whose runs are variants of its settings. With several variants, the sentences
    on all variants come first; a text on each variant follows."""
    texts = [_write_sentences(run) for run in variant]
    shared = [text for text in texts[0] if all(text in each for each in texts)]
    if len(variant) == 1:
        return shared
    own = []
    for run, each in zip(variant, texts, strict=True):
        differs = " ".join(text for text in each if text not in shared)
        own.append(rf"\emph{{{escape(_variant_name(run, names))}}}: {differs}".rstrip(": "))
    return [*shared, f"It was run in {number_in_words(len(variant))} variants, which differ as follows.", *own]


def _variant_name(run: RunFacts, names: Mapping[str, str]) -> str:
    """Return the settings that distinguish a run from other runs of the same method."""
    return names[run.manifest.id].removeprefix(run.row_name).lstrip(", ") or run.row_name


def _list_shared_notes(variant: Sequence[RunFacts]) -> list[str]:
    """Return the notes that apply to all results of these runs."""
    notes = [[note for form in run.summaries.values() for note in form.notes] for run in variant]
    return [note for note in dict.fromkeys(notes[0]) if all(note in each for each in notes)]


def _write_sentences(run: RunFacts) -> list[str]:
    """Return sentences on the parts of a method, their papers, settings and pretraining."""
    recipe = run.manifest.recipe
    made_here = all(name.startswith("object:") for name in run.manifest.method.encoders.values())
    texts = [] if made_here else [f"Settings not named here are those of embench's recipe {code(recipe.preset)}."]
    texts += [*describe_parts(run), *_cite_sources(run)]
    if recipe.settings:
        texts.append(f"Changed settings: {join_with_and([code(each) for each in recipe.settings])}.")
    if recipe.preset == "paper" and recipe.assumed:
        texts.append(f"Assumed (left open by the paper): {join_with_and([code(each) for each in recipe.assumed])}.")
    return [*texts, *_describe_pretraining(run)]


def _describe_labels(run: RunFacts) -> list[str]:
    """Return a sentence for each target on the definition of its labels and the number of units in each class."""
    sentences = []
    for target in run.targets:
        about = TargetQuestion.from_run(run.record.run, target.name)
        words = [code(part) if k % 2 else escape(part) for k, part in enumerate(about.label.split("`"))]
        text = f"The label of {escape(in_words(target.name))} was {''.join(words)}"
        labels = run.tested_labels(target)
        if labels is not None and about.higher:
            high = int((labels == 1).sum())
            low = len(labels) - high
            text += f": {high:,} labelled units of {escape(about.higher)}, {low:,} of {escape(about.lower)}"
        sentences.append(f"{text}.")
    return sentences


def _describe_targets(run: RunFacts) -> list[str]:
    """Return a text for each target: its name, kind, and number and length of units."""
    rules = {rule.name: rule for rule in run.manifest.card.label_rules}
    units, target, method = (run.record.predictions[name] for name in ("unit", "target", "method"))
    texts = []
    for head in run.answers.values():
        ids = np.unique(units[(method == MODEL) & (target == head.target)])
        length = unit_length(ids)
        what = "whole recordings" if np.isnan(length) else rf"segments of {length:g}~s"
        how_many = f"; {len(ids):,} {what}" if len(ids) else ""  # entries without public labels have no units
        kind = _describe_rule(rules[head.target]) if head.target in rules else ""
        texts.append(f"{escape(in_words(head.target))} ({kind}{how_many})")
    return texts


def _describe_rule(about: RuleOfTargetPart) -> str:
    rule, parts = about.rule, [KINDS[about.kind].singular.format(n=number_in_words(about.n))]
    if rule.centred:
        parts.append("minus the subject's mean")
    if rule.cut == "training_mean":
        parts.append("cut at the mean of the training labels")
    elif rule.cut is not None:
        parts.append(f"cut at {rule.cut:g}, ties {rule.ties}")
    if rule.dead_band:
        low, high = rule.dead_band
        parts.append(f"no label from {low:g} to {high:g}")
    if rule.lag_s:
        when = "after" if rule.lag_s > 0 else "before"
        parts.append(rf"labels read {abs(rule.lag_s):g}~s {when} the signals")
    return ", ".join(parts)


def _describe_bands(some: Sequence[RunFacts]) -> str:
    """Return a text with the passband of each prepared modality; empty without the dataset's card."""
    run = some[0]
    card, rules = run.folder_card or run.card, run.rules
    if card is None or rules is None or rules.preprocess not in RULES:
        return ""
    names = [name for each in some for m in each.manifest.method.modalities for name in split_modality(m)]
    bands = []
    for name in dict.fromkeys(names):
        if about := card.modalities.get(name):
            high, low = band_after(name, (about.rate, rules.rate_hz), about.applied, rules.preprocess)
            bands.append(rf"{signals_in_words([name])} {high:g} to {low:g}~Hz")
    return f"; passbands: {', '.join(bands)}" if bands else ""


def _reads_windows(some: Sequence[RunFacts]) -> bool:
    """Return True if a network reads windows of units, whose predictions are averaged."""
    recipes = [recipe for run in some for recipe in run.parts.values() if method_kind(run.manifest.method) == "network"]
    return any((recipe.get("view") or {}).get("kind") == "window" for recipe in recipes)


def _describe_exclusions(run: RunFacts) -> str:
    """Return a sentence on the number of excluded subjects for each reason."""
    counts = Counter(row["reason"] for row in run.manifest.cohort.left_out)
    if not counts:
        return ""
    who = join_with_and([f"{counted(number, 'subject')} ({escape(reason)})" for reason, number in counts.items()])
    return f"{who[0].upper()}{who[1:]} {'was' if counts.total() == 1 else 'were'} excluded."


def _describe_metric(metric: str) -> str:
    """Return sentences on the meaning of a primary metric and on its interval."""
    facts = metric_facts(metric)
    meaning = re.sub(r"(?<=\d) (?=s\b)", "~", escape(facts.about.partition(". ")[0].removesuffix(".")))
    own = cite(bibliography.find_plugin_paper("metric", metric))
    if metric in WITHIN_SUBJECT_SCORES:
        return rf"{escape(facts.title)}{own}, with a 95~\% $t$ interval over groups of subjects. {meaning}."
    intervals = f"{_JACKKNIFE}{cite(bibliography.INTERVALS_PAPER)}"
    if metric in CONDITIONED_NEEDS:
        return f"{escape(facts.title)}, {intervals}. {meaning}."
    average = "computed for each fold and seed and averaged over seeds, then over folds"
    return f"{escape(facts.title)}{own}, {average}, {intervals}."


def _list_controls(some: Sequence[RunFacts]) -> list[str]:
    """Return the confound-only models that apply to targets whose scores are adjusted for confounds."""
    adjusted = [(run, head) for run in some for head in run.answers.values() if head.adjusted]
    return sorted({name for run, head in adjusted for name in run.list_applicable_controls(head)})


def _cite_sources(run: RunFacts) -> list[str]:
    """Return a sentence for each paper that describes parts of a method."""
    found = [(bibliography.find_plugin_paper(kind, name), code(bare_name(name))) for kind, name in run.plugins]
    sentences = []
    for paper, parts in grouped(found).items():
        distinct = list(dict.fromkeys(parts))
        follows = "follows" if len(distinct) == 1 else "follow"
        sentences += [f"{join_with_and(distinct)} {follows}{cite(paper)}."] if paper else []
    return sentences


def _describe_pretraining(run: RunFacts) -> list[str]:
    """Return sentences on the datasets and weights of pretraining, and its overlap with test subjects."""
    about = run.manifest
    named = [source.get("dataset") for source in about.pretraining]
    sources = [f"{escape(bare_name(str(name)))}{cite(_get_dataset_key(name)) if name else ''}" for name in named]
    sentences = [f"Pretraining used {join_with_and(sources)}."] if sources else []
    own = (about.trained_on or about.dataset).name
    if any(_is_in_each_fold(text, own) for text in about.method.pretrainers):
        sentences.append("It was pretrained separately in each fold, on the training subjects of that fold.")
    sentences += [f"Weights of {escape(words)}." for words in run.weights]
    if about.pretraining_overlap != "none":
        sentences.append(f"Overlap of pretraining with the test subjects: {run.overlap}.")
    return sentences


def _is_in_each_fold(pretrainer: str, dataset: str) -> bool:
    """Return True if a pretrainer reads the training subjects of each fold: it names no source dataset, or the run's
    own `dataset` among several."""
    sources = pretrainer.rpartition(":")[2].split("+") if ":" in pretrainer else []
    return not sources or (
        len(sources) > 1 and any(source in (dataset, dataset.split("/", 1)[-1]) for source in sources)
    )


def _get_dataset_key(name: str) -> str | None:
    paper = bibliography.dataset_paper(name)
    return paper.key if paper else None
