"""`docs/findings.md`, and the tables of the boards' pages, made of the published entries alone.

    python -m bench.boards.tables [--data-root DIR]

writes them, tables between their marks; with the recordings also the scores of groups of people that stand in
`docs/why/intended-use.md`. Scores are the primary metric, or `auroc_within` on boards where no row has a primary
metric. Differences are paired over subjects, with the allowance for shared training (`docs/why/statistics.md`).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby, product
from pathlib import Path

import numpy as np

from bench import ROOT
from bench.boards import BOARDS
from bench.boards.capabilities import capabilities
from bench.boards.findings import written
from bench.boards.paired import compare_kinds, pretrained_pairs, sensor_pairs
from bench.boards.published import EVERY, WITHIN, Board, Row, bold, figure, published, question, shown
from bench.boards.rows import DATASETS, FAST, FIXED, leaderboard_rows
from bench.exercise import false_alarms, minutes
from bench.markdown import table
from bench.transfer import transfer_map
from embench.claims.examine import claimed_request, direction_verdict
from embench.claims.files import Claim, select_claims
from embench.data.find import find_source
from embench.errors import EmbenchError
from embench.leaderboard.overview import select_tasks, summarise_tasks
from embench.leaderboard.tables import HEADS, get_support_key, load_sections, summarise
from embench.protocols import recorded_protocol
from embench.records.predictions import MODEL
from embench.report.facts import RunFacts
from embench.report.sections import group_scores
from embench.sets.files import SET_LEVELS, find_set
from embench.statistics.gains import subject_scores
from embench.statistics.intervals import Estimate, holm, rank_methods
from embench.statistics.joined import recorded_target

DOCS = ROOT / "docs"
FINDINGS, PEOPLE = DOCS / "findings.md", DOCS / "why" / "intended-use.md"
_BOARDS = sorted((DOCS / "boards").glob("*.md"))
PAGES = (*_BOARDS, FINDINGS)
"""Pages with tables."""
MODALITIES = ("ppg", "eda", "temp", "eeg", "ecg", "ppg,eda,temp", "ecg,eeg", "hr", "acc")


# What a board shows


def facts(boards: Sequence[Board] = EVERY) -> str:
    """Table of facts on each board."""
    lines = []
    for board in boards:
        row = max(board.rows, key=lambda each: each.run.cohort.size)
        units, share = "—", "—"
        if labels := row.record.labels:
            known = labels["label"][(labels["target"] == board.target) & np.isfinite(labels["label"])]
            units, share = f"{len(known):,}", figure(known.mean(), ".2f")
        severe = sum((each.entry.audit or {"counts": {"severe": 1}})["counts"]["severe"] for each in board.rows)
        about = [f"`{row.primary_metric}`", "yes" if board.ranked else "no", str(len(board.rows)), str(severe)]
        lines.append([board.title, str(row.run.cohort.size), units, share, *about])
    heads = [
        "board",
        "subjects",
        "units",
        "proportion of 1",
        "primary metric",
        "defined",
        "rows",
        "severe findings of audits",
    ]
    return table(heads, lines)


def features(board: Board, metric: str = "") -> str:
    """Estimators on features, by modality; bold: the interval lies above chance."""
    found = {(row.estimator, row.modalities): row for row in board.rows if row.kind == "features"}
    columns = [m for m in MODALITIES if any(modalities == m for _, modalities in found)]
    plain = find_set("leaderboard-v1").core[0].fusion
    lines = []
    for name in dict.fromkeys((*plain, *sorted(name for name, _ in found))):
        scores = [found[name, m].score(metric) if (name, m) in found else None for m in columns]
        lines.append([name, *map(bold, scores)])
    return table([f"`{metric or board.metric}`", *(m.replace(",", ", ") for m in columns)], lines)


def networks(board: Board) -> str:
    """Rows of networks and what they cost, best first."""
    metrics, lines = list(dict.fromkeys([board.metric, WITHIN])), []
    for row in [row for row in board.best_first if row.kind != "features"]:
        cells = [row.method, row.modalities, row.pretrained or "—", bold(row.score())]
        cells += [shown(row.score(metric)) for metric in metrics[1:]]
        lines.append([*cells, f"{row.run.cost.parameters:,}", f"{row.run.cost.wall_seconds / 3600:.2f}"])
    scores = [f"`{metric}`" for metric in metrics]
    return table(["method", "modalities", "pretrained by", *scores, "parameters", "core-hours"], lines)


def confound_only(board: Board) -> str:
    """Table of scores without a signal of the body, as in the row with most subjects."""
    row = max(board.rows, key=lambda each: (each.run.cohort.size, each.kind == "features", each.run.id))
    metrics = list(dict.fromkeys([row.primary_metric, WITHIN, "auroc"]))
    found = {name: [row.score(metric, name) for metric in metrics] for name in row.entry.scores.confound_only_names}
    lines = [[f"`{name}`", *map(shown, scores)] for name, scores in found.items() if any(scores)]
    return table(["confound-only model", *(f"`{metric}`" for metric in metrics)], lines)


def subjects_apart(board: Board) -> str:
    """S02 to S25, who were looked at while features were developed, and S26 to S35, at whom nobody looked."""
    rows = [row for row in board.rows if row.fusion in FAST or row.kind != "features"]
    lines = [[row.name, *_apart(row, MODEL)] for row in rows]
    lines.sort(key=lambda line: line[1], reverse=True)
    lines.append(["`movement`", *_apart(next(row for row in board.rows if row.kind == "features"), "movement")])
    return table(["AUROC within a subject (SE)", "S02 to S25 (24)", "S26 to S35 (10)", "difference"], lines)


def _apart(row: Row, name: str) -> list[str]:
    each = subject_scores(replace(row.scored(row.run.seeds), method=name))
    values = np.nanmean(each.values, axis=0)
    later = np.array([int(subject.removeprefix("S")) >= 26 for subject in each.jackknife.subjects])
    (one, its_error), (other, other_error) = (
        (float(np.nanmean(some)), float(np.nanstd(some, ddof=1) / len(some) ** 0.5))
        for some in (values[~later], values[later])
    )
    cells = [f"{figure(one)} ({figure(its_error)})", f"{figure(other)} ({figure(other_error)})"]
    return [*cells, f"{figure(other - one, '+.3f')} ({figure(np.hypot(its_error, other_error))})"]


# What the boards say together


def adding(boards: Sequence[Board] = EVERY) -> str:
    """Table with the summary of each leaderboard, those with an answer first."""
    found = sorted((board.section for board in boards), key=get_support_key)
    return table(list(HEADS.values()), [list(summarise(section).line.values()) for section in found])


def highest(boards: Sequence[Board] = EVERY) -> str:
    """Table of the entry with the highest score of each board."""
    lines = []
    for board in boards:
        row = board.first
        above = ("yes" if row.above_chance else "no") if board.ranked else "—"
        lines.append([board.title, f"`{board.metric}`", row.link, shown(row.score()), above, str(board.looks)])
    return table(["board", "score", "highest entry", "its score", "above chance", "evaluations"], lines)


def associated(boards: Sequence[Board] = EVERY) -> str:
    """Table of the rows whose scores are associated with the label at the level that decides, largest first."""
    lines = []
    for board in boards:
        for row in board.adding:
            seeds = f"{sum(row.adjusted.seeds.values())} of {len(row.adjusted.seeds)}"
            lines.append(
                [board.title, row.link, shown(row.decides.partial_r), shown(row.decides.residual_score), seeds]
            )
    return table(["board", "entry", "partial r", "difference", "seeds alone"], lines)


def sensors() -> str:
    """Table of the same estimators on two sensors; bold: p below .05, with Holm's correction over the column."""
    lines = []
    for pair in sensor_pairs():
        cells = []
        for name in FAST:
            gap = pair.differences.get(name)
            text = shown(gap.difference, "+.3f") if gap else "—"
            cells.append(f"**{text}**" if gap and name in pair.shown else text)
        lines.append([pair.board.title, pair.label, *cells])
    return table(["board", "difference", *FAST], lines)


