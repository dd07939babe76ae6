"""The tables of `docs/findings.md` and of the boards' pages, made of the published entries alone.

    python -m bench.boards.tables

writes them into the pages, between their marks. Scores are the headline, or `auroc_within` on boards where no row has a
headline. Differences are paired over subjects, with the allowance for shared training (`docs/why/statistics.md`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from bench import ROOT
from bench.boards.exercise import false_alarms, minutes
from bench.boards.findings import written
from bench.boards.published import (
    EVERY,
    MOVEMENT,
    WITHIN,
    Board,
    best_first,
    bold,
    compared,
    estimator,
    figure,
    fusion,
    headline,
    is_features,
    is_open,
    low,
    method,
    metric_of,
    modalities,
    name_of,
    pretrained,
    published,
    question,
    record_of,
    rows_of,
    scored,
    section_of,
    shown,
    standing,
    summands_of,
    table,
)
from bench.boards.rows import ALL, BOTH, ESTIMATORS, FAST, FIXED, GROUPS, LEGACY, STRICT
from embench.claims.files import Claim, select_claims
from embench.claims.requests import claimed_request
from embench.claims.verdict import direction_verdict
from embench.errors import EmbenchError
from embench.interfaces.metric import Undefined
from embench.leaderboard.entries import LeaderboardEntry
from embench.records.predictions import MODEL
from embench.records.scores import Score
from embench.statistics.by_subject import subject_gap, subject_scores
from embench.statistics.ranking import rank_methods
from embench.statistics.significance import holm
from embench.statistics.spread import mean_and_error, spread_of

DOCS = ROOT / "docs"
FINDINGS = DOCS / "findings.md"
ADDS = DOCS / "why" / "adds.md"
LEVELS = ("local", "full", "local_contact", "full_contact")
LEVEL_NAMES = ("`local`", "`full`", "`local` and contact", "`full` and contact")

BEGIN, END = "<!-- table {}: begin -->", "<!-- table: end -->"


# What a board shows


def facts(boards: Sequence[Board] | None = None) -> str:
    """Table of facts on each board."""
    lines = []
    for board in boards or standing():
        if not (rows := rows_of(board)):
            continue
        entry = max(rows, key=lambda e: e.run.cohort.size)
        units, share = "—", "—"
        if labels := record_of(entry.folder).labels:
            known = labels["label"][(labels["target"] == board.target) & np.isfinite(labels["label"])]
            units, share = f"{len(known):,}", figure(known.mean(), ".2f")
        cells = [board.title, str(entry.run.cohort.size), units, share, f"`{headline(entry, board)}`"]
        defined = metric_of(board) == headline(entry, board)
        severe = sum((e.audit or {"counts": {"severe": 1}})["counts"]["severe"] for e in rows)
        lines.append([*cells, "yes" if defined else "no", str(len(rows)), str(severe)])
    heads = ["board", "subjects", "units", "share of 1", "headline", "defined", "rows", "severe findings of audits"]
    return table(heads, lines)


def features(board: Board, metric: str | None = None) -> str:
    """Estimators on features, by modality; bold: the interval lies above chance."""
    metric = metric or metric_of(board)
    found = {(estimator(e), modalities(e)): e for e in rows_of(board) if is_features(e)}
    every = ("ppg", "eda", "temp", "eeg", "ecg", ALL, BOTH, "hr", "acc")
    columns = [m for m in every if any(key[1] == m for key in found)]
    lines = []
    for name in dict.fromkeys((*ESTIMATORS, *sorted(name for name, _ in found))):
        scores = [found[name, m].score(board.target, metric) if (name, m) in found else None for m in columns]
        lines.append([name, *map(bold, scores)])
    return table([f"`{metric}`", *(m.replace(",", ", ") for m in columns)], lines)


def networks(board: Board) -> str:
    """Rows of networks and what they cost, best first."""
    metrics, lines = list(dict.fromkeys([metric_of(board), WITHIN])), []
    for entry, score in [row for row in best_first(board) if not is_features(row[0])]:
        cells = [method(entry), modalities(entry), pretrained(entry) or "—", bold(score)]
        cells += [shown(entry.score(board.target, metric)) for metric in metrics[1:]]
        lines.append([*cells, f"{entry.run.cost.parameters:,}", f"{entry.run.cost.wall_s / 3600:.2f}"])
    scores = [f"`{metric}`" for metric in metrics]
    return table(["method", "modalities", "pretrained by", *scores, "parameters", "core-hours"], lines)


def controls(board: Board) -> str:
    """Table of scores without a signal of the body, as in the row with most subjects."""
    lines: list[list[str]] = []
    if not rows_of(board):
        return table([], lines)
    entry = max(rows_of(board), key=lambda e: (e.run.cohort.size, is_features(e), e.run.id))
    metrics = list(dict.fromkeys([headline(entry, board), WITHIN, "auroc"]))
    for name in entry.scores.control_names:
        found = [entry.scores.score(board.target, metric, name) for metric in metrics]
        if any(found):
            lines.append([f"`{name}`", *map(shown, found)])
    return table(["control", *(f"`{metric}`" for metric in metrics)], lines)


def subjects_apart(board: Board) -> str:
    """S02 to S25, who were looked at while features were developed, and S26 to S35, at whom nobody looked."""
    rows = [e for e in rows_of(board) if fusion(e) in FAST or not is_features(e)]
    if not rows:
        return table([], [])
    lines = [[name_of(e), *_apart(e, board, MODEL)] for e in rows]
    lines.sort(key=lambda line: line[1], reverse=True)
    lines.append([f"`{MOVEMENT}`", *_apart(max(rows_of(board), key=is_features), board, MOVEMENT)])
    return table(["AUROC within a subject (SE)", "S02 to S25 (24)", "S26 to S35 (10)", "difference"], lines)


def _apart(entry: LeaderboardEntry, board: Board, name: str) -> list[str]:
    each = subject_scores(replace(scored(entry, board, WITHIN, entry.run.seeds), method=name))
    values = np.nanmean(each.values, axis=0)
    later = np.array([int(subject.removeprefix("S")) >= 26 for subject in each.jackknife.subjects])
    (one, its_error), (other, other_error) = mean_and_error(values[~later]), mean_and_error(values[later])
    cells = [f"{figure(one)} ({figure(its_error)})", f"{figure(other)} ({figure(other_error)})"]
    return [*cells, f"{figure(other - one, '+.3f')} ({figure(np.hypot(its_error, other_error))})"]


# What the boards say together


def adding(boards: Sequence[Board] | None = None) -> str:
    """Table of the rows of each board that lie above chance, and of those that add to clock and movement."""
    lines = []
    for board in boards or standing():
        metric, rows, found = metric_of(board), rows_of(board), section_of(board)
        above = sum(low(e.score(board.target, metric)) > 0.5 for e in rows)
        cells = [board.title, f"`{metric}`", str(len(rows)), str(above)]
        if found.adding is None:
            lines.append([*cells, "0", *["—"] * 6])
            continue
        asked = [adds for e in rows if (adds := e.scores.adds(board.target)) and adds.decides]
        levels = [sum(level in adds.levels and adds.levels[level].adds for adds in asked) for level in LEVELS]
        cells += [str(found.adding.asked), str(found.adding.adding), str(found.adding.by_luck)]
        lines.append([*cells, *map(str, levels)])
    heads = ["board", "score", "rows", "above chance", "asked", "add", "by luck at most"]
    return table([*heads, *(f"to {level}" for level in LEVEL_NAMES)], lines)


def effects(board: Board) -> str:
    """Rows that add at a level: their partial correlation with the label, and what is left of their scores, in order of
    the correlation at the level `local`."""
    asked = [(e, adds) for e in rows_of(board) if (adds := e.scores.adds(board.target)) and adds.decides]
    metric, lines = metric_of(board), []
    for entry, adds in sorted(asked, key=lambda row: -row[1].levels["local"].effect.mean):
        levels = [adds.levels[level] for level in LEVELS]
        if any(at.adds for at in levels):
            cells = [f"{_brief(at.effect)}, {_brief(at.score)}{' **adds**' if at.adds else ''}" for at in levels]
            own = _brief(entry.score(board.target, metric))
            lines.append([method(entry), modalities(entry), own, *cells])
    heads = ["row", "signals", f"`{metric}`", *LEVEL_NAMES]
    return table(heads, lines)


def _brief(score: Score | None) -> str:
    """A score with the lower end of its interval."""
    return "—" if score is None else f"{figure(score.mean)} [{figure(low(score))}]"


def pretraining(boards: Sequence[Board] | None = None) -> str:
    """Each row after pretraining against the same one from scratch."""
    lines = []
    for board in boards or standing():
        rows = rows_of(board)
        scratch = _from_scratch(rows)
        for entry in [e for e in rows if e.run.method.pretrainers and name_of(e) in scratch]:
            gap = _gap_cells(entry, scratch[name_of(entry)], board)
            lines.append([board.title, name_of(entry), pretrained(entry), *gap])
    return table(["board", "network", "pretrained by", "score", "pretrained", "from scratch", "difference", "p"], lines)


def _from_scratch(rows: Sequence[LeaderboardEntry]) -> dict[str, LeaderboardEntry]:
    """Name -> the row without pretraining."""
    return {name_of(e): e for e in rows if not e.run.method.pretrainers}


def _gap_cells(one: LeaderboardEntry, other: LeaderboardEntry, board: Board) -> list[str]:
    """Cells with both scores, their paired difference, and its p without correction; without the latter two where
    labels are not public."""
    metric = metric_of(board)
    scores = [shown(e.score(board.target, metric)) for e in (one, other)]
    if not is_open(one):
        return [f"`{metric}`", *scores, "—", "—"]
    found = compared(one.folder, other.folder, board.target, metric)
    return [f"`{metric}`", *scores, shown(found.difference, "+.3f"), figure(found.p)]


def leak() -> str:
    """Table of the same methods under the fixed protocol, under the strict one, and under one that leaks."""
    lines = []
    for board in (b for b in standing() if rows_of(b, LEGACY)):
        for name in FAST:
            found = {p: _of_estimator(board, p, name) for p in (STRICT, FIXED, LEGACY)}
            if len({entry.run.cohort.size for p, entry in found.items() if entry and p != STRICT}) > 1:
                continue  # the leaking row is of fewer subjects, and waits for its successor
            cells = [shown(e.score(board.target, WITHIN)) if e else "—" for e in found.values()]
            lines.append([board.title, name, *cells, _gap(found[LEGACY], found[FIXED], board)])
    return table([f"`{WITHIN}`", "", "strict", "fixed", "leaking", "leaking less fixed"], lines)


def _of_estimator(board: Board, protocol: str, name: str) -> LeaderboardEntry | None:
    read = "eeg" if board.dataset == "eegmat" else ALL
    rows = [e for e in rows_of(board, protocol) if is_features(e) and modalities(e) == read]
    return next((e for e in rows if estimator(e) == name), None)


def _gap(one: LeaderboardEntry | None, other: LeaderboardEntry | None, board: Board) -> str:
    """The difference of two entries within subjects, whatever their folds, in the seeds that both have."""
    if one is None or other is None or not is_open(one):
        return "—"
    seeds = sorted(set(one.run.seeds) & set(other.run.seeds))
    found = subject_gap(*(scored(entry, board, WITHIN, seeds) for entry in (one, other))).estimate()
    return shown(None if isinstance(found, Undefined) else found, "+.3f")


def elsewhere() -> str:
    """Trained on one dataset and tested on another, beside the same methods trained where they are tested."""
    lines = []
    for board, other in ((EVERY[0], "wearable_stress"), (EVERY[1], "stress_predict")):
        at_home = _from_scratch(rows_of(board))
        for entry in rows_of(board, trained_on=other):
            name = name_of(entry).replace(f", trained on {other}", "")
            home = at_home.get(name)
            scores = [shown(e.score(board.target, WITHIN)) if e else "—" for e in (entry, home)]
            lines.append([f"`{board.dataset}`", name, *scores, _gap(entry, home, board)])
    return table(
        [f"tested on, `{WITHIN}`", "method", "trained on the other", "trained on the same", "difference"], lines
    )


def choice(boards: Sequence[Board] | None = None) -> str:
    """Table of the first row of each board, its lead over the mean of all, and the part that choosing explains."""
    lines = []
    for board in boards or standing():
        rows, metric = best_first(board), metric_of(board)
        found = rank_methods([score for _, score in rows], [summands_of(e.folder, board, metric) for e, _ in rows])
        if found.luck is None:
            continue
        first, mean = rows[0][0], rows[0][1].mean
        bound, least = ("", "") if found.paired else ("at most ", "at least ")
        told = sum(worst < len(rows) or best > 1 for best, worst in found.ranks)
        lines.append([
            board.title, f"`{metric}`", str(len(rows)), name_of(first), figure(mean), figure(found.lead),
            bound + figure(found.luck), least + figure(mean - found.luck),
            f"{found.ranks[0][0]}-{found.ranks[0][1]}", str(told),
        ])  # fmt: skip
    heads = ["board", "score", "rows", "first row", "its score", "lead", "lead by luck", "less luck", "its ranks"]
    return table([*heads, "rows told apart from any other"], lines)


def noise(boards: Sequence[Board] | None = None) -> str:
    """Table of the variation of scores between seeds and between rows, and the width of their intervals."""
    lines = []
    for board in boards or standing():
        metric, rows = metric_of(board), best_first(board)
        summands = [s for e, _ in rows if (s := summands_of(e.folder, board, metric))]
        found = vars(spread_of([score for _, score in rows], summands)).values()
        cells = ["—" if each is None else figure(each) for each in found]
        lines.append([board.title, f"`{metric}`", str(len(rows)), *cells])
    heads = ["board", "score", "rows", "SD between rows", "half an interval", "SD between seeds"]
    return table([*heads, "half an interval of a difference"], lines)


# What was asked, and what is there


def groups() -> str:
    """The groups of rows: how many there are, how many are published, and the core-hours of these."""
    counts = []
    for name, rows in GROUPS.items():
        found = [e for row in rows if (e := published().get(question(vars(row.request()))))]
        hours = round(sum(entry.run.cost.wall_s for entry in found) / 3600, 2)
        counts.append((name, len(rows), len(found), hours))
    _, *columns = zip(*counts, strict=True)
    counts.append(("all", *map(sum, columns)))
    lines = [[name, str(n_rows), str(n_found), f"{hours:.2f}"] for name, n_rows, n_found, hours in counts]
    return table(["group", "rows", "published", "core-hours of these"], lines)


def claims(paper: str, board: Board) -> str:
    """A paper's claims on a board: both sides, their difference, and the verdict. Claims on the same two rows, of which
    the paper has several scores, are one. Holm's correction is over the claims of which both sides were run."""
    metric, alike = metric_of(board), dict[tuple[str, ...], tuple[list[Claim], LeaderboardEntry, LeaderboardEntry]]()
    for claim in (c for c in select_claims(paper, ()) if isinstance(c, Claim)):
        stated = [{"protocol": FIXED, **claim.options(side, board.dataset)} for side in ("a", "b")]
        sides = [published().get(question(vars(claimed_request(board.dataset, own, (), {})))) for own in stated]
        if all(sides):
            key = (*(side.run.id for side in sides), claim.direction)
            alike.setdefault(key, ([], *sides))[0].append(claim)
    found = list(alike.values())
    gaps = [compared(a.folder, b.folder, board.target, metric) for _, a, b in found]
    corrected = holm([gap.p for gap in gaps])
    lines = []
    for (same, *sides), gap, p in zip(found, gaps, corrected, strict=True):
        claim, estimate = same[0], gap.difference
        allowed = gap.over == "folds" or estimate.shared is not None
        verdict = direction_verdict(
            estimate.low, estimate.high, p, claim.direction, seeds=len(gap.seeds), allowance=allowed
        )
        scores = [shown(side.score(board.target, metric)) for side in sides]
        detectable = "—" if gap.smallest is None else figure(gap.smallest)
        names = ", ".join(one.id for one in same)
        lines.append([f"{names}: {claim.claim}", *scores, shown(estimate, "+.3f"), figure(p), verdict, detectable])
    return table([f"claim, `{metric}`", "a", "b", "a less b", "p, Holm", "verdict", "detectable"], lines)


