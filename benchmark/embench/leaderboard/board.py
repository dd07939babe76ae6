"""Tables in Markdown, one page a dataset, and the same rows for the command line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from embench.files import saving, write_text
from embench.leaderboard.columns import MARKDOWN_COLUMNS, Column, columns
from embench.leaderboard.entries import drop_unshared
from embench.leaderboard.row import DASH, Row, ShownEntry
from embench.leaderboard.rows import asked_of, class_of, highest_of
from embench.leaderboard.sections import BoardSection, sections_of
from embench.leaderboard.shown import load_shown_entries
from embench.records.context import OTHER_UNITS
from embench.records.entry import shared_folder
from embench.records.wording import format_score, inside_subjects
from embench.statistics.ranking import Ranking
from embench.texts import markdown, table_in_markdown

CLOCKLESS = ("auroc_crossed_time", "auroc_crossed_matched", "concordance_crossed_matched")
"""The scores that hold the clock constant."""
LEGEND = """\
## How to read this
- Rows are in the order of the headline (bold), among rows with the same access to data of the test subjects; where
  there is a column *adds*, those that add come before the others. Where the headline is undefined, nothing is ranked,
  and rows are in the order of `auroc_within`. In brackets: the 95 % interval over subjects. *rank*: the ranks that a
  row may have, at 95 % for all comparisons of rows together; rows that can't be told apart share ranks. *By luck*: see
  `docs/why/statistics.md`, "Many rows".
- `auroc_within` compares moments within a subject. `auroc_within_stimulus` holds the stimulus constant, `auroc_crossed`
  subject and stimulus, `auroc_crossed_time` subject and clock, and `auroc_crossed_matched` subject, clock and length of
  the session. Chance is .5 in all of them.
- *controls*: rows in italics use no physiological signal (a constant, the clock, the length of a recording, movement).
  A method clears a control if the interval of the paired difference of headlines lies above 0; where there is no column
  *adds*, one that does not clear every control gives no evidence of a physiological effect. *By construction*: the
  control can't score anything else. The headline compares units at which two subjects had opposite labels, and who
  knows only the time (or only the stimulus) answers both alike. So a clock can have an `auroc_within` of .95 and a
  headline of .5.
- *audit*: how many findings `embench audit` has; the entry's `audit.json` lists them. Severe: the scores do not mean
  what they seem to mean. Suspicious: the score is so far above all controls and simple methods that a leak is the first
  thing to look for.
- *evidence*: what was checked of the row, by whom and when. Self-reported: nothing. Verified: its files fit together,
  and the data of whoever had them. Spot-checked: some of its folds, drawn afterwards, were run again, with the same
  predictions. Reproduced: all of them. Only rows that are spot-checked or reproduced have a rank. A check by those who
  made the row, on the same machine, shows that it is what its request gives, and no more.
- Other scores, costs, recipe, seeds, and how often the author had looked at this board before (*openings*, *tried*,
  *dev*: whoever tries many methods and shows the best has luck on their side) are columns of the command above, and of
  the site that `embench leaderboard site` makes.
- —: undefined or not estimable; the entry's `scores.json` gives the reason. An entry's folder (last column) and the
  folder `shared` hold the predictions, labels, folds and resolved configuration from which its numbers can be
  recomputed. Where the labels of a dataset are not public, neither are predictions, scores of folds, and most scores of
  controls.
"""


VALUES_LEGEND = """\
- Of targets that are values, `concordance_within`, `concordance_crossed`, `concordance_crossed_moment` and
  `concordance_crossed_matched` take the place of the scores of the same names above: the share of pairs of units in
  which the one with the higher label has the higher prediction. Chance is .5 in all of them.
"""
GAIN_LEGEND = """\
- *gain*: where test subjects give something first, what a gain by it is shown to come from (*labels*, *normalising* or
  *nothing*), and what the headline gains above the best of what decides that: the method itself with nothing given, or
  with the same units without their labels, the share of classes among these, and the time since them. Only rows that
  were given as much are ranked together. See `docs/why/protocol.md`, "personalise-v1".
"""
ADDS_LEGEND = """\
- *adds*, from version 3 on: whether the scores tell more of the label than clock and movement do, by the partial
  correlation that is left, and which nuisances decide (*local*: what is seen within ten minutes; *full*: also clocks
  that movements of a whole session set). Rows that add come first. Adding is no proof of physiology, and not adding is
  none against it: see `docs/why/adds.md`.
