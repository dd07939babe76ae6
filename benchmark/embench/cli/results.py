"""`embench compare`, `export`, `report`, `audit` and `score`: commands on finished results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.console import show_table
from embench.cli.options import Confounds, DataAt, DataRoot, Every, Json, ProtocolName, TrustCode, complete, find_runs
from embench.errors import UsageError
from embench.files import saving, write_text
from embench.planning.request import Request
from embench.records import TimeContext
from embench.records.wording import format_figure, format_score, grouped, join_with_and
from embench.screen import Progress, Steps, TableColumn, field, fields
from embench.statistics import metric_facts
from embench.vocabulary import escape_control

if TYPE_CHECKING:
    from embench.interfaces.units import Target
    from embench.records.audit import Audit
    from embench.records.manifest import Manifest
    from embench.statistics.comparison import Comparison, Table
    from embench.statistics.gains import CurveTable
    from embench.statistics.intervals import Estimate
    from embench.statistics.result import Result


# `embench compare`: the better of several runs, the difference, and the smallest detectable difference.


def compare(
    runs: Annotated[
        list[Path] | None,
        Argument(
            metavar="[RUN RUN..]",
            help="Folders of finished runs or leaderboard entries; default: all runs of --dataset in runs/.",
        ),
    ] = None,
    dataset: DataAt = None,
    target: Annotated[str | None, Option(help="Targets, comma-separated; default: all.")] = None,
    metric: Annotated[str | None, Option(help="Metric to compare instead of the primary metric.")] = None,
    calibration_data: Annotated[
        str | None,
        Option(help="Compare the gains from this calibration data over no calibration data: 5, unlabelled:5."),
    ] = None,
    every: Annotated[
        bool, Option("--all", help="Show every test, its p, and the smallest detectable difference.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare runs in pairs, on the units that all of them predicted."""
    from embench.cli.show import gains_as_json, show_gains
    from embench.data.find import checked_dataset
    from embench.records import record
    from embench.records.ledger import describe_evaluations_by_author
    from embench.statistics import comparison, gains

    folders = find_runs(runs, dataset, "embench compare")
    records, targets = [record.read_record(folder) for folder in folders], target.split(",") if target else None
    if dataset:
        checked_dataset(dataset, None, [each.manifest.dataset.name for each in records])
    if calibration_data or gains.are_curves(records):
        curves = gains.compare_curves(records, calibration_data, targets, metric)
        if as_json:
            console.document({"curves": [table.to_dict() for table in curves]})
            return
        for curve in curves:
            _print_curves(curve)
        return
    tables = comparison.compare_all(records, targets, metric)
    pretraining_gains = gains.collect_pretraining_gains(records, metric, [table.target for table in tables])
    if as_json:
        listed = [gains_as_json(*each) for each in pretraining_gains]
        found = {"pretraining_comparison": listed} if listed else {}
        console.document({"targets": [table.to_dict() for table in tables], **found})
        return
    evaluations = {record.run["id"]: describe_evaluations_by_author(record.manifest) for record in records}
    for table in tables:
        _print_table(table, evaluations, max(each.manifest.cohort.size for each in records), every=every)
    show_gains([each for each in pretraining_gains if each[2].gains], records, metric)