def pretraining() -> str:
    """Each row after pretraining against the same one from scratch; the difference has p without correction."""
    lines = []
    for row, other, found in pretrained_pairs():
        gap = [shown(found.difference, "+.3f"), figure(found.p)] if found else ["—", "—"]
        scores = [f"`{row.board.metric}`", shown(row.score()), shown(other.score())]
        lines.append([row.board.title, row.name, row.pretrained, *scores, *gap])
    return table(["board", "network", "pretrained by", "score", "pretrained", "from scratch", "difference", "p"], lines)


def kinds() -> str:
    """Table of the best row on features and the best network of each leaderboard with both."""
    lines = []
    for own, other, gap in compare_kinds():
        lines.append([own.board.title, own.link, shown(own.score()), ""])
        lines.append(["", other.link, shown(other.score()), shown(gap, "+.3f")])
    return table(["board", "best on features, best network", "score", "network less features"], lines)


def choice(boards: Sequence[Board] = EVERY) -> str:
    """Table of the first row of each board, its lead over the mean of all, and the part that choosing explains."""
    lines = []
    for board in boards:
        rows, mean = board.best_first, board.first.mean
        found = rank_methods([row.score() for row in rows], [row.summands for row in rows])
        if found.luck is None:
            continue
        bound, least = ("", "") if found.paired else ("at most ", "at least ")
        told = sum(worst < len(rows) or best > 1 for best, worst in found.ranks)
        lines.append([
            board.title, f"`{board.metric}`", str(len(rows)), board.first.name, figure(mean), figure(found.lead),
            bound + figure(found.luck), least + figure(mean - found.luck),
            f"{found.ranks[0][0]}-{found.ranks[0][1]}", str(told),
        ])  # fmt: skip
    heads = ["board", "score", "rows", "first row", "its score", "lead", "lead by luck", "less luck", "its ranks"]
    return table([*heads, "rows told apart from any other"], lines)


