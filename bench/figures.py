"""The figures of README and of docs/concepts.md: `python -m bench.figures` draws them again into docs/images.

They are SVG for a width of 390 px and more, on a ground of their own, so that they can be read on light and dark pages.
`EXCERPT` holds the figures of published entries; `tests/docs/test_results.py` compares them with what is printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
STYLE = """<style>
text { font-family: -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #1b1f24; }
.ground { fill: #ffffff; stroke: #c4cbd3; } .box { fill: #eef2f7; stroke: #5b6675; } .rule { stroke: #b9c1ca; }
.line { stroke: #1b1f24; } .dot { fill: #0b57b0; } .model { fill: #5b6675; } .quiet { fill: #48525e; }
.note { fill: #9a3b00; } .arrow { stroke: #9a3b00; } .badge { fill: #9a3b00; } .badge-text { fill: #ffffff; }
.test { fill: #0b57b0; } .check { fill: #9dc1ec; } .train { fill: #e3e8ee; }
@media (prefers-color-scheme: dark) {
  text { fill: #e8ebef; }
  .ground { fill: #16191e; stroke: #4a525c; } .box { fill: #232a33; stroke: #9aa5b1; } .rule { stroke: #49525d; }
  .line { stroke: #e8ebef; } .dot { fill: #7db4ff; } .model { fill: #a3adb8; } .quiet { fill: #b9c2cc; }
  .note { fill: #ffb27d; } .arrow { stroke: #ffb27d; } .badge { fill: #ffb27d; } .badge-text { fill: #16191e; }
  .test { fill: #7db4ff; } .check { fill: #2f5f9c; } .train { fill: #2b323b; }
}
</style>"""


class Shown(NamedTuple):
    """A published entry in the excerpt."""

    entry: str
    method: str
    metric: tuple[str, str, str]
    """The score, and the ends of its interval."""
    movement: str
    """The answer given time and movement."""


EXCERPT = (
    Shown("boosting-f26956a99e", "Boosted trees, three wrist signals", ("0.61", "0.57", "0.65"), "not shown"),
    Shown("svm-2eef26bae4", "SVM: pulse", ("0.59", "0.55", "0.64"), "yes"),
)
"""Entries `handcrafted-..` of `leaderboards/stress_predict/subject-independent-v4`."""
MODELS = {
    "phase of the protocol, inferred from movement": ("0.88", "0.80", "0.95"),
    "movement during the scored segment": ("0.60", "0.54", "0.66"),
}
"""Confound-only models of the same entries."""


def draw_text(x: float, y: float, words: str, size: float = 14, style: str = "", more: str = "") -> str:
    """Return a line of text."""
    more = (f' class="{style}"' if style else "") + more
    return f'<text x="{x}" y="{y}" font-size="{size}"{more}>{words}</text>'


def draw_line(x: float, y: float, to_x: float, to_y: float, style: str = "line", more: str = "") -> str:
    """Return a straight line."""
    return f'<line class="{style}" x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}"{more}/>'


def draw_arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    """Return a line with a head at its end."""
    return draw_line(x, y, to_x, to_y, "arrow", ' stroke-width="2" marker-end="url(#head)"')


def draw_badge(number: int, x: float, y: float) -> str:
    """Return a number in a circle, centred at (x, y)."""
    centred = ' text-anchor="middle" font-weight="bold"'
    return f'<circle class="badge" cx="{x}" cy="{y}" r="9"/>' + draw_text(
        x, y + 4.5, str(number), 13, "badge-text", centred
    )


def make_picture(height: int, title: str, description: str, parts: list[str]) -> str:
    """Return the picture, 400 wide."""
    head = (
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="5" markerHeight="5" orient="auto">'
        '<path class="note" d="M0 0 10 5 0 10z"/></marker></defs>'
    )
    ground = f'<rect class="ground" x="1" y="1" width="398" height="{height - 2}" rx="8"/>'
    opening = (
        '<!-- Made by `python -m bench.figures`. Do not edit. -->\n<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-labelledby="title desc" width="400" height="{height}" viewBox="0 0 400 {height}">'
    )
    named = f'<title id="title">{title}</title>\n<desc id="desc">{description}</desc>'
    return "\n".join([opening, named, STYLE, head, ground, *parts, "</svg>\n"])


BOLD = ' font-weight="bold"'


def draw_score(y: float, metric: tuple[str, str, str], style: str) -> list[str]:
    """Return a score with its interval on the axis from 0.50 to 1.00."""
    mid, low, high = (30 + (float(value) - 0.5) * 660 for value in metric)
    mark = f'<circle class="dot" cx="{mid:.0f}" cy="{y}" r="6"/>'
    if style == "model":
        mark = f'<rect class="model" x="{mid - 6:.0f}" y="{y - 6}" width="12" height="12"/>'
    return [
        draw_line(round(low), y, round(high), y, more=' stroke-width="2.5"'),
        mark,
        draw_text(round(high) + 7, y + 5, metric[0], more=BOLD),
    ]


def leaderboard() -> str:
    """The excerpt of a leaderboard, with three labelled arrows."""
    first, second = EXCERPT
    phase, movement = MODELS.values()
    parts = [
        draw_text(18, 29, "Stress tasks or rest, from a wristband?", 16, more=BOLD),
        draw_text(18, 49, "Stress-Predict: 34 subjects, none seen in training", 14, "quiet"),
        *(draw_line(x, y - 9, x, y + 9, "rule") for x in (30, 195, 360) for y in (88, 117, 194, 313, 400)),
        draw_text(18, 73, "0.50: chance", 13, "quiet"),
        draw_text(182, 73, "0.75", 13, "quiet"),
        draw_text(347, 73, "1.00", 13, "quiet"),
        draw_text(18, 101, first.method, more=BOLD),
        *draw_score(117, first.metric, "dot"),
        draw_text(18, 144, f"given time and movement: {first.movement}", 14, "quiet"),
        draw_arrow(190, 117, 172, 117),
        draw_badge(1, 200, 117),
        draw_text(214, 122, "score, 95 % interval", 14, "note"),
        draw_text(18, 178, second.method, more=BOLD),
        *draw_score(194, second.metric, "dot"),
        draw_text(18, 221, "given time and movement:", 14, "quiet"),
        draw_text(213, 221, second.movement, more=BOLD),
        draw_arrow(269, 216, 247, 216),
        draw_badge(2, 279, 216),
        draw_text(18, 243, "still associated with the label after adjustment", 14, "note"),
        draw_text(18, 261, "for time and movement within 10 min", 14, "note"),
        draw_line(18, 275, 382, 275, "rule"),
        draw_text(18, 297, "Model of movement, whole session", more=BOLD),
        *draw_score(313, phase, "model"),
        draw_arrow(281, 339, 281, 323),
        draw_badge(3, 281, 350),
        draw_text(18, 338, "reads no physiological", 14, "note"),
        draw_text(18, 356, "signal, above both methods", 14, "note"),
        draw_text(18, 384, "Model of movement, scored segment", more=BOLD),
        *draw_score(400, movement, "model"),
    ]
    description = (
        f"Time-matched AUROC, chance 0.50. Boosted trees {' '.join(first.metric)}, given time and movement "
        f"{first.movement}. SVM on pulse {' '.join(second.metric)}, {second.movement}. Models without any signal:"
        f" phase of the protocol, inferred from movement, {' '.join(phase)}; movement during the scored segment "
        f"{' '.join(movement)}. Source: leaderboards/stress_predict/subject-independent-v4, entries "
        f"handcrafted-{first.entry} and handcrafted-{second.entry}, scores.json."
    )
    return make_picture(418, "How to read a leaderboard", description, parts)


FLOW = (
    ("Data", "recordings and labels of subjects;", "a dataset card states the rules", "you choose"),
    ("Plugins", "encoder, pretrainer, fusion:", "bundled ones, or your method", "you choose"),
    ("Protocol", "folds by subject, preprocessing,", "primary metric, confound test", "fixed"),
    ("Result", "score with interval, answers,", "confound-only models", "you get"),
    ("Leaderboard", "results as entries, which others", "can recompute and run again", "you may publish"),
)


def flow() -> str:
    """The way from data to a leaderboard."""
    parts = []
    for k, (name, one, two, who) in enumerate(FLOW):
        y = 14 + 92 * k
        parts += [
            f'<rect class="box" x="16" y="{y}" width="368" height="70" rx="6"/>',
            draw_text(30, y + 22, name, 16, more=BOLD),
            draw_text(370, y + 22, who, 14, "note", ' text-anchor="end"'),
            draw_text(30, y + 42, one, 14, "quiet"),
            draw_text(30, y + 60, two, 14, "quiet"),
        ]
        if k:
            parts.append(draw_arrow(200, y - 21, 200, y - 2))
    description = "From top to bottom: " + "; then ".join(f"{name}: {one} {two}" for name, one, two, _ in FLOW) + "."
    return make_picture(466, "From data to a leaderboard", description, parts)


LANES = (
    ("A", "rest", "0.3", "stress", "0.6", "right"),
    ("B", "stress", "0.7", "rest", "0.5", "right"),
    ("A", "rest", "0.2", "stress", "0.8", "right"),
    ("B", "stress", "0.2", "rest", "0.8", "wrong"),
)
"""Matched comparisons: subject, what it does at two times, its scores, and whether their order is right."""


def folds() -> str:
    """Folds by subject, and a matched comparison."""
    parts = [draw_text(18, 28, "Five folds of 20 subjects", 16, more=BOLD)]
    for fold in range(5):
        y = 42 + 24 * fold
        parts.append(draw_text(18, y + 15, f"model {fold + 1}"))
        for subject in range(20):
            role = {fold: "test", (fold + 1) % 5: "check"}.get(subject // 4, "train")
            parts.append(f'<rect class="{role}" x="{80 + 15 * subject}" y="{y}" width="13" height="20"/>')
    for x, role, word in ((80, "test", "test"), (150, "check", "validation"), (262, "train", "training")):
        parts.append(f'<rect class="{role}" x="{x}" y="168" width="13" height="14"/>')
        parts.append(draw_text(x + 19, 180, word))
    parts += [
        draw_line(18, 198, 382, 198, "rule"),
        draw_text(18, 224, "A matched comparison", 16, more=BOLD),
        draw_text(104, 248, "minute 10", 14, "quiet"),
        draw_text(212, 248, "minute 20", 14, "quiet"),
    ]
    for k, (subject, *doing, verdict) in enumerate(LANES):
        y = 258 + 40 * k + 48 * (k > 1)
        parts.append(draw_text(18, y + 21, f"subject {subject}"))
        for x, what, score in ((92, *doing[:2]), (200, *doing[2:])):
            parts.append(f'<rect class="box" x="{x}" y="{y}" width="98" height="32" rx="4"/>')
            parts.append(draw_text(x + 8, y + 21, f'{what} <tspan font-weight="bold">{score}</tspan>'))
        parts.append(draw_text(312, y + 21, verdict, style="quiet" if verdict == "right" else "note", more=BOLD))
    parts += [
        draw_text(18, 360, "Both orders are right: 2 of 2 = 1.00.", 14, "note"),
        draw_text(18, 494, "A score of time alone rises in both:", 14, "note"),
        draw_text(18, 512, "1 of 2 = 0.50, which is chance.", 14, "note"),
    ]
    description = (
        "Above: each of five models is tested on 4 of 20 subjects, with 4 for validation and 12 for training. Below: "
        "at minutes 10 and 20, subject A goes from rest to stress and subject B from stress to rest. Scores "
        "of stress order both subjects rightly. Scores of time alone order one rightly and one wrongly."
    )
    return make_picture(526, "Folds by subject, and a matched comparison", description, parts)


def make_badge(name: str, value: str) -> str:
    """Return a badge, which needs no other host."""
    left, right = 14 + 7 * len(name), 14 + 7 * len(value)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" width="{left + right}" '
        f'height="20" font-family="DejaVu Sans, Verdana, sans-serif" font-size="11"><title id="title">{name}: {value}'
        f'</title><desc id="desc">Badge</desc><rect width="{left}" height="20" fill="#3d4650"/><rect x="{left}" '
        f'width="{right}" height="20" fill="#0b57b0"/><g fill="#ffffff"><text x="7" y="14">{name}</text>'
        f'<text x="{left + 7}" y="14">{value}</text></g></svg>\n'
    )


FIGURES = {
    "leaderboard.svg": leaderboard,
    "concepts-flow.svg": flow,
    "concepts-folds.svg": folds,
    "badge-licence.svg": lambda: make_badge("licence", "MIT"),
    "badge-python.svg": lambda: make_badge("Python", "3.11 to 3.13"),
    "badge-tests.svg": lambda: make_badge("tests", "on each change"),
}


def main() -> None:
    for name, draw in FIGURES.items():
        (IMAGES / name).write_text(draw(), "utf-8")


if __name__ == "__main__":
    main()
