"""The result folder of a baseline set: tables, entries, a site, and texts for a paper and a pull request.

The folder is replaced as a whole, and equal rows give equal bytes. It contains only what entries, exports and shared
reports contain, so that it can be shared.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from embench import audits
from embench.data.find import make_raw_digest_getter
from embench.errors import CheckFailed, EmbenchError
from embench.files import (
    DamagedError,
    aside,
    check_files,
    checksum_files,
    folder_mode,
    make_folder,
    read_sealed_json,
    replace_folder,
    saving,
    sealed_json,
    temporary,
    write_text,
)
from embench.leaderboard.columns import Row
from embench.leaderboard.entries import LeaderboardEntry, list_entry_folders, load_run, publish_runs
from embench.leaderboard.pull_request import explain_unsubmittable, list_severe_findings
from embench.leaderboard.rows import summarise_entry
from embench.leaderboard.tables import (
    BoardSection,
    as_csv,
    build_sections,
    flatten_row,
    render_markdown_table,
    render_models_table,
    summarise,
)
from embench.leaderboard.withheld import explain_derivable_labels, redact_record
from embench.planning.request import format_command
from embench.records.audit import AUDIT_FILE, list_shown_findings, read_audit
from embench.records.predictions import MODEL
from embench.records.record import Record, board_name, is_own, names_resolved, read_manifest, read_record
from embench.records.wording import grouped
from embench.report import latex
from embench.report.latex.bibliography import load_templates
from embench.sets.files import BaselineSet, SetLevel
from embench.sets.rows import BaselineRow
from embench.sets.running import RowForecast, apply_tuning, why_failed
from embench.statistics import metric_facts
from embench.system import EventCallback
from embench.vocabulary import markdown, names_path

SET_FILE = "baselines.json"
"""Name of the file with the set of the folder, and digests of the files for submission."""
_ENTRIES = "entries"
_COLUMNS = ("method", "modalities", "score", "chance", "movement", "protocol_phase", "audit")
_TEMPLATES = load_templates("embench.sets", html=False)
_TEMPLATES.filters["markdown"] = markdown


def write_folder(
    found: BaselineSet,
    level: SetLevel,
    options: Mapping[str, Any],
    able: Sequence[RowForecast],
    unfit: Sequence[BaselineRow],
    report: Mapping[str, Any],
    write_site: Callable[..., object],
    progress: EventCallback | None = None,
) -> Path | None:
    """Write the folder of a set's finished rows, replacing an earlier one, and return its path; None if no row is
    finished. Rows without an audit are audited. Rows on synthetic data, and rows that no leaderboard accepts, get no
    entry. Names and labels appear as in entries: see `docs/guide/privacy.md`.

    Args:
        options: fields of a request that are the same for all rows.
        able, unfit: rows that can and cannot be run, from `forecast_rows`.
        report: shareable report on the dataset's files, from `check_readable`.
        write_site: `embench.site.build_site`, which this package may not import.

    Raises:
        MachineError: the folder cannot be written.
    """
    able = sorted(map(apply_tuning, able), key=lambda row: row.plan.id)  # not in the order of forecast times
    done = {row.plan.id: row for row in able if row.done}
    if not done:
        return None
    plan = next(iter(done.values())).plan
    board, words = board_name(plan.dataset), _list_row_options(options)
    trials = {row.row.search.trials for row in able if row.row.search and not row.row.trials}
    words += [word for number in trials for word in ("--tune", str(number))]
    name = "-".join([board.rpartition(":")[2], found.name, level, *words])
    out = plan.request.runs_folder / "baselines" / re.sub(r"[^\w.-]+", "_", name.replace("--", ""))
    owned, synthetic = is_own(plan.dataset), plan.test.store.synthetic is not None
    command = ["embench", "baselines", "--dataset", "FOLDER" if owned else _hide_paths(plan.request.dataset)]
    command += ["--baseline-set", found.name, "--level", level, *words]
    unaudited = {} if synthetic else dict(_audit_rows(done, progress))
    records, hidden = _read_records(done)
    public = {record.manifest.card.labels_public for record in records.values()}
    with saving("the folder of the set", out), temporary(aside(out)) as whole:
        make_folder(whole, folder_mode(*public or {"no"}))
        refused = hidden | _write_entries({id_: done[id_] for id_ in records}, whole / _ENTRIES, unaudited)
        entries = list_entry_folders(whole / _ENTRIES)
        shown = {id_: load_run(done[id_].plan.folder) for id_ in records}
        sections = build_sections([summarise_entry(entry) for entry in shown.values()], load_run)
        facts = {
            "set": found,
            "level": level,
            "dataset": board_name(_hide_paths(plan.dataset)),
            "own": owned,
            "synthetic": synthetic,
            "count": f"{len(done)} of {len(able)} rows",
            "command": shlex.join(command),
            "runs": [entry.run for entry in shown.values()],
            "sections": [_describe_section(section, {entry.name for entry in entries}) for section in sections],
            "entries": [folder.relative_to(whole).as_posix() for folder in entries],
            **_collect_remarks(able, unfit, shown, refused),
        }
        write_text(whole / "README.md", _render("README.md", facts))
        rows = [flatten_row(section, row) for section in sections for row in section.rows]
        write_text(whole / "table.csv", as_csv(rows))
        write_text(whole / "data.json", json.dumps(report, indent=1) + "\n")
        _write_paper(whole / "paper", done, records, _render("head.tex", facts))
        if entries:
            write_text(whole / "pull-request.md", _render("pull-request.md", facts))
            with TemporaryDirectory() as notes:
                write_text(Path(notes) / f"{board}.md", _render("note.md", facts))
                write_site(whole / _ENTRIES, whole / "site", notes_folder=Path(notes))
        submitted = ["README.md", *(_list_files(whole) if entries else ())]
        about = {"set": found.name, "hash": found.hash, "level": level, "files": checksum_files(whole, submitted)}
        write_text(whole / SET_FILE, sealed_json({"version": 1, **about}) + "\n")
        replace_folder(out, whole)
    return out


def _collect_remarks(
    able: Sequence[RowForecast],
    unfit: Sequence[BaselineRow],
    entries: Mapping[str, LeaderboardEntry],
    refused: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return the texts of README.md on rows, as text -> rows: `findings` of audits, and the reasons why rows are
    `refused` as entries, `missing`, or `unfit` for the dataset."""
    done = {row.plan.id: row.row for row in able if row.done}
    return {
        "findings": _group_reasons(
            (f"{finding.severity}: {finding.what} [{finding.check}]", done[id_])
            for id_, entry in entries.items()
            for finding in list_shown_findings(entry.audit)
            if finding.severity != "note"
        ),
        "refused": _group_reasons(
            ((reason, done[id_]) for id_, reasons in refused.items() for reason in reasons), len(done)
        ),
        "missing": _group_reasons((why_failed(row) or "not started", row.row) for row in able if not row.done),
        "unfit": _group_reasons((row.reason, row) for row in unfit),
    }