"""


FLOORS_LEGEND = """\
- *Pretrained rows and their floors*: the score of a pretrained row less that of the same network at random (frozen with
  the same head, or trained from scratch) and that of simple features of the same signals, paired over subjects, with
  the 95 % interval. A row is a floor if its record says so: same data, folds, head and training. What pretraining is
  worth shows in these gaps, and not in the rank. See `docs/guide/leaderboards.md`, "Floors".
"""


def build_leaderboards(root: Path, entries: Sequence[ShownEntry] | None = None) -> list[Path]:
    """Writes `root`/<dataset>/README.md for each dataset and `root`/README.md, and returns their paths. Shared files
    that no entry names any more are removed.

    Args:
        entries: what boards show of all entries below `root`, where that was loaded before.

    Raises:
        MachineError: the disk refuses.
    """
    root = Path(root)
    entries = load_shown_entries(root) if entries is None else entries
    sections = sections_of(entries)
    written = []
    with saving("the tables", root):
        drop_unshared(root, {shared_folder(entry.folder) / name for entry in entries for name in entry.shared})
        for dataset, of_dataset in groupby(sections, key=lambda section: section.dataset):
            path = root / dataset / "README.md"
            write_text(path, _page(dataset, list(of_dataset)))
            written.append(path)
        root.mkdir(parents=True, exist_ok=True)
        write_text(root / "README.md", _front(sections))
    return [*written, root / "README.md"]


def _page(dataset: str, sections: Sequence[BoardSection]) -> str:
    note = (
        "Generated by `embench leaderboard build` from the entries in this folder; do not edit by hand. All columns: "
        f"`embench leaderboard show {dataset} --columns all --format csv`.\n"
    )
    parts = [f"# {markdown(dataset)}\n", note]
    for section in sections:
        parts += _section(section)
    legends = [LEGEND]
    legends += [GAIN_LEGEND] if any(row.gains_by for section in sections for row in section.rows) else []
    legends += [ADDS_LEGEND] if any(section.adding for section in sections) else []
    legends += [FLOORS_LEGEND] if any(row.floors for section in sections for row in section.rows) else []
    legends += (
        [VALUES_LEGEND]
        if any(row.headline.startswith("concordance") for section in sections for row in section.rows)
        else []
    )
    return "\n".join([*parts, *legends])


def _section(section: BoardSection) -> Iterator[str]:
    old = ", superseded" if section.superseded_by else ""
    other = f", trained on {markdown(section.trained_on)}" if section.trained_on else ""
    subjects = f", {section.people} subjects" if section.people else ""
    yield f"## {markdown(section.target)}, {markdown(section.protocol)}{other}{subjects}{old}\n"
    if other:
        yield (
            "All subjects of this dataset are tested by models of another one. Controls, which are fitted on labels of "
            "the dataset that is tested, do not apply.\n"
        )
    if section.superseded_by:
        yield (
            f"**Superseded by `{section.superseded_by}`**, which takes the new runs. These rows stay as they were "
            "published and are compared with no row of the new version.\n"
        )
    if section.leaks:
        yield "**This protocol leaks**: training has seen part of the test data. Nothing is ranked.\n"
    methods, controls = section.methods, section.controls
    if section.fixed_order and controls:
        yield _clock(methods[0].headline, controls)
    if section.unranked:
        yield f"{section.unranked}\n"
    if section.adding:
        yield f"{section.adding.sentence}\n"
    for kept, group in groupby((row for row in methods if row.superseded is None), key=class_of):
        rows = list(group)
        access, context = rows[0].target_access, rows[0].time_context
        sentence = luck_sentence(section.rankings.get(kept))
        others = f" Other units that reach a prediction: {OTHER_UNITS[context]}." if context else ""
        yield f"Access to data of the test subjects: {markdown(access)}.{others}{f' {sentence}' if sentence else ''}\n"
        yield markdown_table([*rows, *controls], section.protocol) + "\n"
    if pretrained := [row for row in methods if row.floors and not row.superseded]:
        yield "Pretrained rows and their floors:\n"
        yield "\n".join(_floors(row, section.protocol) for row in pretrained) + "\n"
    if old_rows := [row for row in methods if row.superseded is not None]:
        yield "Rows that others took the place of. They stay as they were published, and are not ranked.\n"
        yield markdown_table(old_rows, section.protocol) + "\n"
        yield from (f"- `{row.id}`: {markdown(row.superseded.why)}\n" for row in old_rows if row.superseded)


def _floors(row: Row, place: str) -> str:
    about = markdown(f"{row.name} on {', '.join(row.modalities)}: {row.floors.words if row.floors else ''}")
    return f"- [{row.id.rpartition('-')[2]}]({place}/{row.id}), {about}"


def luck_sentence(ranking: Ranking | None) -> str:
    """A sentence on the lead of the first of several rows, and the lead to expect by luck; empty for a single row."""
    if ranking is None or ranking.luck is None or len(ranking.ranks) < 2:
        return ""
    n, bound = len(ranking.ranks), "" if ranking.paired else "at most "
    return (
        f"The first of {n} rows leads their mean by {ranking.lead:.3f}; the best of {n} equal methods would lead by "
        f"{bound}{ranking.luck:.3f}, by luck."
    )


def _clock(headline: str, controls: Sequence[Row]) -> str:
    """The note on a dataset whose tasks come in one order."""
    clock = next((row for row in controls if row.control == "elapsed_time"), None)
    auroc = clock and clock.scores.get("auroc")
    gets = f", `auroc` {format_score(auroc, interval=False)}" if auroc else ""
    holds = f"Only `{headline}`, the headline," if headline in CLOCKLESS else "Only `auroc_crossed_time`"
    return (
        "All subjects had the tasks in the same order, so the time since the start predicts the label without any "
        f"signal (row *elapsed_time*{gets}). Splitting by subject does not prevent this. {holds} holds the clock "
        "constant.\n"
    )


_HIGHEST = """
*highest*: the highest score above chance of rows that were run again at least in part; their column *evidence* says by
whom. — where there is none.
"""


def _front(sections: Sequence[BoardSection]) -> str:
    lines = []
    for section in sections:
        methods = section.methods
        best = highest_of(methods)
        link = f"[{section.dataset}]({section.dataset}/README.md)"
        old = f", superseded by {section.superseded_by}" if section.superseded_by else ""
        old += f", trained on {section.trained_on}" if section.trained_on else ""
        old += f", {section.people} subjects" if section.people else ""
        about = [link, section.protocol + old, section.target, str(len(methods)), methods[0].headline]
        lines.append([*about, _leader(best) if best else DASH])
    heads = ["dataset", "protocol", "target", "rows", "headline", "highest"]
    table = table_in_markdown(lines, heads) if lines else "No entries yet."
    return f"# Leaderboards\n\nGenerated by `embench leaderboard build`; do not edit by hand.\n\n{table}\n{_HIGHEST}"


def _leader(best: Row) -> str:
    """The highest row of a board, and the number of rows that do not differ from it significantly."""
    shared = best.rank[1] - 1 if best.rank else 0
    alike = (
        f", not told apart from {shared} others" if shared > 1 else ", not told apart from the next" if shared else ""
    )
    method = markdown(f"{best.name} on {', '.join(best.modalities)}")
    return f"{method}: {format_score(best.score)}{alike}"


def markdown_table(
    rows: Sequence[Row], place: str, names: Sequence[str] = MARKDOWN_COLUMNS, linked: Collection[str] | None = None
) -> str:
    """One table: methods with their ranks, controls as rows to compare with. Where no row has the headline, the score
    is the one by which rows are sorted.

    Args:
        place: the folder of the entries of these rows. `linked`: the ids of those that are there; None for all.
    """
    ranked = any(row.score for row in rows if row.is_method)
    score = "score" if ranked else inside_subjects(rows[0].headline)
    shown = [columns()[score if name == "score" else name] for name in asked_of(rows, names)]
    heads = [f"**{rows[0].headline}**" if column.name == "score" else column.title for column in shown]
    links = [
        f"[{row.id.rpartition('-')[2]}]({place}/{row.id})" if linked is None or row.id in linked else row.id
        for row in rows
    ]
    lines = [[*(_cell(column, row) for column in shown), link] for row, link in zip(rows, links, strict=True)]
    return table_in_markdown(lines, [*heads, "entry"])


def _cell(column: Column, row: Row) -> str:
    """A cell, with warnings in bold, and controls in italics."""
    text = column.text(row) if column.name in ("rank", "score", "audit") else markdown(column.text(row))
    if column.name == "method" and not row.is_method:
        return f"*{text}*"
    if column.name == "controls" and row.not_cleared:
        return f"**{text}**"
    return text.replace("suspicious", "**suspicious**") if column.name == "audit" else text
