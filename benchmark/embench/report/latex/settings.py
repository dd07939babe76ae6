"""Settings of a recipe in words: sizes and switches, the input, and the training of a stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from embench.interfaces.recording import MODALITIES
from embench.records.wording import in_words, join_with_and
from embench.report.text import escape

_WORDS = {
    "C": "C =",
    "asks": "query modality",
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
"""Settings that bundled plugins abbreviate; all others by their own names."""

_OPTIMISERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
_SCHEDULES = {"cosine": "cosine decay to 0", "linear": "linear decay to 0", "constant": "constant"}
_LOSSES = {
    "mse": "squared error",
    "mae": "absolute error",
    "ccc_batch": "1 minus the concordance correlation in a batch",
    "ccc_recording": "1 minus the concordance correlation in each recording",
}


def format_number(value: float) -> str:
    r"""A number as a paper prints it.

    >>> format_number(0.001), format_number(1e-05), format_number(128.0)
    ('0.001', '$10^{-5}$', '128')
    """
    digits, _, power = f"{value:g}".partition("e")
    if not power:
        return digits
    times = "" if digits == "1" else rf"{digits} \times "
    return f"${times}10^{{{int(power)}}}$"


def describe_settings(settings: Mapping[str, Any], modalities: Sequence[str]) -> list[str]:
    """Settings of a method on these modalities, such as `kernels 9, 5 and 3`, for LaTeX; without those that are off."""
    return [text for name, value in settings.items() if (text := _setting(name, value, modalities))]


def _setting(name: str, value: Any, modalities: Sequence[str]) -> str:
    if value is None or value is False or value in ("", [], {}) or not _applies(name, modalities):
        return ""
    words = escape(_WORDS.get(name, in_words(name)))
    if value is True:
        return words
    if isinstance(value, Mapping):
        inner = describe_settings(value, modalities)
        return f"{words} ({', '.join(inner)})" if inner else ""
    return f"{words} {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return join_with_and([_value(each) for each in value])
    return format_number(value) if isinstance(value, int | float) else escape(value)


def _applies(name: str, modalities: Sequence[str]) -> bool:
    """False of a setting for a modality that the method doesn't read, such as `face_kernels` or `eeg`."""
    of = [m for m in MODALITIES if name == m or name.startswith((f"{m}_", f"{m.partition('_')[0]}_"))]
    return not of or any(m in each for m in of for each in modalities)


def describe_view(view: Mapping[str, Any] | None) -> str:
    """Describe in words what a stage reads of a unit."""
    about = view or {}
    kind, length, step = about.get("kind", "unit"), about.get("length_s"), about.get("step_s")
    if kind == "context" and length:
        return rf"one window of {length:g}~s for each unit, which ends with the unit and may begin before it"
    if kind == "window" and length:
        return rf"windows of {length:g}~s, one every {step or length:g}~s"
    return "whole units"


def describe_training(recipe: Mapping[str, Any], kinds: Sequence[str]) -> str:
    """Optimiser, learning rate, batch, epochs, the rule that selects one, and the loss on targets of these kinds."""
    return "; ".join([", ".join(_steps(recipe)), _selection(recipe), *_losses(recipe, kinds)])


def _steps(recipe: Mapping[str, Any]) -> Iterator[str]:
    optimiser = recipe["optimiser"]
    decay = f"weight decay {format_number(recipe['weight_decay'])}"
    moments = f"momentum {recipe['momentum']:g}" if optimiser == "sgd" else _betas(recipe["betas"])
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


def _betas(betas: Sequence[float]) -> str:
    return rf"$\beta$ = {join_with_and([f'{beta:g}' for beta in betas])}"


def _selection(recipe: Mapping[str, Any]) -> str:
    epochs, patience = recipe["epochs"], recipe.get("patience", 0)
    if recipe["selection"] == "early_stop":
        stop = f", and training stopped after {patience} epochs without a lower one" if patience < epochs else ""
        return f"at most {epochs} epochs, of which the one with the lowest loss on validation subjects was kept{stop}"
    if recipe["selection"] == "best_train":
        return f"{epochs} epochs, of which the one with the highest training accuracy was kept"
    return f"{epochs} epochs, of which the last was kept; the held-out validation subjects were not used for that"


def _losses(recipe: Mapping[str, Any], kinds: Sequence[str]) -> Iterator[str]:
    found = dict.fromkeys(kinds)
    balanced = ", classes weighted inversely to their frequency" if recipe.get("class_weight") == "balanced" else ""
    if "binary" in found:
        yield f"loss: binary cross-entropy{balanced}"
    if "classes" in found:
        yield f"loss: cross-entropy{balanced}"
    if "value" in found:
        yield f"loss: {_LOSSES[recipe.get('loss', 'mse')]} of labels standardised by the training units"