def list_set_entries(folder: Path) -> list[Path]:
    """Return the entries in a folder that `write_folder` wrote.

    Raises:
        CheckFailed: there are none, or a file for submission was changed.
    """
    wrong = partial(CheckFailed, hint="rerun the same `embench baselines` command, which writes the folder again")
    try:
        known = read_sealed_json(folder / SET_FILE)["files"]
        check_files(folder, known, whole=True)
        if more := sorted({*_list_files(folder)} - {*known}):
            raise DamagedError(f"{more[0]} was added", where=str(folder / more[0]))
    except DamagedError as error:
        what = f"the folder differs from the one that `embench baselines` wrote: {error.what}"
        raise wrong(what, where=error.where) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise wrong("the folder does not record what its files contain", where=str(folder / SET_FILE)) from error
    if found := list_entry_folders(folder / _ENTRIES):
        return found
    raise CheckFailed("the folder contains no entries", where=str(folder), expected="see its README.md for the reasons")


def _list_files(folder: Path) -> list[str]:
    """Return the paths of all files of entries, relative to the folder of the set."""
    return [path.relative_to(folder).as_posix() for path in sorted((folder / _ENTRIES).rglob("*")) if path.is_file()]


def _list_row_options(options: Mapping[str, Any]) -> list[str]:
    """Return the options of a command that determine its rows, without paths on this machine."""
    public = {name: _hide_paths(value) if isinstance(value, str) else value for name, value in options.items()}
    return shlex.split(format_command({**public, "dataset": "DATASET", "device": None}))[4:]


def _audit_rows(done: Mapping[str, RowForecast], progress: EventCallback | None) -> Iterator[tuple[str, str]]:
    """Audit the rows without an audit; yield (id, reason) of rows that cannot be audited."""
    for id_, row in done.items():
        if not (row.plan.folder / AUDIT_FILE).is_file():
            request = row.plan.request
            place: dict[str, Any] = {"dataset": request.dataset, "data_root": request.data_root}
            try:
                audits.audit_run(row.plan.folder, **place, trust_code=True, progress=progress)
            except EmbenchError as error:
                yield id_, f"its audit failed: {error.what}"