def overview() -> str:
    """Table of rank and win rate of each method over the leaderboards, with what the datasets can tell."""
    found = summarise_tasks(select_tasks(load_sections(BOARDS), FIXED), BOARDS)
    lines = [[one.method, _interval(one.rank, ".1f"), _interval(one.win_rate, ".2f")] for one in found.standings]
    names = ", ".join(f"`{task.dataset}` {task.target}" for task in found.tasks)
    text = table(["method", "mean rank", "win rate"], lines)
    return f"{text}\n\n{found.sentence} Intervals are over datasets and subjects. Leaderboards: {names}."


def _interval(values: tuple[float, float, float], spec: str) -> str:
    value, low, high = (figure(each, spec) for each in values)
    return f"{value} [{low}, {high}]"


# What was asked, and what is there


def rows_by_level() -> str:
    """The rows of the set by dataset and level: how many there are, how many are published, and their core-hours."""
    lines = []
    for dataset, level in product(DATASETS, SET_LEVELS):
        own = [row for row in leaderboard_rows(dataset) if row.level == level]
        found = [entry for row in own if (entry := published().get(question(vars(row.request))))]
        hours = sum(entry.run.cost.wall_seconds for entry in found) / 3600
        lines += [[f"`{dataset}`", level, str(len(own)), str(len(found)), f"{hours:.2f}"]] if own else []
    return table(["dataset", "level", "rows", "published", "core-hours of these"], lines)


def claims(paper: str, board: Board) -> str:
    """A paper's claims on a board: both sides, their difference, and the verdict. Claims on the same two rows, of which
    the paper has several scores, are one. Holm's correction is over the claims of which both sides were run."""
    rows, alike = {row.run.id: row for row in board.rows}, dict[tuple[str, ...], list[Claim]]()
    for claim in (c for c in select_claims(paper, ()) if isinstance(c, Claim)):
        stated = [{"protocol": FIXED, **claim.options(side, board.dataset)} for side in ("a", "b")]
        sides = [published().get(question(vars(claimed_request(board.dataset, own, (), {})))) for own in stated]
        if all(sides):
            alike.setdefault((claim.direction, *(side.run.id for side in sides if side)), []).append(claim)
    gaps = [rows[a].against(rows[b]) for _, a, b in alike]
    lines = []
    for ((direction, *sides), same), gap, p in zip(alike.items(), gaps, holm([gap.p for gap in gaps]), strict=True):
        found = gap.difference
        allowed = gap.over == "folds" or found.shared is not None
        verdict = direction_verdict(found.low, found.high, p, direction, seeds=len(gap.seeds), allowance=allowed)
        about = f"{', '.join(one.id for one in same)}: {same[0].claim}"
        cells = [*(shown(rows[side].score()) for side in sides), shown(found, "+.3f"), figure(p), verdict]
        lines.append([about, *cells, "—" if gap.smallest_detectable is None else figure(gap.smallest_detectable)])
    return table([f"claim, `{board.metric}`", "a", "b", "a less b", "p, Holm", "verdict", "detectable"], lines)


