"""Build all pages and downloads of the site."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import as_file, files
from itertools import groupby
from pathlib import Path
from typing import Any

from embench.errors import DataError, UsageError
from embench.files import aside, replace_folder, saving, temporary
from embench.leaderboard.columns import SECONDARY_METRICS, EntrySummary, Row, columns
from embench.leaderboard.entries import LoadEntry, load_leaderboard_entry, load_run
from embench.leaderboard.rows import load_entry_summaries, load_run_summaries
from embench.leaderboard.tables import BY_CHANCE, BoardSection, build_sections, get_dataset_label
from embench.records.record import board_name, format_csv, read_manifest
from embench.records.wording import counted, join_with_and
from embench.report.axis_curves import describe_curve
from embench.report.drawing import STYLE
from embench.site.entry_page import EntryPages, find_places, flips_script
from embench.site.leaderboards import (
    Board,
    CalibrationCurve,
    add_page,
    build_boards,
    build_calibration_curves,
    find_curve,
    overview_page,
    published_page,
    transfer_page,
    write_calibration_curves,
    write_method_pages,
)
from embench.site.pages import notice, private_pages, read_note, render, style_texts, write_page
from embench.system import ProgressCallback
from embench.vocabulary import escape_formula

# Data of the pages as CSV and JSON: all entries, and the entries of each dataset.

_ABOUT = ("dataset", "protocol", "target", "trained_on", "leaks", "fixed_order")
_PLAIN = (
    *("kind", "id", "control", "fusion", "recipe", "target_access", "pretraining_overlap", "subjects"),
    *("primary_metric", "adjusted", "adjusted_level", "partial_r", "partial_r_lower", "partial_r_upper"),
    *("gain_source", "gain", "gain_low", "gain_high"),
    *("audit", "test_evaluations", "methods_evaluated", "dev_evaluations"),
)
_LISTS = ("modalities", "pretrainers", "apart", "mark", "near_null", "assumed", "seeds")
_GAIN = {name: columns()[name].value for name in ("gain", "gain_low", "gain_high")}
_COST = ("wall_seconds", "parameters", "flops", "device", "peak_memory_mb", "energy_j")


def write_downloads(whole: Path, sections: Sequence[BoardSection]) -> None:
    """Write all entries, and those of each dataset, as CSV and JSON files to the folder `data`. Raises OSError."""
    plain = [_describe_section(section) for section in sections]
    contents = {"rows": plain}
    for dataset, of_dataset in groupby(plain, key=lambda section: section["dataset"]):
        contents[dataset] = list(of_dataset)
    for name, content in contents.items():
        write_page(whole / "data" / f"{name}.csv", _format_csv(content))
        with (whole / "data" / f"{name}.json").open("w", encoding="utf-8", newline="\n") as file:
            json.dump(content, file, indent=1)  # without the whole text in memory
            file.write("\n")


def _describe_section(section: BoardSection) -> dict[str, Any]:
    rankings = {access: vars(ranking) for access, ranking in section.rankings.items()}
    rows = [_describe_row(row) for row in section.rows]
    about = {name: value for name, value in vars(section).items() if name not in ("counts", "source")}
    about |= {"fixed_order": section.fixed_order, "adding": section.associated and vars(section.associated)}
    about["answers"] = {question: vars(count) for question, count in section.counts.items()}
    return {**about, "rows": rows, "rankings": rankings}


def _describe_row(row: Row) -> dict[str, Any]:
    """Return a row as a mapping with the field names of the CSV and JSON files."""
    numbers = {
        "subjects": row.subjects,
        "primary_metric": row.primary_metric,
        "score": row.score and row.score.to_dict(),
        "scores": {name: score and score.to_dict() for name, score in row.scores.items()},
    }
    seeds = {"seeds": row.seeds}
    if not row.is_method:
        return {"kind": "control", "rank": None, "id": row.id, "control": row.control, **numbers, **seeds}
    same = ("encoders", "fusion", "pretrainers", "modalities", "recipe", "assumed", "target_access")
    return {
        "kind": "method",
        "rank": row.rank,
        "letters": row.letters,
        "unranked": bool(row.marks),
        "mark": row.marks,
        "evidence": vars(row.evidence),
        "suspicious": row.suspicious,
        "id": row.id,
        "apart": row.differences,
        **{name: getattr(row, name) for name in (*same, "pretraining_overlap")},
        **numbers,
        **_describe_association(row),
        "answers": {question: [answer.answer, answer.evidence] for question, answer in row.answers.items()},
        "corrected": row.corrected,
        "gain_source": row.gain_source or None,
        **{name: value(row) for name, value in _GAIN.items()},
        "audit": row.audit,
        "cost": row.cost and row.cost.model_dump(),
        **{name: getattr(row, name) for name in ("test_evaluations", "methods_evaluated", "dev_evaluations")},
        "evaluations_known": row.evaluations_known,
        **seeds,
    }


def _describe_association(row: Row) -> dict[str, Any]:
    """Return the columns on the association with the label given the confounds: answer, level, partial r with interval.
    Their values are None if the protocol does not require the analysis."""
    at = row.adjusted and row.adjusted.decides
    effect = at.partial_r if at else None
    return {
        "adjusted": row.is_associated if at else None,
        "adjusted_level": row.adjusted.decisive_level if row.adjusted and at else None,
        "partial_r": effect and effect.mean,
        "partial_r_lower": effect and effect.low,
        "partial_r_upper": effect and effect.high,
        "near_null": row.near_null,
    }


def _format_csv(sections: Sequence[Mapping[str, Any]]) -> str:
    lines = [line for section in sections for line in _iterate_lines(section)]
    safe = [{k: escape_formula(v) if isinstance(v, str) else v for k, v in line.items()} for line in lines]
    return format_csv(safe, list(lines[0]))


def _iterate_lines(section: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a line of CSV, as column -> value, for each row of a leaderboard."""
    for row in section["rows"]:
        line = {name: section[name] for name in _ABOUT} | {name: row.get(name) for name in _PLAIN}
        line["encoders"] = "; ".join(f"{m}={name}" for m, name in row.get("encoders", {}).items())
        line |= {name: "; ".join(map(str, row.get(name, ()))) for name in _LISTS}
        line["best_rank"], line["worst_rank"] = row["rank"] or (None, None)
        scores = {"score": row["score"]} | {name: row["scores"].get(name) for name in SECONDARY_METRICS}
        for name, score in scores.items():
            for part, key in (("", "mean"), ("_low", "low"), ("_high", "high")):
                line[name + part] = score and score.get(key)
        line |= {name: row.get("cost", {}).get(name) for name in _COST}
        evidence = row.get("evidence") or {}
        line |= {f"evidence_{part}": evidence.get(part) for part in ("level", "by", "on")}
        line["suspicious"] = row.get("suspicious")
        yield line