def _read_records(done: Mapping[str, RowForecast]) -> tuple[dict[str, Record], dict[str, list[str]]]:
    """Return id -> record of rows, without predictions of confound-only models and without labels that are not public;
    and id -> reasons of rows whose record is damaged, or whose scores would reveal withheld labels."""
    records, hidden = dict[str, Record](), dict[str, list[str]]()
    for id_, row in done.items():
        try:
            record, _ = read_record(row.plan.folder), read_audit(row.plan.folder)
        except EmbenchError as error:
            hidden[id_] = [error.what]
            continue
        if record.manifest.card.labels_public == "yes":
            rows = record.predictions
            records[id_] = replace(record, predictions=rows.take(rows.rows_with(method=MODEL)), labels=None)
        elif (
            record.manifest.dataset.synthetic is None
            and record.labels is not None
            and (reason := explain_derivable_labels(record.predictions, record.labels))
        ):
            hidden[id_] = [reason]
        else:
            records[id_] = redact_record(record)
    return records, hidden


def _write_entries(rows: Mapping[str, RowForecast], place: Path, unaudited: Mapping[str, str]) -> dict[str, list[str]]:
    """Write the entries of rows that can be submitted; return id -> reasons of the other rows."""
    refused = {}
    for id_, row in rows.items():
        folder, root = row.plan.folder, row.plan.request.data_root
        reasons = explain_unsubmittable(read_manifest(folder), place, leaking=True)
        reasons += [unaudited[id_]] if id_ in unaudited else list_severe_findings(read_audit(folder))
        if not reasons:
            reasons = publish_runs([folder], place, make_raw_digest_getter(root))[1].get(folder, [])
        if reasons:
            refused[id_] = reasons
    return refused


def is_in_leaderboards(row: RowForecast, boards: Path) -> bool:
    """Return True if the leaderboards `boards` have the entry of a row. A row that is still to be tuned has none."""
    plan = row.plan
    return not row.trials and (boards / board_name(plan.dataset) / plan.protocol.name / plan.id).is_dir()


def publish_row(row: RowForecast, boards: Path, progress: EventCallback | None = None) -> str:
    """Audit a finished row and write its entry into the leaderboards `boards`; return "published", or why it is not.

    Raises:
        MachineError: the entry cannot be written."""
    rows = {row.plan.id: row}
    refused = _write_entries(rows, boards, dict(_audit_rows(rows, progress)))
    return f"not published: {'; '.join(refused[row.plan.id])}" if refused else "published"


def _describe_section(section: BoardSection, linked: Collection[str]) -> dict[str, Any]:
    """Return a leaderboard as texts and a table for README.md."""
    several = f", {section.people} subjects" if section.people else ""
    metric = section.metric
    return {
        "title": f"{section.target}, {section.protocol}{several}",
        "leaks": section.leaks,
        "of": len(section.methods),
        "best": _format_best(section.methods, metric),
        "control": _format_best(section.confound_only, metric),
        "models": list(render_models_table(section)),
        "unranked": section.unranked,
        "adding": summarise(section).sentence,
        "table": render_markdown_table(
            section.methods, f"{_ENTRIES}/{section.dataset}/{section.protocol}", _COLUMNS, linked
        ),
    }


def _format_best(rows: Sequence[Row], metric: str) -> str:
    """Return a text on the row with the best value of a metric; empty if no row has one."""
    higher = metric_facts(metric).higher
    scored = [(score.mean if higher else -score.mean, row) for row in rows if (score := row.get_score(metric))]
    if not scored:
        return ""
    row = max(scored, key=lambda each: each[0])[1]
    signals = f" on {row.signals}" if row.is_method else ""
    return f"**{markdown(row.name + signals)}**, {metric_facts(metric).title} {row.format_metric(metric)}"


def _group_reasons(rows: Iterable[tuple[str, BaselineRow]], count: int | None = None) -> dict[str, list[str]]:
    """Return reason -> titles of its rows in Markdown, or `all` where it applies to `count` rows."""
    found = grouped((markdown(_hide_paths(reason)), markdown(_hide_paths(row.title))) for reason, row in rows)
    return {reason: ["all"] if len(titles) == count else titles for reason, titles in found.items()}


def _hide_paths(text: str) -> str:
    """Return a text in which paths on this machine are replaced by names of files."""
    return " ".join(re.split(r"[/\\]", word)[-1] if names_path(word) else word for word in text.split(" "))


def _render(template: str, facts: Mapping[str, Any]) -> str:
    return _TEMPLATES.get_template(template).render(facts)


def _write_paper(place: Path, done: Mapping[str, RowForecast], records: Mapping[str, Record], head: str) -> None:
    """Write the texts of `embench export` for all rows, below the comment `head`."""
    named, all_records = [(done[id_].plan.folder, record) for id_, record in records.items()], list(records.values())
    if not all_records:
        return
    place.mkdir()
    with names_resolved(named, trust_code=True, given=done[all_records[0].manifest.id].plan.request.dataset):
        write_text(place / "tables.tex", head + latex.latex_tables(all_records))
        write_text(place / "methods.tex", head + latex.methods_section(all_records))
        write_text(place / "references.bib", head + latex.bibtex(all_records))