def people(data_root: Path) -> str:
    """The best row on features and the best network of each board whose dataset records something of its subjects:
    scores of both groups, and their difference."""
    best = [[rows[0] for rows in board.families if rows] for board in EVERY]
    chosen = [row for rows in best for row in sorted(rows, key=lambda row: -row.mean)]
    heads = ("leaderboard", "entry", "of", f"one group, subjects: `{WITHIN}`", "the other", "difference")
    return table(heads, [line for row in chosen for line in _by_group(row, data_root)])


def _by_group(row: Row, data_root: Path) -> Iterator[list[str]]:
    run, rules = row.record.manifest, recorded_protocol(row.record.manifest.protocol.content())
    if row.record.labels is None or rules is None:
        return
    store, target = (
        find_source(run.dataset.name, data_root).prepared(rules),
        recorded_target(row.record, row.board.target),
    )
    found = group_scores(RunFacts(row.record, row.entry.folder, store), target, store.subjects)
    inside = [one for one in found if one.metric == target.traits.within_metric and isinstance(one.score, Estimate)]
    for fact, same in groupby(inside, lambda one: one.fact):
        two = [f"{one.group}, {one.subjects}: {shown(one.score)}" for one in same if not one.is_difference]
        gaps = [shown(one.score, "+.3f") for one in inside if one.fact == fact and one.is_difference]
        if gaps:
            yield [row.board.title, row.name, fact.replace("_", " "), *two, *gaps]


CLAIMED = (("wu2023", 1), ("woo2023", 5))
"""Papers, and the boards of `EVERY` that they make claims on."""
TABLES: dict[str, Callable[[], str]] = {
    **{
        f"{of.__name__} {board.dataset} {board.target}": partial(of, board)
        for of in (features, networks, confound_only)
        for board in EVERY
    },
    **{
        f"facts {dataset}": partial(facts, [board for board in EVERY if board.dataset == dataset])
        for dataset in dict.fromkeys(board.dataset for board in EVERY)
    },
    "features within stress_predict stress": partial(features, EVERY[0], WITHIN),
    "false alarms": false_alarms,
    "minutes": minutes,
    "subjects apart": partial(subjects_apart, EVERY[0]),
    "rows": rows_by_level,
    **{f"claims {paper} {EVERY[k].dataset}": partial(claims, paper, EVERY[k]) for paper, k in CLAIMED},
    **{
        of.__name__: of
        for of in (
            facts,
            overview,
            capabilities,
            adding,
            highest,
            associated,
            sensors,
            pretraining,
            kinds,
            transfer_map,
            choice,
        )
    },
}
_MARKED = re.compile(r"(<!-- table (?P<name>[^:]+): begin -->)\n(?P<table>.*?)(<!-- table: end -->)", re.DOTALL)


def tables_in(page: str) -> Iterator[tuple[str, str]]:
    """The names of the tables of a page, and what it shows of them."""
    return ((found["name"], found["table"].strip()) for found in _MARKED.finditer(page))


def filled(page: str) -> str:
    """The page with its tables made anew. Raises KeyError where it names one that there is not."""
    return _MARKED.sub(lambda found: f"{found[1]}\n\n{TABLES[found['name']]()}\n\n{found[4]}", page)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.boards.tables")
    parser.add_argument("--data-root", type=Path, help="folder with the recordings, for scores of groups of people")
    data_root = parser.parse_args().data_root
    TABLES["people"] = partial(people, data_root)
    try:
        for page in (*PAGES, PEOPLE) if data_root else PAGES:
            page.write_text(filled(written() if page == FINDINGS else page.read_text("utf-8")), "utf-8")
    except EmbenchError as error:
        print(f"{error.label}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