# All pages of the site, and the folder that they are written to.

MARK = "embench-site.json"
"""Name of the file by which a folder is recognised as an earlier site."""
ASSETS = ("site.css", "common.js", "board.js", "compare.js", "statistics.js", "charts.js")

_PRIVATE: Mapping[str, Callable[[Sequence[Board]], str]] = {"index": overview_page, "transfer": transfer_page}
_PAGES = {**_PRIVATE, "add": add_page, "published": published_page}


def build_site(
    boards: Path, out: Path, *, notes_folder: Path | None = None, progress: ProgressCallback | None = None
) -> Path:
    """Write the site of published entries, and return the path of its first page. Equal entries give equal bytes.

    Args:
        boards: folder of the entries.
        out: folder of the site; an earlier site there is replaced.
        notes_folder: folder of Markdown files `<dataset>.md`, which are shown on the pages of datasets.
        progress: called with (number of processed entries, number of entries, current step).

    Raises:
        DataError: entries are missing, or one is damaged.
        UsageError: `out` is a file or has other content than an earlier site, or the folder of notes does not exist.
        MachineError: the site cannot be written.
    """
    _check_out(Path(out).resolve())
    if notes_folder is not None and not Path(notes_folder).is_dir():
        raise UsageError("there is no such folder of notes", where=f"--notes {notes_folder}")
    entries = load_entry_summaries(Path(boards))
    if not entries:
        raise DataError("no published entries found", where=str(boards), expected="<dataset>/<protocol>/<run>/run.yaml")
    return _write_site(out, entries, load_leaderboard_entry, notes_folder, progress)