def _print_table(table: Table, evaluations: Mapping[str, str], cohort: int, *, every: bool) -> None:
    """Print the scores of runs, their comparisons in pairs, and notes for reading them.

    Args:
        evaluations: id of a run -> text on the number of scored methods and their author.
        cohort: number of scored subjects.
        every: whether all tests are printed.
    """
    if more := next((pair for pair in table.comparisons if pair.more_seeds), None):
        shared_seeds = join_with_and([str(seed) for seed in more.seeds])
        console.wrapped(f"The runs differ in seeds: compared on those that all have ({shared_seeds}).", colour="yellow")
    facts = metric_facts(table.metric)
    score = TableColumn(facts.title, lambda standing: _format(standing.score, facts.chance))
    columns = [field("name", "method"), score, field("group"), field("methods_evaluated", missing="-"), field("run")]
    title = f"target {table.target}, {facts.title} ({table.metric})"
    show_table(table.standings, columns, title=title)
    console.wrapped(
        "Methods that share a letter are not significantly different. methods evaluated: those that were scored on "
        "these test subjects when this one was, including this one."
    )
    if any(pair.unequal_tuning for pair in table.comparisons):
        console.wrapped("unequal tuning: more than twice as many methods were evaluated for one as for the other.")
        for standing in table.standings:
            console.wrapped(f"{standing.name}: {evaluations[standing.run]}", indent="    ")
    console.echo()
    pairs = table.comparisons
    columns = [
        *fields("one", "other"),
        TableColumn("difference", lambda pair: _format(pair.difference, 0.0)),
        field("p_holm", "p, Holm", ".4f"),
        *([field("smallest_detectable", "detectable", missing="-")] if every else []),
        TableColumn("verdict", _get_verdict),
    ]
    show_table(pairs, columns)
    over = "folds" if pairs[0].over == "folds" else "subjects"
    count = pairs[0].n_comparisons
    several = f", and p is corrected for the {count} comparisons of this command (Holm)" if count > 1 else ""
    why = ", which the intervals are not: p may be high where an interval excludes 0" if count > 1 else ""
    console.wrapped(f"Differences are paired over {over}, with 95 % intervals{several}{why}.")
    if pairs[0].subjects < cohort:
        console.wrapped(
            f"{pairs[0].subjects} of {cohort} subjects have units that this metric compares; the differences rest on "
            "these."
        )
    if every:
        show_table(
            {"one": pair.one, "other": pair.other, "test": name, "p": format_figure(p, ".4f")}
            for pair in pairs
            for name, p in pair.tests.items()
        )
    with_sentence = pairs if len(pairs) <= 3 else pairs[: len(table.standings) - 1]
    for pair in with_sentence:
        console.wrapped(pair.sentence)
    if len(with_sentence) < len(pairs):
        console.note(f"the sentences are on {table.standings[0].name} and each other method; --json has all pairs")
    if not every:
        console.note("--all shows the other tests and the smallest detectable difference")
    console.echo()


def _print_curves(table: CurveTable) -> None:
    """Print the scores of methods by amount of calibration data, each method's gain, and differences of gains."""
    names = dict.fromkeys(name for _, name in table.scores)
    rows = [
        {"calibration data": given, **{name: format_score(table.scores.get((given, name))) for name in names}}
        for given in dict.fromkeys(given for given, _ in table.scores)
    ]
    show_table(rows, title=f"target {table.target}, {metric_facts(table.metric).title} ({table.metric})")
    figures = (
        TableColumn("difference", lambda gap: format_score(gap.difference, "+.3f")),
        field("p_holm", "p, Holm", ".4f"),
    )
    shown = TableColumn("", lambda gap: "shown" if gap.shown else "not shown")
    columns = [field("one", "method"), field("calibration_data"), *figures, shown]
    show_table(table.gains, columns, title="gain over no calibration data")
    differs = [field("one", "gain of"), field("other", "minus gain of"), field("calibration_data"), *figures, shown]
    show_table(table.differences, differs, title="difference of gains")
    for gap in (*table.gains, *table.differences):
        console.wrapped(gap.sentence)
    console.note("labels explain a gain only where it is above all confound-only models too: see `embench report RUN`")
    console.echo()


def _format(score: Estimate, null: float | None) -> str:
    """Format a score or a difference with its interval; `null`: its value by chance."""
    from embench.records.scores import Score  # slow to import
    from embench.statistics.answers import format_with_interval

    return format_with_interval(Score(mean=score.mean, low=score.low, high=score.high), null)


def _get_verdict(pair: Comparison) -> str:
    verdict = "different" if pair.is_different else "equivalent" if pair.is_equivalent else "not told apart"
    return f"{verdict}, unequal tuning" if pair.unequal_tuning else verdict


# `embench export`: texts and a table of runs for a paper; `embench report`: a run as an HTML page.


