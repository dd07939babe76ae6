"""The labels of a dataset as a figure: one panel a target, one bar a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embench.errors import UsageError

FORMATS = (".svg", ".png", ".pdf")
# Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")


def check_path(path: Path) -> None:
    """Raises UsageError where no figure can be written to `path`."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"no format for {path.name}", where="--figure", expected=f"a name in {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", where="--figure")


def draw(path: Path, title: str, targets: Sequence[Mapping[str, Any]]) -> None:
    """Writes the per-person part of what `label_report.report` says."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shown = [target for target in targets if target.get("per_person")]
    heights = [0.6 + 0.17 * len(target["per_person"]) for target in shown] or [1.0]
    # A fixed salt and no date: the same labels give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "embench", "font.size": 8}):
        figure = Figure(figsize=(6.4, 0.5 + sum(heights)), facecolor="white", layout="constrained")
        figure.suptitle(title)
        panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        for panel, target in zip(panels, shown, strict=False):
            _panel(panel, target)
        about: dict[str, Any] = {"Title": f"{title}: labels of each person"}
        if path.suffix.lower() != ".png":
            about["Date" if path.suffix.lower() == ".svg" else "CreationDate"] = None
        figure.savefig(path, metadata=about, dpi=150)


def _panel(panel: Any, target: Mapping[str, Any]) -> None:
    rows = target["per_person"]
    at = list(range(len(rows)))
    panel.set_title(target["target"], loc="left", fontweight="bold")
    panel.set_yticks(at, [row["subject"] for row in rows])
    panel.set_ylabel("person")
    panel.set_ylim(len(rows) - 0.5, -0.5)
    if target["kind"] == "value":
        means, spread = [r["values"]["mean"] for r in rows], [r["values"]["sd"] for r in rows]
        panel.errorbar(means, at, xerr=spread, fmt="o", color=_COLOURS[0], markersize=3, linewidth=1)
        panel.set_xlabel(f"{target['label']}, mean and SD of units")
        return
    left = [0.0] * len(rows)
    for k, about in enumerate(target["classes"]):
        share = [row["classes"][k]["share"] for row in rows]
        panel.barh(at, share, left=left, label=about["name"], color=_COLOURS[k % len(_COLOURS)])
        left = [a + b for a, b in zip(left, share, strict=True)]
    panel.set_xlim(0, 1)
    panel.set_xlabel("share of units")
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