def build_private_site(runs: Path, out: Path, *, progress: ProgressCallback | None = None) -> Path:
    """Write a site of the finished runs in `runs`/<dataset>/ for colleagues, and return the path of its first page.
    Runs of any seeds and on synthetic data are included; every page says that nobody has verified them. Arguments and
    errors are those of `build_site`."""
    _check_out(Path(out).resolve())
    entries = load_run_summaries(Path(runs))
    if not entries:
        raise DataError("no finished runs found", where=str(runs), expected="<dataset>/<run>/run.yaml below it")
    with private_pages(_write_notice(entries)):
        return _write_site(out, entries, partial(load_run, redacted=False), None, progress)


def _write_notice(entries: Sequence[EntrySummary]) -> str:
    """Return the notice on pages of unpublished runs: that nobody has checked them, and which labels are not public."""
    cards = {entry.dataset: read_manifest(entry.folder).card for entry in entries}
    names = [name for name, card in cards.items() if card.labels_public != "yes"]
    withheld = sorted(board_name(name).removeprefix("own-") for name in names)
    count = counted(len(entries), "unpublished run").capitalize()
    text = f"{count}. Nobody but their author has run or checked anything here."
    if withheld:
        text += f" The labels of {join_with_and(withheld)} may not be shared: do not publish these pages."
    return text


def _write_site(
    out: Path,
    entries: Sequence[EntrySummary],
    load: LoadEntry,
    notes_folder: Path | None,
    progress: ProgressCallback | None,
) -> Path:
    out, sections, pages = Path(out).resolve(), build_sections(entries, load), EntryPages()
    all_boards = build_boards(sections, entries, pages.compute_pairs(entries, progress))
    placed, curves = find_places(all_boards), build_calibration_curves(entries, load)
    with saving("the site", out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with temporary(aside(out)) as whole:
            whole.mkdir()
            _write_assets(whole)
            _write_boards(whole, all_boards, notes_folder, curves)
            for done, entry in enumerate(entries, 1):
                pages.write(whole, entry, placed[entry.id], find_curve(curves, entry.id))
                if progress:
                    progress(done, len(entries), "written")
            write_method_pages(whole, all_boards)
            for name, page in (_PRIVATE if notice() else _PAGES).items():
                write_page(whole / f"{name}.html", page(all_boards))
            write_downloads(whole, sections)
            write_calibration_curves(whole, curves)
            write_page(whole / MARK, json.dumps({"made_by": "embench leaderboard site"}) + "\n")
            replace_folder(out, whole)
    return out / "index.html"


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError("the site needs a folder, and this is a file", where=f"--out {out}", expected="a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        what = "the folder contains other files than an earlier site, which a new one would replace"
        raise UsageError(what, where=f"--out {out}", expected="a new folder, an empty one, or an earlier site")


def _write_assets(whole: Path) -> None:
    with as_file(files("embench.site") / "assets") as folder:
        for name in ASSETS:
            target = whole / "assets" / name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / name, target)
        write_page(whole / "assets" / "theme.css", STYLE + "\n")
        shutil.copytree(folder / "vendor", whole / "assets" / "vendor", copy_function=shutil.copyfile)


def _write_boards(
    whole: Path, all_boards: list[Board], notes_folder: Path | None, curves: Sequence[CalibrationCurve]
) -> None:
    groups = set()
    for dataset, of_dataset in groupby(all_boards, key=lambda board: board.section.dataset):
        boards = list(of_dataset)
        counts = sorted({len(pair["contributions"]) for board in boards for pair in board.pairs if pair})
        groups |= set(counts)
        note = read_note(notes_folder, dataset, {board.section.dataset for board in all_boards})
        scripts = [f"assets/flips-{count}.js" for count in counts if flips_script(count)]
        drawn = [(each.name, style_texts(describe_curve(each.curve))) for each in curves if each.board == dataset]
        about = {"dataset": dataset, "label": get_dataset_label(dataset), "by_chance": BY_CHANCE}
        page = render("board.html", 1, **about, boards=boards, note=note, scripts=scripts, curves=drawn)
        write_page(whole / dataset / "index.html", page)
    for count in groups:
        if script := flips_script(count):
            write_page(whole / "assets" / f"flips-{count}.js", script)
