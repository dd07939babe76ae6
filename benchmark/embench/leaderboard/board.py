"""Tables in Markdown, one page a dataset, and the same rows for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from embench.errors import MachineError, UsageError
from embench.files import write_text
from embench.leaderboard.entries import LeaderboardEntry, drop_unshared, load_entries
from embench.leaderboard.export import board_name
from embench.leaderboard.rows import SECONDARY_METRICS, BoardRow, ranked_rows
from embench.protocols import superseded_by
from embench.records.cost import COST_COLUMNS, format_cost
from embench.records.wording import (
    format_control,
    format_controls,
    format_evidence,
    format_rank,
    format_score,
    row_method_name,
)
from embench.statistics.ranking import Ranking
from embench.texts import markdown

DASH = "—"
CLOCKLESS = ("auroc_crossed_time", "auroc_crossed_matched")
"""The scores that hold the clock constant."""
LEGEND = """\
## How to read this
- Rows are in the order of the headline (bold) alone, among rows with the same access to data of the test subjects;
  where it is undefined, nothing is ranked, and rows are in the order of `auroc_within`. In brackets: the 95 % interval
  over subjects. *rank*: the ranks that a row may have, at 95 % for all comparisons of rows together; rows that can't be
  told apart share ranks. *By luck*: see `docs/statistics.md`, "Many rows".
- `auroc_within` compares moments within a subject. `auroc_within_stimulus` holds the stimulus constant, `auroc_crossed`
  subject and stimulus, `auroc_crossed_time` subject and clock, and `auroc_crossed_matched` subject, clock and length of
  the session. Chance is .5 in all of them. `f1_weighted` depends on the decision threshold and on the prevalence of the
  label; it is listed because papers report it.
- *controls*: rows in italics use no physiological signal (a constant, the clock, the length of a recording, movement).
  A method clears a control if the interval of the paired difference of headlines lies above 0. A method that does not
  clear every control gives no evidence of a physiological effect. *By construction*: the control can't score anything
  else. The headline compares units at which two subjects had opposite labels, and who knows only the time (or only the
  stimulus) answers both alike. So a clock can have an `auroc_within` of .95 and a headline of .5.
- *audit*: how many findings `embench audit` has; the entry's `audit.json` lists them. Severe: the scores do not mean
  what they seem to mean. Suspicious: the score is so far above all controls and simple methods that a leak is the first
  thing to look for.
- *evidence*: what others have checked of the row. Self-reported: nobody but its author has run it. Verified: somebody
  has found that its files fit together, with data of their own where they had them. Spot-checked: somebody has run some
  of its folds again, which the author could not foresee, and got the same predictions. Reproduced: all of them. Only
  rows that are spot-checked or reproduced have a rank.
- *time*: the sum over all stages; *parameters* and *FLOPs*: the method of one fold, for the prediction of one row;
  *memory*: the highest use of a stage; *energy*: that of the GPU.
- *openings / tried / dev*: what the author had seen of this board before. "13 / 12 / 4" says that, with this run, 13
  runs had been scored on the test labels; that they were 12 different methods; and that 4 runs had been scored on
  validation subjects instead, while a method was developed. Whoever tries many methods and shows the best has luck on
  their side: the more there were, the less a lead means. Looks unknown: the record has no seal of the ledger.
- —: undefined or not estimable; the entry's `scores.json` gives the reason. An entry's folder (last column) and the
  folder `shared` hold the predictions, labels, folds and resolved configuration from which its numbers can be
  recomputed. Where the labels of a dataset are not public, neither are predictions, scores of folds, and most scores of
  controls.
