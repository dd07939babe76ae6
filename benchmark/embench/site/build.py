"""All pages of the site, and the folder that they are written to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import as_file, files
from itertools import groupby
from pathlib import Path

from embench.callbacks import ProgressCallback
from embench.errors import DataError, UsageError
from embench.files import aside, replace_folder, saving, temporary
from embench.leaderboard.columns import ShownEntry
from embench.leaderboard.entries import LoadEntry, load_leaderboard_entry, load_run
from embench.leaderboard.rows import load_shown_entries, load_shown_runs
from embench.leaderboard.tables import BY_CHANCE, dataset_label, sections_of
from embench.records.record import board_name, read_manifest
from embench.records.wording import counted, join_with_and
from embench.report.axis_curves import describe_curve
from embench.report.drawing import STYLE
from embench.site import notes
from embench.site.boards import Board, boards_of
from embench.site.downloads import write_downloads
from embench.site.entry_page import EntryPages, placed_rows
from embench.site.given_curves import GivenCurve, curve_of, given_curves, write_given_curves
from embench.site.methods import write_method_pages
from embench.site.number_style import style_texts
from embench.site.overview import add_page, overview_page
from embench.site.pages import notice, private_pages, render, write_page
from embench.site.pairing import flips_script
from embench.site.published import published_page
from embench.site.transfer import transfer_page

MARK = "embench-site.json"
"""The file by which an earlier site is recognised."""
ASSETS = ("site.css", "common.js", "board.js", "compare.js", "statistics.js", "charts.js")

_PRIVATE: Mapping[str, Callable[[Sequence[Board]], str]] = {"index": overview_page, "transfer": transfer_page}
_PAGES = {**_PRIVATE, "add": add_page, "published": published_page}


def build_site(
    boards: Path, out: Path, *, notes_folder: Path | None = None, progress: ProgressCallback | None = None
) -> Path:
    """Writes the site of the entries below `boards` into the folder `out`, in place of an earlier site, and returns the
    path of its first page. The same entries give the same bytes.

    Args:
        notes_folder: Markdown pages, `<dataset>.md`, that are shown on the dataset's page.
        progress: called with (entries that were compared, or whose pages are written, entries in all, what is done).

    Raises:
        DataError: there are no entries, or one is damaged. UsageError: `out` is a file or holds something else than an
            earlier site, or there is no such folder of notes. MachineError: the site cannot be written.
    """
    _check_place(Path(out).resolve())
    if notes_folder is not None and not Path(notes_folder).is_dir():
        raise UsageError("there is no such folder of notes", where=f"--notes {notes_folder}")
    entries = load_shown_entries(Path(boards))
    if not entries:
        raise DataError("no published entries found", where=str(boards), expected="<dataset>/<protocol>/<run>/run.yaml")
    return _write_site(out, entries, load_leaderboard_entry, notes_folder, progress)


def build_private_site(runs: Path, out: Path, *, progress: ProgressCallback | None = None) -> Path:
    """Writes a site of the finished runs below `runs`/<dataset>/ for colleagues, and returns the path of its first
    page. It takes runs of any seeds, on synthetic data too, and every page says that nobody has verified them.

    Args:
        progress: as of `build_site`.

    Raises:
        As `build_site` does.
    """
    _check_place(Path(out).resolve())
    entries = load_shown_runs(Path(runs))
    if not entries:
        raise DataError("no finished runs found", where=str(runs), expected="<dataset>/<run>/run.yaml below it")
    with private_pages(_notice(entries)):
        return _write_site(out, entries, partial(load_run, sealed=False), None, progress)


def _notice(entries: Sequence[ShownEntry]) -> str:
    """Sentences that readers of unpublished runs must know."""
    cards = {entry.dataset: read_manifest(entry.folder).card for entry in entries}
    withheld = sorted(
        board_name(name).removeprefix("own-") for name, card in cards.items() if card.labels_public != "yes"
    )
    count = counted(len(entries), "unpublished run").capitalize()
    text = f"{count}. Nobody but their author has run or checked anything here."
    if withheld:
        text += f" The labels of {join_with_and(withheld)} may not be shared: do not publish these pages."
    return text


def _write_site(
    out: Path,
    entries: Sequence[ShownEntry],
    load: LoadEntry,
    notes_folder: Path | None,
    progress: ProgressCallback | None,
) -> Path:
    out, sections, pages = Path(out).resolve(), sections_of(entries, load), EntryPages(load)
    all_boards = boards_of(sections, entries, pages.pairs_of(entries, progress))
    placed, curves = placed_rows(all_boards), given_curves(entries, load)
    with saving("the site", out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with temporary(aside(out)) as whole:
            whole.mkdir()
            _write_assets(whole)
            _write_boards(whole, all_boards, notes_folder, curves)
            for done, entry in enumerate(entries, 1):
                pages.write(whole, entry, placed[entry.id], curve_of(curves, entry.id))
                if progress:
                    progress(done, len(entries), "written")
            write_method_pages(whole, all_boards)
            for name, page in (_PRIVATE if notice() else _PAGES).items():
                write_page(whole / f"{name}.html", page(all_boards))
            write_downloads(whole, sections)
            write_given_curves(whole, curves)
            write_page(whole / MARK, json.dumps({"made_by": "embench leaderboard site"}) + "\n")
            replace_folder(out, whole)
    return out / "index.html"


def _check_place(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError("the site needs a folder, and this is a file", where=f"--out {out}", expected="a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise UsageError(
            "the folder contains other files than an earlier site, which a new one would replace",
            where=f"--out {out}",
            expected="a new folder, an empty one, or an earlier site",
        )


def _write_assets(whole: Path) -> None:
    with as_file(files("embench.site") / "assets") as folder:
        for name in ASSETS:
            target = whole / "assets" / name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / name, target)
        write_page(whole / "assets" / "theme.css", STYLE + "\n")
        shutil.copytree(folder / "vendor", whole / "assets" / "vendor", copy_function=shutil.copyfile)


def _write_boards(
    whole: Path, all_boards: list[Board], notes_folder: Path | None, curves: Sequence[GivenCurve]
) -> None:
    groups = set()
    for dataset, of_dataset in groupby(all_boards, key=lambda board: board.section.dataset):
        boards = list(of_dataset)
        counts = sorted({len(pair["adds"]) for board in boards for pair in board.pairs if pair})
        groups |= set(counts)
        note = notes.read(notes_folder, dataset, {board.section.dataset for board in all_boards})
        scripts = [f"assets/flips-{count}.js" for count in counts if flips_script(count)]
        drawn = [(each.name, style_texts(describe_curve(each.curve))) for each in curves if each.board == dataset]
        about = {"dataset": dataset, "label": dataset_label(dataset), "by_chance": BY_CHANCE}
        page = render("board.html", 1, **about, boards=boards, note=note, scripts=scripts, curves=drawn)
        write_page(whole / dataset / "index.html", page)
    for count in groups:
        if script := flips_script(count):
            write_page(whole / "assets" / f"flips-{count}.js", script)
