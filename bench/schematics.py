"""The figures of other pages: `python -m bench.schematics` draws them again into docs/images.

Scores are read from published entries; the other figures are schemes. All are drawn as `bench/figures.py` draws.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import yaml

import embench

from .figures import BOLD, IMAGES, draw_arrow, draw_line, draw_text, make_picture

ROOT = Path(__file__).resolve().parents[1]


class Score(NamedTuple):
    """A score with its interval."""

    label: str
    mean: float
    low: float
    high: float


def draw_interval(place: Callable[[float], int], y: float, low: float, mean: float, high: float) -> list[str]:
    """Return an interval as a line, and the mean as a dot on it. `place` gives the x of a value."""
    return [
        draw_line(place(low), y, place(high), y, more=' stroke-width="2.5"'),
        f'<circle class="dot" cx="{place(mean)}" cy="{y}" r="6"/>',
    ]


def draw_scores(title: str, subtitle: str, scores: Sequence[Score], chance: float | None = 0.5) -> str:
    """Return scores below one another, on an axis from 0 or from .2 to 1."""
    least = 0.0 if chance is None else 0.2
    place = lambda value: round(18 + (value - least) / (1 - least) * 340)  # noqa: E731
    height = 96 + 48 * len(scores)
    parts = [draw_text(18, 29, title, 16, more=BOLD), draw_text(18, 49, subtitle, 14, "quiet")]
    ticks = [value for value in (0.0, 0.25, 0.5, 0.75, 1.0) if value >= least]
    for value in ticks:
        words = "0.50: chance" if value == chance else f"{value:.2f}"
        parts.append(draw_text(place(value) - 12, 73, words, 13, "quiet"))
    for k, (label, mean, low, high) in enumerate(scores):
        y = 98 + 48 * k
        parts += [
            *(draw_line(place(value), y + 6, place(value), y + 26, "rule") for value in ticks),
            draw_text(18, y, label),
            draw_text(382, y, f"{mean:.2f}", more=BOLD + ' text-anchor="end"'),
            *draw_interval(place, y + 16, max(low, least), mean, high),
        ]
    said = "; ".join(f"{each.label} {each.mean:.2f} ({each.low:.2f} to {each.high:.2f})" for each in scores)
    return make_picture(height, title, f"{subtitle}. {said}.", parts)


NAMES = {"ppg": "pulse (PPG)", "eda": "skin conductance (EDA)", "temp": "skin temperature", "acc": "movement"}
NAMES |= {"eeg": "EEG", "ecg": "ECG", "majority": "majority class", "recording_length": "length of the recording"}
NAMES |= {"elapsed_time": "time since the start alone"}
ARITHMETIC = "eegmat/subject-independent-v4/handcrafted-svm-50a3987de6"
BY_TIME, BY_STIMULUS, WITHIN = "auroc_crossed_matched", "auroc_crossed", "auroc_within"


def confound_only(*names: str) -> list[Score]:
    """Return the scores within subjects of confound-only models on EEGMAT, from a published entry."""
    scores = embench.open_result(ROOT / "leaderboards" / ARITHMETIC).scores
    found = {name: scores.get_score("task", WITHIN, name) for name in names}
    return [
        Score(NAMES[name], each.mean, each.low, each.high)
        for name, each in found.items()
        if each and each.low is not None and each.high is not None
    ]


def eegmat() -> str:
    """Return the scores of models that read no signal of EEGMAT."""
    scores = confound_only("elapsed_time", "recording_length", "majority")
    return draw_scores("No signal, and yet", "EEGMAT, within-subject AUROC", scores)


def leaderboard(dataset: str, target: str, metric: str, subtitle: str, models: Sequence[str] = ()) -> str:
    """Return the scores of the support vector machine on handcrafted features, by signals, and of confound-only models
    of EEGMAT."""
    scores = []
    for entry in sorted((ROOT / "leaderboards" / dataset / "subject-independent-v4").glob("handcrafted-svm-*")):
        run = yaml.safe_load((entry / "run.yaml").read_text("utf-8"))
        if target in run["targets"] and not run["config"]["train_dataset"]:
            found = json.loads((entry / "scores.json").read_text("utf-8"))["scores"][target][metric]
            signals = run["method"]["modalities"]
            label = NAMES[signals[0]] if len(signals) == 1 else f"all {len(signals)} together"
            scores.append(Score(label, *(found[key] for key in ("mean", "low", "high"))))
    ordered = sorted(scores, key=lambda each: -each.mean)
    return draw_scores("SVM on handcrafted features", subtitle, [*ordered, *confound_only(*models)])


def exercise() -> str:
    """Return how often the support vector machine calls a unit stress, in four states."""
    found = json.loads((ROOT / "docs" / "boards" / "exercise.json").read_text("utf-8"))
    (one,) = (
        each for each in found if each["method"] == "svm" and each["modalities"] in ("ppg,eda,temp", "ppg, eda, temp")
    )
    shares = [
        Score(state, *(figures["share"][key] for key in ("mean", "low", "high")))
        for state, figures in one["figures"].items()
    ]
    return draw_scores("How often an SVM says “stress”", "Wearable Stress, proportion of units of 10 s", shares, None)


class Row(NamedTuple):
    """A row of a scheme of splits: what is asked, and the role of each stretch of four subjects' sessions."""

    name: str
    roles: tuple[str, ...]
    """For each subject a letter for each stretch: t training, T test, c calibration data, - unused."""