"""


def leaderboard_sections(
    root: Path, dataset: str | None = None, protocol: str | None = None, target: str | None = None
) -> list[dict[str, Any]]:
    """Sections {dataset, protocol, superseded_by, trained_on, target, leaks, fixed_order, rows, rankings}, the last two
    as in `ranked_rows`: all, or one's choice. Those of superseded protocols come after the others. Rows that were
    trained on another dataset (`trained_on`) have sections of their own.

    Raises:
        UsageError: there is no such section.
    """
    wanted = (dataset, protocol, target)
    found = sections_of(load_entries(root))
    chosen = [
        section
        for section in found
        if all(w in (None, section[k]) for w, k in zip(wanted, ("dataset", "protocol", "target"), strict=True))
    ]
    if not chosen and any(wanted):
        have = ", ".join(f"{s['dataset']} {s['protocol']} {s['target']}" for s in found) or "nothing"
        raise UsageError("no leaderboard matches", where=str(root), expected=f"one of: {have}")
    return chosen


def build_leaderboards(root: Path) -> list[Path]:
    """Writes `root`/<dataset>/README.md for each dataset and `root`/README.md, and returns their paths. Shared files
    that no entry names any more are removed.

    Raises:
        MachineError: the disk refuses.
    """
    root = Path(root)
    entries = load_entries(root)
    sections = sections_of(entries)
    written = []
    try:
        drop_unshared(root, entries)
        for dataset, of_dataset in groupby(sections, key=lambda section: section["dataset"]):
            path = root / dataset / "README.md"
            write_text(path, _page(dataset, list(of_dataset)))
            written.append(path)
        root.mkdir(parents=True, exist_ok=True)
        write_text(root / "README.md", _front(sections))
    except OSError as error:
        raise MachineError(f"the tables cannot be written: {error.strerror}", where=str(root)) from error
    return [*written, root / "README.md"]


def sections_of(entries: Sequence[LeaderboardEntry]) -> list[dict[str, Any]]:
    """All sections of these entries, as `leaderboard_sections` gives them."""
    sections = []

    def place(entry: LeaderboardEntry) -> tuple[str, bool, str, str, str]:
        about, trained_on = entry.run.protocol, entry.run.config.get("train_dataset")
        other = board_name(trained_on) if trained_on else ""
        return entry.board, about.leaks, superseded_by(about.name) or "", about.name, other

    keyed = sorted(entries, key=lambda e: (*place(e), e.run.id))
    for (board, leaks, successor, protocol, other), group in groupby(keyed, key=place):
        of_protocol = list(group)
        for target in sorted({target for entry in of_protocol for target in entry.targets}):
            about: dict[str, Any] = {"dataset": board, "protocol": protocol, "superseded_by": successor or None}
            about |= {"trained_on": other or None, "target": target, "leaks": leaks}
            about["fixed_order"] = any(entry.run.card.fixed_order for entry in of_protocol)
            rows, rankings = ranked_rows(of_protocol, target)
            sections.append({**about, "rows": rows, "rankings": rankings})
    return sections


def _page(dataset: str, sections: Sequence[dict[str, Any]]) -> str:
    parts = [
        f"# {markdown(dataset)}\n",
        "Generated by `embench leaderboard build` from the entries in this folder; do not edit by hand.\n",
    ]
    for section in sections:
        old = ", superseded" if section["superseded_by"] else ""
        other = f", trained on {markdown(section['trained_on'])}" if section["trained_on"] else ""
        parts.append(f"## {markdown(section['target'])}, {markdown(section['protocol'])}{other}{old}\n")
        if other:
            parts.append(
                "All subjects of this dataset are tested by models of another one. Controls, which are fitted on "
                "labels of the dataset that is tested, do not apply.\n"
            )
        if section["superseded_by"]:
            parts.append(
                f"**Superseded by `{section['superseded_by']}`**, which takes the new runs. These rows stay as they "
                "were published and are compared with no row of the new version.\n"
            )
        if section["leaks"]:
            parts.append("**This protocol leaks**: training has seen part of the test data. Nothing is ranked.\n")
        methods = [row for row in section["rows"] if row["kind"] == "method"]
        controls = [row for row in section["rows"] if row["kind"] == "control"]
        if section["fixed_order"] and controls:
            parts.append(_clock(methods[0]["headline"], controls))
        current = [row for row in methods if row["superseded"] is None]
        for access, rows in groupby(current, key=lambda row: row["target_access"]):
            parts.append(
                f"Access to data of the test subjects: {markdown(access)}.{_luck(section['rankings'].get(access))}\n"
            )
            parts.append(markdown_table([*rows, *controls], section["protocol"]) + "\n")
        if old_rows := [row for row in methods if row["superseded"] is not None]:
            parts.append("Rows that others took the place of. They stay as they were published, and are not ranked.\n")
            parts.append(markdown_table(old_rows, section["protocol"]) + "\n")
            parts += [f"- `{row['id']}`: {markdown(row['superseded']['why'])}\n" for row in old_rows]
    return "\n".join([*parts, LEGEND])


def _luck(ranking: Ranking | None) -> str:
    """What the first row's lead is worth."""
    sentence = luck_sentence(ranking)
    return f" {sentence}" if sentence else ""


def luck_sentence(ranking: Ranking | None) -> str:
    """How far the first of several rows leads, and how far it would by luck; empty where there is no choice."""
    if ranking is None or ranking.luck is None or len(ranking.ranks) < 2:
        return ""
    n, bound = len(ranking.ranks), "" if ranking.paired else "at most "
    return (
        f"The first of {n} rows leads their mean by {ranking.lead:.3f}; the best of {n} equal methods would lead by "
        f"{bound}{ranking.luck:.3f}, by luck."
    )