CLAIMED = (("wu2023", 0), ("wu2023", 1), ("strizhkova2024", 0), ("vazquez2022", 5), ("woo2023", 5))
"""Papers, and the boards of `EVERY` that they make claims on."""
TABLES: dict[str, Callable[[], str]] = {
    **{
        f"{of.__name__} {board.dataset} {board.target}": partial(of, board)
        for of in (features, networks, controls, effects)
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
    **{f"claims {paper} {EVERY[k].dataset}": partial(claims, paper, EVERY[k]) for paper, k in CLAIMED},
    **{of.__name__: of for of in (facts, groups, adding, pretraining, leak, elsewhere, choice, noise)},
}
_MARKED = re.compile(f"({BEGIN.format('(?P<name>[^:]+)')})\n(?P<table>.*?)({END})", re.DOTALL)


def tables_in(page: str) -> Iterator[tuple[str, str]]:
    """The names of the tables of a page, and what it shows of them."""
    return ((found["name"], found["table"].strip()) for found in _MARKED.finditer(page))


def filled(page: str) -> str:
    """The page with its tables made anew. Raises KeyError where it names one that there is not."""
    return _MARKED.sub(lambda found: f"{found[1]}\n\n{TABLES[found['name']]()}\n\n{found[4]}", page)


def pages() -> list[Path]:
    """Pages with tables; not those of datasets whose rows are of superseded protocols alone."""
    run = {board.dataset for board in standing()}
    waiting = {board.dataset for board in EVERY} - run
    boards = [path for path in sorted((DOCS / "boards").glob("*.md")) if not path.stem.endswith("_v1")]
    return [*(path for path in boards if path.stem not in waiting), FINDINGS, ADDS, ROOT / "README.md"]


def main() -> int:
    try:
        for page in pages():
            text = written() if page == FINDINGS else page.read_text(encoding="utf-8")
            page.write_text(filled(text), encoding="utf-8")
    except EmbenchError as error:
        print(f"{error.label}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