SPLITS = (
    Row("new people", ("tttttt", "tttttt", "tttttt", "TTTTTT")),
    Row("new people and stimuli", ("tttt--", "tttt--", "tttt--", "----TT")),
    Row("with calibration data", ("tttttt", "tttttt", "tttttt", "cc-TTT")),
    Row("later, same person", ("tttttt", "tttttt", "tttttt", "tttTTT")),
    Row("random split (leaks)", ("tTttTt", "ttTttT", "TtttTt", "tTtTtt")),
)
CLASSES = {"t": "train", "T": "test", "c": "check", "-": "box"}


def draw_legend(y: float, words: Sequence[tuple[str, str]], step: int = 110) -> list[str]:
    """Return squares with the words that they stand for."""
    parts = []
    for k, (role, word) in enumerate(words):
        parts.append(f'<rect class="{role}" x="{18 + step * k}" y="{y - 12}" width="14" height="14"/>')
        parts.append(draw_text(38 + step * k, y, word))
    return parts


def splits() -> str:
    """Return which units of four subjects are trained and tested on."""
    parts = [draw_text(18, 29, "What is tested, what is trained on", 16, more=BOLD)]
    parts.append(draw_text(18, 50, "one line: a subject's session, from left to right", 14, "quiet"))
    for k, row in enumerate(SPLITS):
        y = 68 + 74 * k
        parts.append(draw_text(18, y + 32, row.name))
        for line, roles in enumerate(row.roles):
            for place, role in enumerate(roles):
                x = 196 + 31 * place
                parts.append(f'<rect class="{CLASSES[role]}" x="{x}" y="{y + 14 * line}" width="29" height="12"/>')
    parts += draw_legend(460, (("train", "training"), ("check", "calibration"), ("test", "test")), 124)
    said = "; ".join(row.name for row in SPLITS)
    return make_picture(478, "Splits of protocols", f"Four subjects in each of five splits: {said}.", parts)


def calibration() -> str:
    """Return what a test subject gives, and what is scored."""
    parts = [draw_text(18, 29, "The session of a test subject", 16, more=BOLD)]
    stretches = ((18, 84, "check", "first units"), (102, 96, "box", "gap: a block"), (198, 184, "test", "scored units"))
    for x, width, role, word in stretches:
        parts.append(f'<rect class="{role}" x="{x}" y="66" width="{width - 3}" height="30"/>')
        parts.append(draw_text(x + width - 3, 58, word, more=' text-anchor="end"'))
    parts += [
        draw_text(128, 114, "and 60 s", 14, "quiet"),
        draw_arrow(55, 150, 55, 100),
        draw_text(18, 168, "calibration data: adapt the model", 14, "note"),
        draw_arrow(285, 128, 285, 100),
        draw_text(218, 144, "the same at all amounts", 14, "note"),
    ]
    description = "First units are calibration data, then a gap of at least a block and 60 s, then the scored units."
    return make_picture(186, "Calibration data", description, parts)


ANSWERS = (
    ("yes", 0.57, 0.66, "the interval lies above chance"),
    ("not shown", 0.46, 0.6, "it includes chance"),
    ("no larger than δ", 0.47, 0.54, "its upper end lies below δ"),
    ("reversed", 0.36, 0.46, "it lies below: check the coding"),
)


def answers() -> str:
    """Return intervals with the answers that they give."""
    place = lambda value: round(18 + (value - 0.3) * 900)  # noqa: E731
    parts = [draw_text(18, 29, "From interval to answer", 16, more=BOLD)]
    for value, words in ((0.5, "0.50"), (0.55, "δ: 0.55")):
        parts.append(draw_text(place(value) - 14, 54, words, 13, "quiet"))
    for k, (answer, low, high, why) in enumerate(ANSWERS):
        y = 80 + 50 * k
        parts += [
            *(draw_line(place(value), y + 6, place(value), y + 26, "rule") for value in (0.5, 0.55)),
            draw_text(18, y, f'<tspan font-weight="bold">{answer}</tspan>: {why}'),
            *draw_interval(place, y + 16, low, (low + high) / 2, high),
        ]
    said = "; ".join(f"{answer}: {low} to {high}, {why}" for answer, low, high, why in ANSWERS)
    return make_picture(276, "Answers", f"Examples of AUROC intervals. {said}.", parts)