def _clock(headline: str, controls: Sequence[BoardRow]) -> str:
    """The note on a dataset whose tasks come in one order."""
    clock = next((row for row in controls if row["control"] == "elapsed_time"), None)
    auroc = clock and clock["scores"].get("auroc")
    gets = f", `auroc` {format_score(auroc, missing=DASH, interval=False)}" if auroc else ""
    holds = f"Only `{headline}`, the headline," if headline in CLOCKLESS else "Only `auroc_crossed_time`"
    return (
        "All subjects had the tasks in the same order, so the time since the start predicts the label without any "
        f"signal (row *elapsed_time*{gets}). Splitting by subject does not prevent this. {holds} holds the clock "
        "constant.\n"
    )


_FIRST = """
*first*: the first among the rows of which somebody else has run at least a part again; — where there is none.
"""


def _front(sections: Sequence[dict[str, Any]]) -> str:
    lines = []
    for section in sections:
        methods = [row for row in section["rows"] if row["kind"] == "method"]
        best = next((row for row in methods if row["rank"]), None)
        leader = _leader(best) if best else DASH
        link = f"[{section['dataset']}]({section['dataset']}/README.md)"
        headline = methods[0]["headline"]
        old = f", superseded by {section['superseded_by']}" if section["superseded_by"] else ""
        old += f", trained on {section['trained_on']}" if section["trained_on"] else ""
        lines.append([link, section["protocol"] + old, section["target"], str(len(methods)), headline, leader])
    heads = ["dataset", "protocol", "target", "rows", "headline", "first"]
    table = _table(lines, heads) if lines else "No entries yet."
    return f"# Leaderboards\n\nGenerated by `embench leaderboard build`; do not edit by hand.\n\n{table}\n{_FIRST}"


def _leader(best: BoardRow) -> str:
    """The first row of a board, and how many it can't be told apart from."""
    shared = best["rank"][1] - 1
    alike = (
        f", not told apart from {shared} others" if shared > 1 else ", not told apart from the next" if shared else ""
    )
    method = markdown(f"{row_method_name(best)} on {', '.join(best['modalities'])}")
    return f"{method}: {format_score(best['score'])}{alike}"


def markdown_table(rows: Sequence[BoardRow], protocol: str) -> str:
    """One table: methods with their ranks, controls as rows to compare with. Scores that no row has are excluded."""
    headline = rows[0]["headline"]
    secondary = [
        name for name in SECONDARY_METRICS if name != headline and any(row["scores"].get(name) for row in rows)
    ]
    heads = ["rank", "method", "modalities", "recipe", "subjects", f"**{headline}**", *secondary, "controls", "audit"]
    heads += ["evidence", *COST_COLUMNS, "openings / tried / dev", "seeds", "entry"]
    return _table([_cells(row, secondary, protocol) for row in rows], heads)


def _cells(row: BoardRow, secondary: Sequence[str], protocol: str) -> list[str]:
    shown = format_control if row["kind"] == "control" else format_score
    numbers = [
        shown(row["score"], missing=DASH),
        *(format_score(row["scores"].get(name), missing=DASH, interval=False) for name in secondary),
    ]
    seeds, entry = ", ".join(map(str, row["seeds"])), f"[{row['id'].rpartition('-')[2]}]({protocol}/{row['id']})"
    if row["kind"] == "control":
        nothing = [""] * (len(COST_COLUMNS) + 4)
        return ["", f"*{markdown(row['control'])}*", "", "", str(row["people"]), *numbers, *nothing, seeds, entry]
    recipe = row["recipe"] + (f" ({len(row['assumed'])} assumed)" if row["assumed"] else "")
    controls = markdown(format_controls(row["not_cleared"], row["controls"]))
    if row["not_cleared"]:
        controls = f"**{controls}**"
    looks = " / ".join(_count(row[name]) for name in ("test_looks", "tried", "dev_looks"))
    if not row["looks_known"]:
        looks = "looks unknown"
    method, modalities = markdown(row_method_name(row)), markdown(", ".join(row["modalities"]))
    cells = [format_rank(row), method, modalities, recipe, str(row["people"]), *numbers]
    cost = map(markdown, format_cost(row["cost"]).values())
    audit = row["audit"] + (", **suspicious**" if row["suspicious"] else "")
    return [*cells, controls, audit, markdown(format_evidence(row["evidence"])), *cost, looks, seeds, entry]


def _count(value: int | None) -> str:
    return DASH if value is None else str(value)


def _table(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """A Markdown table. Cells are not padded: a changed cell changes its own line only."""
    safe = [[cell.replace("|", "\\|") for cell in line] for line in (heads, *lines)]
    head, *body = [f"| {' | '.join(line)} |" for line in safe]
    return "\n".join([head, "|" + " --- |" * len(heads), *body])