def export(
    runs: Annotated[
        list[Path] | None,
        Argument(
            metavar="[RUN..]",
            help="Folders of finished runs or leaderboard entries; default: all runs of --dataset in runs/.",
        ),
    ] = None,
    dataset: DataAt = None,
    latex: Annotated[bool, Option("--latex", help="LaTeX tables of scores (package booktabs).")] = False,
    columns: Annotated[
        str | None, Option(help="Columns of --latex after the method and the primary metric, comma-separated.")
    ] = None,
    confound_only_models: Annotated[
        str | None,
        Option(help="Confound-only models of --latex after the methods, comma-separated, or none; default: all."),
    ] = None,
    methods: Annotated[bool, Option("--methods", help="A methods section, with citations.")] = False,
    bibtex: Annotated[
        bool, Option("--bibtex", help="BibTeX entries of the datasets, the methods and embench.")
    ] = False,
    unit_table: Annotated[
        Path | None,
        Option(metavar="FILE.csv", help="File to write: labels and scores by unit, for a mixed model in R."),
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            metavar="FILE.tex",
            help="File to write; of several texts, FILE.tex, FILE_methods.tex and FILE.bib. Default: standard output.",
        ),
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Export tables, methods text or citations of runs for a paper."""
    texts = {"--latex": latex, "--methods": methods, "--bibtex": bibtex}
    where = "embench export"
    if not (runs or dataset):
        raise UsageError("nothing to export is named", where=where, expected="RUN.. or --dataset")
    if unit_table is None and not any(texts.values()):
        raise UsageError("no output format is named", where=where, expected=f"{', '.join(texts)} or --unit-table")
    for option, value in (("--columns", columns), ("--confound-only-models", confound_only_models)):
        if value is not None and not latex:
            raise UsageError(f"{option} applies to --latex only", where=option, expected="--latex")
    folders = find_runs(runs, dataset, where)
    if unit_table is not None:
        _write_table(folders, dataset, unit_table, trust_code=trust_code)
    if not any(texts.values()):
        return
    made = _export_texts(
        folders, dataset, texts, _split(columns), _split(confound_only_models), trust_code=trust_code, ranked=not runs
    )
    if out is None:
        _write(None, "\n".join(made.values()))
        return
    files = {"--methods": out.with_name(f"{out.stem}_methods.tex"), "--bibtex": out.with_suffix(".bib")}
    for k, (option, text) in enumerate(made.items()):
        _write(files[option] if k else out, text)


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _export_texts(
    runs: Sequence[Path],
    dataset: str | None,
    chosen: Mapping[str, bool],
    columns: Sequence[str] | None,
    rows: Sequence[str] | None,
    *,
    trust_code: bool,
    ranked: bool,
) -> dict[str, str]:
    """Return option (`--latex`, `--methods`, `--bibtex`) -> exported text.

    Args:
        chosen: option -> whether it was used.
        columns: columns of the LaTeX table; `rows`: its confound-only models.
        ranked: whether to sort runs, the best first.
    """
    from embench.data.find import data_at
    from embench.records import record
    from embench.records.record import names_resolved
    from embench.report import latex as paper
    from embench.report.latex.table import best_first

    records = [record.read_record(folder) for folder in runs]
    named = list(zip(runs, records, strict=True))
    datasets = [record.manifest.dataset.name for record in records]
    with names_resolved(named, trust_code=trust_code, given=dataset), data_at(dataset, None, datasets):
        if ranked:
            records = best_first(records)
        texts = {}
        if chosen["--latex"]:
            texts["--latex"] = paper.latex_tables(records, columns, rows)
        if chosen["--methods"]:
            texts["--methods"] = paper.methods_section(records)
        if chosen["--bibtex"]:
            texts["--bibtex"] = paper.bibtex(records)
        return texts


def _write_table(runs: Sequence[Path], dataset: str | None, path: Path, *, trust_code: bool) -> None:
    """Write labels and scores by unit to a CSV file, and print lines of R that fit a mixed model to it."""
    from embench.data.find import data_at
    from embench.records.record import format_csv, names_resolved, read_record
    from embench.report.facts import UNIT_COLUMNS, WHY_DIFFERENT, mixed_model, score_columns, unit_rows

    records = [read_record(folder) for folder in runs]
    named, columns = list(zip(runs, records, strict=True)), score_columns(records)
    datasets = [record.manifest.dataset.name for record in records]
    with names_resolved(named, trust_code=trust_code, given=dataset), data_at(dataset, None, datasets):
        rows = unit_rows(records)
    _write(path, format_csv(rows, [*UNIT_COLUMNS, *columns]))
    console.echo("A mixed model in R:")
    for line in mixed_model(path, rows, columns[0]):
        console.echo(f"  {line}")
    console.wrapped(WHY_DIFFERENT)


def _write(path: Path | None, text: str) -> None:
    if path is None:
        typer.echo(escape_control(text), nl=False)
        return
    with saving("the text", path):
        write_text(path, text)
    console.echo(f"written: {path}")


def report(
    run: Annotated[Path, Argument(metavar="RUN", help="Folder of a run or leaderboard entry.")],
    out: Annotated[Path | None, Option(help="File to write; default: RUN.html in the current folder.")] = None,
    single_modality: Annotated[
        list[Path] | None,
        Option(help="Single-modality run to compare the fusion with; repeatable. Default: the runs next to RUN."),
    ] = None,
    dataset: DataAt = None,
    data_root: DataRoot = None,
    share: Annotated[
        bool,
        Option(
            "--share",
            help="Omit signals and, unless labels are public, everything that reveals labels or single subjects.",
        ),
    ] = False,
    trust_code: TrustCode = False,
) -> None:
    """Write a self-contained HTML report: scores, confound-only models, subjects, training, signals, cost."""
    from embench import report as reports
    from embench.audits import audit_record

    with Steps("subjects", "prepared") as steps:
        place: dict[str, Any] = {"dataset": dataset, "data_root": data_root, "trust_code": trust_code}
        path = out or Path(f"{run.resolve().name}.html")
        reports.write_report(
            run, path, singles=single_modality or (), progress=steps, audit=audit_record, share=share, **place
        )
    _print_summary(run)
    console.echo(str(path))


def _print_summary(run: Path) -> None:
    """Print a line for each target of a run: its primary metric and whether it is above chance."""
    from embench.cli import show
    from embench.statistics.result import Result

    found = Result.read(run)
    if found.is_synthetic:
        console.note("SYNTHETIC DATA: these numbers say nothing about real subjects and cannot be published.")
    for target, answers in found.answers.items():
        chance = answers.find_answer("chance")
        above = f"; more than by chance: {chance.answer}" if chance and answers.score else ""
        console.note(f"{target}: {answers.title} {show.format_primary(answers)}{above}")
    console.note("report, to open in a browser:")


# `embench audit`: faults of a run.

_COLOURS = {"severe": "red", "warning": "yellow", "note": None}
_MOST_CHARACTERS = 200
"""Maximum number of printed characters of a long list or mapping in the evidence."""


def audit(
    run: Annotated[Path, Argument(metavar="RUN|FILE", help="Folder of a run, or a CSV file of predictions.")],
    retrain: Annotated[
        int, Option(min=0, help="Retrain N times on permuted labels; scores above chance indicate a leak.")
    ] = 0,
    dataset: Annotated[
        str | None, Option(help="Dataset that FILE predicts, or the folder of your own data that the run used.")
    ] = None,
    data_root: DataRoot = None,
    trust_code: TrustCode = False,
    out: Annotated[Path | None, Option(help="Folder for audit.json; default: the folder of the run.")] = None,
    as_json: Json = False,
) -> None:
    """Check a run or predictions for faults; exit with 1 if a finding is severe."""
    if out and out.exists() and not out.is_dir():  # checked before the audit, which takes minutes
        raise UsageError(f"{out} is not a folder", where="--out", expected="a folder; embench creates a missing one")
    from embench import audits

    folder = run
    if not run.is_dir():
        from embench.runs import external

        if dataset is None:
            expected = "the folder of a run, or a file of predictions with --dataset"
            raise UsageError(f"{run} is not the folder of a run", where="embench audit", expected=expected)
        folder = external.score(run, dataset, data_root=data_root).folder
    with Progress() as progress:
        result = audits.audit_run(
            folder,
            dataset=dataset,
            data_root=data_root,
            retrained=retrain,
            out=out,
            trust_code=trust_code or folder != run,  # the user just named the files in the new record
            progress=progress.event,
        )
    console.answer(as_json, result.to_dict(), lambda: print_audit(result))
    if result.severity_counts["severe"]:
        raise typer.Exit(1)


def print_audit(result: Audit, *, skipped: bool = True) -> None:
    """Print the findings of an audit, severe ones first, and the skipped checks; only their number if not `skipped`."""
    from embench.records.audit import format_counts

    for name, finding in result.findings:
        console.wrapped(f"{finding.severity}: {finding.what} [{name}]", colour=_COLOURS[finding.severity])
        for key, value in finding.evidence.items():
            console.wrapped(f"{key.replace('_', ' ')}: {_format_evidence(value)}", indent="    ")
        console.wrapped(f"what to do: {finding.todo}", indent="    ")
    console.wrapped(f"{result.run}: {len(result.checks)} checks, {format_counts(result.severity_counts)}")
    lines = [f"skipped: {name}: {why}" for name, reasons in result.skipped.items() for why in reasons]
    for line in lines if skipped else []:
        console.note(line)
    if lines and not skipped:
        console.note(f"{len(lines)} checks were skipped; --verbose prints the reasons")


def _format_evidence(value: object) -> str:
    """Format a value of the evidence: intervals as in tables, and long lists and mappings shortened to three lines.

    >>> _format_evidence({"stress: prior": {"mean": 0.0858, "std": 0.2, "low": -0.02, "high": 0.19}, "windows": [3, 4]})
    'stress: prior: 0.0858 [-0.02, 0.19]; windows: 3, 4'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        if {"mean", "low", "high"} <= value.keys():
            mean, low, high = (_format_evidence(value[name]) for name in ("mean", "low", "high"))
            return f"{mean} [{low}, {high}]"
        return _join_first([f"{key}: {_format_evidence(own)}" for key, own in value.items()], "; ")
    if isinstance(value, list | tuple):
        return _join_first(
            [_format_evidence(one) for one in value], "; " if any(isinstance(one, Mapping) for one in value) else ", "
        )
    return "-" if value is None else str(value)


def _join_first(parts: Sequence[str], between: str) -> str:
    """Join the first parts, up to `_MOST_CHARACTERS` characters, and add the number of the others."""
    lengths = accumulate(len(part) + len(between) for part in parts)
    count = max(1, sum(length <= _MOST_CHARACTERS for length in lengths))
    more = [f"and {len(parts) - count} more"] if parts[count:] else []
    return between.join([*parts[:count], *more])


# `embench score`: score predictions from other code like those of a run.


def score(
    file: Annotated[
        Path, Argument(metavar="FILE", help="CSV file (may be gzipped): subject, recording, unit, target, score.")
    ],
    dataset: Annotated[
        str, Option(autocompletion=complete("dataset"), help="Dataset that FILE predicts; see `embench list dataset`.")
    ],
    name: Annotated[str | None, Option(help="Name of the method; default: the name of FILE.")] = None,
    protocol: ProtocolName = Request.protocol,
    target: Annotated[str | None, Option(help="Targets, comma-separated; default: all in FILE.")] = None,
    calibration_data: Annotated[
        str | None,
        Option(help="Calibration data under personalise-v1; default: every amount in the column `calibration_data`."),
    ] = None,
    time_context: Annotated[
        TimeContext,
        Option(help="Units of the test session that a prediction may use besides its own: none, earlier ones, any."),
    ] = "offline",
    data_root: DataRoot = None,
    out: Annotated[Path | None, Option(help="Folder of the record; default: a new folder in ./runs.")] = None,
    confounds: Confounds = True,
    every: Every = False,
    as_json: Json = False,
) -> None:
    """Score predictions from other code: primary metric, confound-only models, intervals, audit."""
    from embench import audits
    from embench.records.audit import format_audit_status
    from embench.runs import external

    with Steps("subjects", "prepared") as steps:
        results = external.score_amounts(
            file, dataset, name=name, protocol=protocol, targets=target, calibration_data=calibration_data,
            time_context=time_context,
            data_root=data_root, out=out, progress=steps, on_fold=steps.part("folds", "confound-only models fitted"),
            on_scored=_print_first, on_confounds=steps.part("models", "confound analysis, once for this dataset"),
            confounds=confounds, placebo=every,
        )  # fmt: skip
    # Records name only code that the user wrote on this command line, so it is trusted.
    audited = [audits.audit_run(each.folder, dataset=dataset, data_root=data_root, trust_code=True) for each in results]
    if as_json:
        documents = [
            {**result.to_dict(), "submission": result.manifest["submission"], "audit": found.to_dict()}
            for result, found in zip(results, audited, strict=True)
        ]
        console.document(documents if len(documents) > 1 else documents[0])
        return
    if len(results) == 1:
        _print_score(results[0], audited[0], dataset, data_root, every=every)
        return
    _print_scores(results, out)
    for result, found in zip(results, audited, strict=True):
        console.wrapped(f"audit of {result.id}: {format_audit_status(found.to_dict())}")


def _print_first(result: Result) -> None:
    """Print the results that are known before the confound analysis, on stderr."""
    from embench.statistics.form import first_lines

    for form in result.summaries.values():
        for line in first_lines(form, follows=True):
            console.note(line)


def _print_score(result: Result, audited: Audit, dataset: str, data_root: Path | None, *, every: bool) -> None:
    from embench.cli import show
    from embench.data.find import find_source
    from embench.records.record import read_manifest

    run = read_manifest(result.folder)
    show.print_run(result, every=every)
    for known in find_source(dataset, data_root).card.targets:
        if known.name in result.scores.primary_metrics:
            _warn_of_scale(result, known)
    _print_submission(
        run, counted=any(result.scores.get_coverage(t) is not None for t in result.scores.primary_metrics)
    )
    console.echo()
    print_audit(audited, skipped=console.flags.verbose)


def _print_scores(results: Sequence[Result], out: Path | None) -> None:
    """Print a table with a row for each amount of calibration data, and draw their curve below the folder `out`."""
    from embench.cli import show
    from embench.report.axis_curves import write_curves
    from embench.runs.external import LEDGER

    show.print_runs(results)
    scored = [(each.manifest, each.scores) for each in results]
    for curve, files in write_curves(scored, (out or LEDGER) / "curves"):
        show.print_curve(curve, files)


def _warn_of_scale(result: Result, target: Target) -> None:
    """Warn of predictions outside the scale of a continuous target."""
    from embench.records.predictions import MODEL

    if target.traits.has_classes or target.scale is None:
        return
    rows = result.predictions
    values = rows["score"][rows.rows_with(method=MODEL, target=target.name)]
    low, high = target.scale
    if off := int(((values < low) | (values > high)).sum()):
        warning = f"{target.name}: {off} of {len(values)} predictions are outside the scale of {low:g} to {high:g}"
        console.wrapped(f"{warning}: predictions range from {values.min():.4g} to {values.max():.4g}", colour="yellow")


def _print_submission(run: Manifest, *, counted: bool) -> None:
    """Print notes on submitted predictions: subjects, folds, and units without a prediction.

    Args:
        counted: whether units without a prediction count in the score.
    """
    from embench.runs.external import NOT_IN_FILE

    submission = run.submission or {}
    folds = " and ".join(sorted(set(submission["folds"].values())))
    labelled = run.cohort.size + sum(row["reason"] == NOT_IN_FILE for row in run.cohort.left_out)
    count = f"{run.cohort.size} of {labelled} labelled subjects"
    console.wrapped(f"{submission['name']}: {submission['rows']} predictions of {count}; folds: {folds}")
    for target, missing in submission["missing"].items():
        if not missing["labelled"]:
            continue
        by_subject = _shorten_list([f"{subject} {count}" for subject, count in missing["subjects"].items()])
        line = f"{target}: {missing['units']} units have no prediction{_describe_seeds(missing, len(run.seeds))}"
        line += f"; {missing['labelled']} of these units have a label"
        console.wrapped(f"{line}; by subject: {by_subject}", colour="yellow")
    for reason, names in grouped((row["reason"], row["subject"]) for row in run.cohort.left_out).items():
        state = "lost" if counted and reason == NOT_IN_FILE else "not scored"
        console.wrapped(f"{state}: {_shorten_list(names)}: {reason}")
    if run.protocol.leaks:
        console.wrapped(f"{run.protocol.name} leaks: {'; '.join(run.protocol.leaks_in_words())}")
    console.wrapped("submission: its author declared the training data; embench has not checked them")


def _describe_seeds(missing: Mapping[str, Any], seeds: int) -> str:
    """Describe whether units lack a prediction in each seed or in some seeds; empty if there is only one seed."""
    if seeds == 1:
        return ""
    if missing["predictions"] == seeds * missing["units"]:
        return f" in each of {seeds} seeds"
    return f" in some of {seeds} seeds ({missing['predictions']} predictions in all)"


def _shorten_list(items: Sequence[str]) -> str:
    """Join the first items of a list, and add their total number if there are more."""
    if len(items) <= _MOST_ITEMS:
        return ", ".join(items)
    return f"{', '.join(items[: _MOST_ITEMS - 1])} ... ({len(items)} in all)"


_MOST_ITEMS = 6