def adjustment() -> str:
    """Return how confounds are taken out of score and label."""
    boxes = ((110, 46, "confounds: time, movement"), (18, 150, "the method's score"), (222, 150, "the label"))
    parts = [draw_text(18, 29, "Associated given time and movement?", 16, more=BOLD)]
    for x, y, words in boxes:
        width = 220 if x == 110 else 160
        parts.append(f'<rect class="box" x="{x}" y="{y}" width="{width}" height="36" rx="6"/>')
        parts.append(draw_text(x + width / 2, y + 23, words, more=' text-anchor="middle"'))
    parts += [
        draw_arrow(180, 84, 110, 148),
        draw_arrow(260, 84, 300, 148),
        draw_text(22, 112, "models predict", 14, "note"),
        draw_text(296, 112, "both", 14, "note"),
        draw_arrow(98, 188, 98, 226),
        draw_arrow(302, 188, 302, 226),
        draw_text(98, 246, "residual score", more=' text-anchor="middle"' + BOLD),
        draw_text(302, 246, "residual label", more=' text-anchor="middle"' + BOLD),
        draw_line(156, 241, 246, 241, "line", ' stroke-width="2" stroke-dasharray="5 4"'),
        draw_text(200, 274, "correlated? partial r, over subjects", 14, "note", ' text-anchor="middle"'),
    ]
    description = "Models of time and movement predict score and label. Partial r is the correlation of the residuals."
    return make_picture(292, "The confound test", description, parts)


def lag() -> str:
    """Return a label that follows the signal."""
    wave = "q 20 0 30 -32 q 14 -40 40 8 q 16 30 50 24"
    parts = [draw_text(18, 29, "A rating follows its cause", 16, more=BOLD)]
    for x, y, words in ((100, 112, "skin"), (156, 190, "rating")):
        parts.append(draw_text(18, y - 4, words))
        parts.append(f'<path class="line" fill="none" stroke-width="2.5" d="M 76 {y} L {x} {y} {wave} L 382 {y}"/>')
    parts += [
        draw_line(158, 44, 158, 208, "rule"),
        draw_line(214, 44, 214, 208, "rule"),
        draw_arrow(212, 128, 160, 128),
        draw_text(222, 133, "--lag 2: read 2 s later", 14, "note"),
    ]
    return make_picture(220, "A lag", "The rating rises 2 s after the skin does; a lag reads labels later.", parts)


def draw_steps(title: str, steps: Sequence[tuple[str, str, str]]) -> str:
    """Return boxes below one another: a name, what it is, and what it hands on."""
    parts = [draw_text(18, 29, title, 16, more=BOLD)]
    for k, (name, what, gives) in enumerate(steps):
        y = 44 + 78 * k
        parts += [
            f'<rect class="box" x="16" y="{y}" width="368" height="56" rx="6"/>',
            draw_text(30, y + 22, name, more=BOLD),
            draw_text(370, y + 22, gives, 14, "note", ' text-anchor="end"'),
            draw_text(30, y + 44, what, 14, "quiet"),
        ]
        if k:
            parts.append(draw_arrow(200, y - 21, 200, y - 2))
    said = "; ".join(f"{name}: {what} ({gives})" for name, what, gives in steps)
    return make_picture(44 + 78 * len(steps), title, f"From top to bottom: {said}.", parts)


PARTS = (
    ("dataset", "reads files", "recordings, labels"),
    ("pretrainer, if any", "trains encoders without your labels", "weights"),
    ("encoder, one per modality", "x (B, C, T)", "tokens (B, L, D)"),
    ("fusion, or estimator", "all modalities", "logits, or scores"),
    ("metric", "predictions and labels", "a number"),
)
PRETRAINING = (
    ("unlabelled recordings", "training subjects, or another dataset", "signals"),
    ("pretrainer", "masks and predicts, or other tasks", "weights"),
    ("run", "trains on the labels of each fold", "score"),
    ("comparison runs", "random frozen, scratch, features", "their scores"),
    ("gain from pretraining", "paired over subjects", "differences"),
)
EVIDENCE = (
    ("self-reported", "the author's files", "no rank"),
    ("verified", "the files fit together", "no rank"),
    ("spot-checked", "some folds, drawn later, run again", "ranked"),
    ("reproduced", "all folds run again", "ranked"),
)

FIGURES: dict[str, Callable[[], str]] = {
    "stress_predict.svg": partial(
        leaderboard, "stress_predict", "stress", BY_TIME, "Stress-Predict, time-matched AUROC"
    ),
    "wearable_stress.svg": partial(
        leaderboard, "wearable_stress", "stress", BY_TIME, "Wearable Stress, time-matched AUROC"
    ),
    "hku956.svg": partial(leaderboard, "hku956", "valence", BY_STIMULUS, "HKU956, valence, stimulus-matched AUROC"),
    "eegmat.svg": partial(leaderboard, "eegmat", "task", WITHIN, "EEGMAT, within-subject AUROC", ["elapsed_time"]),
    "eegmat-confounds.svg": eegmat,
    "exercise.svg": exercise,
    "splits.svg": splits,
    "calibration.svg": calibration,
    "answers.svg": answers,
    "adjustment.svg": adjustment,
    "lag.svg": lag,
    "parts.svg": partial(draw_steps, "What each plugin hands on", PARTS),
    "pretraining.svg": partial(draw_steps, "Does pretraining help?", PRETRAINING),
    "evidence.svg": partial(draw_steps, "How far an entry was checked", EVIDENCE),
}


def main() -> None:
    for name, draw in FIGURES.items():
        (IMAGES / name).write_text(draw(), "utf-8")


if __name__ == "__main__":
    main()
