"""`embench data`: list datasets, verify, download and prepare them."""

from __future__ import annotations

import itertools
import json
import math
import re
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from typer import Argument, Option

from embench import registry
from embench.cli import console, data_describe
from embench.cli.console import show_parts, show_table
from embench.cli.options import DataRoot, DatasetName, Json, ProtocolName
from embench.data import data_folder, describe_root_fault
from embench.errors import CheckFailed, DataError, EmbenchError, PluginError, UsageError
from embench.planning.request import Request
from embench.records.wording import grouped
from embench.screen import Steps, fields, unanswerable_parts
from embench.system import cores

if TYPE_CHECKING:
    from embench.data.checks import CheckedFiles
    from embench.data.find import Source
    from embench.interfaces.dataset import Card, Dataset, Download, Finding
    from embench.interfaces.recording import Recording
    from embench.registry import Entry
    from embench.store import Store


# `embench data status` and `data verify`: available datasets, whether their files are usable, and how to obtain others.

_CARD_FIELDS = (
    *("title", "targets", "modalities", "licence", "labels_public", "citation", "doi", "address", "availability"),
    *("obtain", "download", "hours", "prepared", "verified_on_real"),
)


def status(
    dataset: Annotated[str | None, Argument(metavar="[DATASET]", help="Name of a dataset; default: all.")] = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """List datasets: where their files are, whether they were verified, and how to obtain them."""
    from embench.data.find import find_recording_folders, find_source
    from embench.store.prepare import reader_faults

    usable = True
    if dataset:
        source = find_source(dataset, data_root)
        facts = [_get_status(source.entry, source.folder, dataset)]
        usable = facts[0]["state"] not in ("missing", "broken")
        if usable:
            facts[0]["subjects"] = len(source.owners_reader().subjects())
    else:
        named = registry.entries("dataset")
        facts = [_get_status_or_fault(entry, data_folder(entry, data_root), entry.name) for entry in named]
        own = [find_source(folder.name, data_root) for folder in find_recording_folders(data_root)]
        facts += [_get_status_or_fault(each.entry, each.folder, each.name) for each in own]
    if (wrong := describe_root_fault(data_root)) and usable:
        console.note(wrong)
    console.answer(as_json, facts, lambda: _print_status(facts, card=dataset is not None))
    if not usable:
        with reader_faults(str(dataset), "subjects"):
            source.owners_reader().subjects()  # raises the error that says where files were expected


def _print_status(facts: list[dict[str, Any]], card: bool) -> None:
    show_table(facts, fields("dataset", "state", "verified", "labels_public", "licence", *(["folder"] if card else [])))
    if card:  # one that is named ends with its own error
        own = facts[0]
        show_table({"card": key.replace("_", " "), "": str(own[key])} for key in _CARD_FIELDS if own[key])
        if "subjects" in own:
            console.echo(f"{own['subjects']} subjects")
        _print_open(facts)
        return
    console.echo(f"data root: {Path(facts[0]['folder']).parent}")
    for fact in facts:
        if fact["broken"]:
            console.note(f"{fact['dataset']}: {fact['broken']}")
    missing = grouped((fact["get"], fact["dataset"]) for fact in facts if fact["state"] == "missing")
    for get, names in missing.items():  # variants share a download
        console.wrapped(f"{', '.join(names)}: {get}")
    console.echo()
    _print_open(facts)


def _print_open(facts: Sequence[Mapping[str, Any]]) -> None:
    """Print, for each missing dataset that must be requested, up to three open datasets with the same targets."""
    families = {fact["dataset"].partition("/")[0]: fact for fact in reversed(facts) if fact["state"] == "missing"}
    rows = [{"in place of": name, **each} for name, own in sorted(families.items()) for each in own["open_instead"][:3]]
    show_table(rows, title="open datasets for the same questions (targets and signals that both have)")


def _find_open_alternatives(entry: Entry) -> list[dict[str, str]]:
    """Return a table row for each open dataset that shares targets and signals with `entry`; of variants, only one.
    Datasets whose labels have the same origin come first, then those that share most signals."""
    questions, family = dict(entry.asks), entry.name.partition("/")[0]
    rows: dict[str, tuple[tuple[Any, ...], dict[str, str]]] = {}
    for other in registry.entries("dataset"):
        targets = [name for name in questions if name in dict(other.asks)]
        signals = [name for name in other.modalities if name in entry.modalities]
        group = other.name.partition("/")[0]
        if other.broken or group == family or group in rows or not (targets and signals):
            continue
        if get := _describe_access(other):
            origins = {question.labels for name, question in other.asks if name in targets}
            same = any(questions[name].labels == dict(other.asks)[name].labels for name in targets)
            row = {"dataset": other.name, "targets": ", ".join(targets), "labels": ", ".join(sorted(origins))}
            rows[group] = ((not same, -len(signals), group), {**row, "signals": ", ".join(signals), "get it": get})
    return [row for _, row in sorted(rows.values(), key=lambda each: each[0])]


def _describe_access(entry: Entry) -> str:
    """Return the command that downloads an open dataset, or shows how to get it. Return an empty text if its files must
    be requested, or if its reader is broken."""
    try:
        card: Card = registry.load_plugin("dataset", entry.full_name).card
    except (EmbenchError, AttributeError):
        return ""
    name = registry.written_name(entry)
    if card.downloads:
        return f"embench data fetch {name}"
    return f"embench data status {name}" if card.labels_public == "yes" else ""


def _get_status(entry: Entry, folder: Path, name: str) -> dict[str, Any]:
    """Return the facts that `data status` prints of a dataset: folder, state, card; `name` is the user's spelling."""
    from embench.store import cache_root
    from embench.store.fingerprint import synthetic

    cls = registry.load_plugin("dataset", entry.full_name)
    card: Card = cls.card
    present = folder.is_dir() and any(folder.iterdir())
    fault, record = None, None
    if present:
        from embench.data.checks import recall
        from embench.store.prepare import reader_faults

        try:
            with reader_faults(entry.full_name, "subjects"):
                reader = cls(folder)
                card = reader.card  # that of a corpus is its folder's
                reader.subjects()
            generated = synthetic(folder) is not None
            record = recall(reader, registry.code_identity("dataset", entry.full_name), cache_root())
        except EmbenchError as error:
            fault = f"{error.what}; {error.hint}" if error.hint else error.what
    verified = card.verified_on_real
    return {
        "dataset": name,
        "title": card.title,
        "folder": str(folder),
        "state": "missing" if not present else "broken" if fault else "generated" if generated else "found",
        "found": present,
        "generated": present and not fault and generated,
        "broken": fault,
        "verified": _when_verified(record) if present and not fault else None,
        "verification": record,
        "modalities": ", ".join(card.default_modalities),
        "targets": ", ".join(target.name for target in card.targets),
        **{name: getattr(card, name) for name in ("licence", "labels_public", "citation", "doi")},
        **{name: getattr(entry, name) for name in ("address", "availability")},
        "obtain": card.obtain,
        **{name: getattr(entry, name) for name in ("download", "hours")},
        "prepared": _estimate_size(card, entry.hours),
        "get": f"embench data fetch {entry.name}" if card.downloads else card.obtain,
        "open_instead": [] if present or _describe_access(entry) else _find_open_alternatives(entry),
        "verified_on_real": verified if isinstance(verified, str) else f"{verified['date']}, by {verified['by']}",
    }


def _estimate_size(card: Card, hours: float | None) -> str | None:
    """Estimate the size of a dataset's prepared signals under the default protocol."""
    from embench.protocols import load_protocol

    if hours is None:
        return None
    most = load_protocol(Request.protocol).rate_hz
    signals = [own for m, own in card.modalities.items() if m not in ("video", "face_au")]
    values = sum(len(own.channels) * (most if math.isnan(own.rate) else min(own.rate, most)) for own in signals)
    size = hours * 3600 * values * 4  # bytes of a sample
    return f"about {size / 1e9:.1f} GB in the cache for all signals; video frames and features need more"


def _when_verified(record: Any) -> str:
    if not record:
        return "not verified"
    found = [f"{record[kind]} {kind}" for kind in ("errors", "warnings") if record[kind]]
    return f"{record['date'][:10]}, {' and '.join(found) or 'no findings'}"


def _get_status_or_fault(entry: Entry, folder: Path, name: str) -> dict[str, Any]:
    """Return the status of a dataset; if its plugin fails, only its name, folder and error (`broken`)."""
    try:
        return _get_status(entry, folder, name)
    except (EmbenchError, AttributeError) as error:  # AttributeError: the class has no card, or fields are missing
        fault = str(error).partition("\n")[0]
        known = {"dataset": name, "folder": str(folder), "state": "broken", "found": False, "generated": False}
        return {**known, "broken": fault}


_MOST_FINDINGS = 50
"""Maximum number of printed findings; `--json` has all."""


def verify_data(
    dataset: DatasetName,
    data_root: DataRoot = None,
    share: Annotated[
        Path | None, Option(help="Write a shareable report without samples, labels, names or paths.")
    ] = None,
    force: Annotated[
        bool, Option("--force", help="Read every file again, including unchanged and cached files.")
    ] = False,
    exclude_faulty: Annotated[
        bool,
        Option(
            "--exclude-faulty", help="For your own recordings: list unusable parts in dataset.yaml to exclude them."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read all files of a dataset and report missing, damaged and odd ones; exit with 1 on errors."""
    if share and (share.is_dir() or not share.absolute().parent.is_dir()):  # checked now, not after reading for an hour
        raise UsageError(f"cannot write {share}", where="--share", expected="a file in an existing folder")
    from embench.data.checks import check_dataset_files, remember, report_unreadable
    from embench.data.describe import DataReport
    from embench.data.find import find_source, is_folder, strip_samples
    from embench.store import cache_root
    from embench.store.fingerprint import synthetic

    source = find_source(dataset, data_root)
    name = source.entry.full_name
    code, report, made_by = registry.code_identity("dataset", name), DataReport(), registry.load_plugin("dataset", name)
    card = made_by.card
    try:
        reader = source.owners_reader()
        if exclude_faulty and (count := reader.exclude_faulty()):
            console.note(f"{count} entries of `faulty` were added to dataset.yaml: check each entry")
        reader = source.owners_reader()
        card, generated = reader.card, synthetic(reader.root) is not None
        with Steps("subjects", "verified") as steps:
            headers: list[Recording] = []

            def visit(recording: Recording) -> None:
                report.add(recording)
                headers.append(strip_samples(recording))

            checked = check_dataset_files(reader, name, cache_root(), steps, visit, force)
    except (DataError, PluginError) as error:  # the report helps those who repair the reader
        if share and source.folder.is_dir():
            unread = report_unreadable(source.folder, error.what)
            _write_report(share, report.document(name, code, made_by, card, unread, synthetic=False))
        raise
    shared = report.document(name, code, made_by, card, checked, synthetic=generated)
    remember(reader, code, checked, cache_root(), shared)
    if share:
        _write_report(share, shared)
    cannot_answer = [] if checked.errors else _list_unanswerable(source, reader, headers)
    document = {**_as_json(dataset, checked, generated), "cannot_answer": cannot_answer}
    console.answer(as_json, document, lambda: _print_checked(reader.root, reader.card, checked, cannot_answer))
    if checked.errors:
        hint = f"repair the files, or exclude the faulty ones: embench data verify {dataset} --exclude-faulty"
        what = f"{checked.errors} of {len(checked.findings)} findings are errors"
        raise CheckFailed(what, where=str(reader.root), hint=hint if is_folder(dataset) else None)


def _write_report(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8", newline="\n")
    console.note(f"{path}: read the file before you share it; it contains no samples, labels, names or paths")


def _as_json(dataset: str, checked: CheckedFiles, generated: bool) -> dict[str, Any]:
    found = Counter(finding.where for finding in checked.findings)
    return {
        "dataset": dataset,
        "synthetic": generated,
        "subjects": checked.subjects,
        "recordings": checked.recordings,
        "hours": {modality: round(hours, 4) for modality, hours in checked.hours.items()},
        "labels": {name: vars(count) for name, count in checked.labels.items()},
        "files": [
            {"name": file.name, "bytes": file.size, "sha256": file.sha256, "findings": found[file.name]}
            for file in checked.files
        ],
        "findings": [{"severity": f.severity, "where": f.where, "what": f.what} for f in checked.findings],
    }


def _list_unanswerable(source: Source, reader: Dataset, headers: Sequence[Recording]) -> list[Mapping[str, Any]]:
    """Return the targets for which these recordings cannot give an answer under the default protocol, with reasons."""
    from embench.data.cohort import card_for_protocol, choose_targets
    from embench.data.find import make_header_store
    from embench.protocols import load_protocol
    from embench.statistics.answerable import find_unanswerable, unique_as_json

    private, rules = source.pseudonymous, load_protocol(Request.protocol)
    if not reader.card.targets:
        return []
    # Folds depend on names; own recordings are split by their pseudonyms.
    named, source_reader = ([private.rename(each) for each in headers], private) if private else (headers, reader)
    try:
        card = card_for_protocol(rules, source_reader.card)
        store = make_header_store(source_reader, source.full_name if private else source.entry.full_name, named)
        return unique_as_json(find_unanswerable(store, card, choose_targets(card, None), rules))
    except UsageError:  # the protocol is not for this dataset
        return []


_VARYING = re.compile(r"`[^`]*`|\([^()]*\)|\S*\d\S*")
"""Parts in which texts of findings with the same cause differ: quotations, brackets, and words with a digit."""


def _join_findings(findings: Sequence[Finding]) -> dict[str, str]:
    """Join findings with one cause into a table row: their number, the first two places, and the first text."""
    first, places = findings[0], list(dict.fromkeys(finding.where for finding in findings))
    more = len(findings) - min(len(places), 2)
    where = ", ".join(places[:2]) + (f" and {more} more" if more else "")
    what = first.what if len(findings) == 1 else f"{len(findings)} findings like this: {first.what}"
    return {"severity": first.severity, "where": where, "what": what}


def _print_checked(
    root: Path, card: Card, checked: CheckedFiles, cannot_answer: Sequence[Mapping[str, Any]] = ()
) -> None:
    channels = {name: str(len(own.channels)) for name, own in card.modalities.items()}
    show_table(
        {"modality": name, "recorded": f"{hours:.2f} h", "channels": channels.get(name)}
        for name, hours in checked.hours.items()
    )
    labels = ({"label": name, **vars(count)} for name, count in checked.labels.items())
    show_table(labels, fields("label", "kind", "recordings", "values", "missing"))
    groups = grouped(((f.severity, _VARYING.sub("#", f.what.replace(f.where, ""))), f) for f in checked.findings)
    show_table(map(_join_findings, list(groups.values())[:_MOST_FINDINGS]), fields("severity", "where", "what"))
    if len(groups) > _MOST_FINDINGS:
        console.echo(f"{len(groups) - _MOST_FINDINGS} more findings; --json prints all")
    megabytes = sum(file.size for file in checked.files) / 1e6
    files = f"{len(checked.files)} files, {megabytes:,.0f} MB"
    console.echo(f"{checked.subjects} subjects, {checked.recordings} recordings, {files}")
    if not checked.findings:
        console.echo(f"{root}: no findings, all files are usable")
    show_parts(unanswerable_parts(cannot_answer))


# `embench data`: download, generate, describe and prepare data.

data_app = typer.Typer(help="List, download, check, synthesize and prepare datasets.", no_args_is_help=True)

_TODO = re.compile(r"(\s*)(\w+): TODO  # (.*)")
"""A line of a description that a person must fill in: indentation, key, and question."""
_MOST_ADDRESSES = 5
"""Maximum number of addresses that `fetch` prints; with more files, it prints the host only."""

data_app.command("status")(status)


@data_app.command()
def fetch(
    dataset: DatasetName,
    data_root: DataRoot = None,
    subjects: Annotated[
        str | None, Option(help="Download only these subjects, such as sub-004,sub-036; add others later.")
    ] = None,
    yes: Annotated[bool, Option("--yes", help="Accept the licence without a prompt.")] = False,
) -> None:
    """Download, check and unpack a dataset; rerun the command to resume."""
    from embench.data.fetch import fetch as get
    from embench.data.fetch import select_downloads

    names = None if subjects is None else [name.strip() for name in subjects.split(",")]
    entry = registry.find("dataset", dataset)
    card, folder = registry.load_plugin("dataset", entry.full_name).card, data_folder(entry, data_root)
    if card.downloads:
        sources = _list_sources(select_downloads(card, names))
        console.echo(f"{card.title}\nlicence: {card.licence}\ncite: {card.citation}")
        for source in sources:
            console.echo(f"from {source}")
        console.echo(f"into {folder}")
        if not yes and not sys.stdin.isatty():
            raise UsageError(
                "the licence must be accepted, and this is not a terminal where you could answer",
                where="embench data fetch",
                expected="an answer on a terminal, or --yes",
                hint="read the licence above; if you agree, rerun the command with --yes",
            )
        if not yes:
            typer.confirm("Do you agree to the licence?", default=False, abort=True)
    with Steps("MB") as steps:
        notes = get(card, folder, lambda what, done, total: steps(done, total, what), names)
    for line in notes:
        console.note(line)
    console.echo(f"{folder}: done; check the files with `embench data verify {entry.name}`")


data_app.command("verify")(verify_data)
data_app.command("labels")(data_describe.labels)
data_app.command("confounds")(data_describe.confounds)
data_app.command("report")(data_describe.report_data)


@data_app.command()
def synthesize(
    dataset: DatasetName,
    out: Annotated[Path, Option(help="Folder to write to; must be empty or not exist.")],
    subjects: Annotated[int, Option(min=1, help="Number of subjects.")] = 8,
    seed: Annotated[int, Option(min=0, help="Random seed.")] = 0,
    effect: Annotated[
        float,
        Option(
            min=0.0,
            max=1.0,
            help="Size of the simulated effect of labels on signals, in amigos of arousal on ECG and EDA, of valence "
            "on EEG; 0: no effect.",
        ),
    ] = 1.0,
    length_s: Annotated[
        float | None,
        Option(min=1.0, help="Duration of the longest recording in seconds; default: short, for quick trials."),
    ] = None,
    videos: Annotated[bool, Option("--videos", help="Also write face videos and matching OpenFace output.")] = False,
) -> None:
    """Write synthetic data in the format of a dataset; results on synthetic data are marked."""
    from embench.data.find import write_synthetic

    entry = registry.find("dataset", dataset)
    write_synthetic(dataset, out, subjects=subjects, seed=seed, effect=effect, length_s=length_s, videos=videos)
    console.echo(f"{out}: {subjects} synthetic subjects in the format of {entry.name}, effect {effect:g}, seed {seed}")
    if out.name == entry.name.partition("/")[0]:
        console.echo(f"use these data with --data-root {out.parent}")


@data_app.command()
def new(folder: Annotated[Path, Argument(metavar="FOLDER", help="Folder of your own recordings.")]) -> None:
    """Write a first dataset.yaml for your own recordings, with what the files tell, and TODO where you have to decide.

    On a terminal, it asks for what the files do not tell.
    """
    from embench.data.find import make_first_description, write_description

    lines = make_first_description(folder).splitlines()
    understood = itertools.takewhile(lambda line: not line.startswith("# Then:"), lines[1:])
    console.wrapped(" ".join(line.removeprefix("# ") for line in understood))
    if sys.stdin.isatty():
        lines = [_ask_for_value(line) for line in lines]
    path = write_description(folder, "\n".join(lines) + "\n")
    todo = sum("TODO" in line for line in lines[1:])
    left = f"fill in {todo} lines with TODO and check the other lines" if todo else "check all lines"
    console.echo(f"{path}: written; {left}")
    name = folder.as_posix()
    console.echo(f"then run: embench data verify {shlex.quote(name if name[0] in '/.~' else f'./{name}')}")


def _ask_for_value(line: str) -> str:
    """Ask the user for the value of a TODO line in a dataset.yaml, and return the line with it. Return other lines, and
    lines without an answer, unchanged."""
    found = _TODO.fullmatch(line)
    if found is None:
        return line
    answer = typer.prompt(f"{found[2]} ({found[3]})", default="", show_default=False).strip()
    plain = re.fullmatch(r"[A-Za-z0-9][\w. /-]*", answer)
    return f"{found[1]}{found[2]}: {answer if plain else json.dumps(answer, ensure_ascii=False)}" if answer else line


@data_app.command()
def prepare(
    dataset: DatasetName,
    data_root: DataRoot = None,
    protocol: ProtocolName = Request.protocol,
    workers: Annotated[
        int | None,
        Option(min=1, help="Number of subjects to prepare in parallel; default: one per CPU core, at most 4."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Filter, resample and store the signals of a dataset; prepared data are reused."""
    from embench.data.find import find_source
    from embench.protocols import load_protocol

    with Steps("subjects", "prepared") as steps:
        store = find_source(dataset, data_root).prepared(load_protocol(protocol), workers or min(4, cores()), steps)
    if as_json:
        console.document({
            "dataset": store.name,
            "folder": str(store.path),
            "key": store.key,
            "synthetic": store.synthetic is not None,
            "subjects": len(store.subjects),
            "recordings": len(store.recordings),
            "modalities": {name: {"channels": m.channels, "rate": m.rate} for name, m in store.modalities.items()},
            "left_out": [dict(item) for item in store.excluded],
        })  # fmt: skip
    else:
        _print_store(store)


@data_app.command()
def pseudonyms(dataset: DatasetName, data_root: DataRoot = None, as_json: Json = False) -> None:
    """List participants and recordings of your own data and their pseudonyms in records, predictions and entries."""
    from embench.data.find import find_source
    from embench.data.pseudonyms import PseudonymRow

    reader = find_source(dataset, data_root).pseudonymous
    if reader is None:
        what = "this dataset has no pseudonyms: only your own recordings have them"
        expected = "a folder with dataset.yaml and recordings that are not synthetic, such as ./FOLDER"
        raise UsageError(what, where=f"embench data pseudonyms {dataset}", expected=expected)
    rows = [row._asdict() for row in reader.pseudonyms()]
    console.answer(as_json, rows, lambda: show_table(rows, fields(*PseudonymRow._fields)))


def _print_store(store: Store) -> None:
    rates = {name: "as recorded" if name == "video" else f"{m.rate:g} Hz" for name, m in store.modalities.items()}
    show_table(
        (
            {"modality": n, "channels": len(m.channels), "rate": rates[n], "unit": m.unit}
            for n, m in store.modalities.items()
        ),
        title=store.name,
    )
    absent = grouped((e["modality"], e["reason"]) for e in store.excluded if e["modality"] not in store.modalities)
    missing = {modality: reasons[0] for modality, reasons in absent.items() if len(set(reasons)) == 1}
    excluded = (item for item in store.excluded if item["modality"] not in missing)
    show_table(excluded, fields("subject", "recording", "modality", "reason"), title="excluded")
    for modality, reason in missing.items():
        console.echo(f"{modality}, in all recordings: {reason}")
    console.echo(f"{len(store.subjects)} subjects, {len(store.recordings)} recordings")
    console.echo(f"files: {store.path}")


def _list_sources(downloads: Sequence[Download]) -> list[str]:
    """Return the addresses of files to download with their sizes; only the hosts if there are many files."""
    if len(downloads) <= _MOST_ADDRESSES:
        return [f"{download.url}{_megabytes([download])}" for download in downloads]
    by_host = grouped((urlsplit(download.url).netloc, download) for download in downloads)
    return [f"{host}: {len(files)} files{_megabytes(files)}" for host, files in by_host.items()]


def _megabytes(downloads: Sequence[Download]) -> str:
    size = sum(download.size or 0 for download in downloads)
    return f", {size / 1e6:,.0f} MB" if size else ""
