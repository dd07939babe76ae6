"""Leaderboards as tables: sections, selection, a summary in words, and Markdown pages."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from embench import registry, vocabulary
from embench.errors import UsageError
from embench.files import read_checked, saving, write_checked, write_text
from embench.leaderboard.columns import MARKDOWN_COLUMNS, Column, EntrySummary, Row, as_text, columns
from embench.leaderboard.entries import (
    ATTESTATIONS_FOLDER,
    LoadEntry,
    drop_unshared,
    list_entry_folders,
    load_leaderboard_entry,
)
from embench.leaderboard.rows import (
    compute_above_chance_parts,
    find_cache_file,
    get_ranking_class,
    load_entry_summaries,
    rank_rows,
)
from embench.protocols import Design
from embench.records.record import SHARED_FOLDER, shared_folder
from embench.records.scores import Score
from embench.records.wording import OF_SYNTHETIC_DATA, in_words, inside_subjects
from embench.statistics import metric_facts
from embench.statistics.answers import Unanswerable, explain_unranked
from embench.statistics.form import ModelLine, model_lines
from embench.statistics.intervals import PositiveCount, Ranking, count_positive, holds_corrected
from embench.vocabulary import did_you_mean, escape_formula, markdown, table_in_markdown

# Sections of leaderboards: the rows of a dataset, protocol and target, from entries or from the cache.
#
# Ranking hundreds of entries takes seconds, so sections are cached for each user. They are rebuilt when a file of an
# entry changes (by size and times), or a file of embench or of an installed plugin package.

QUESTIONS = ("chance", "movement", "protocol_phase")
"""Questions that a leaderboard answers for each method, by their ids in `statistics.answers`."""
AS_MANY = "number of methods"
"""Item of `Row.near_null`: chance explains as many methods with the answer *yes*."""


@dataclass(frozen=True)
class BoardSection:
    """The leaderboard of one dataset, protocol and target. Methods that were trained on another dataset (`trained_on`)
    and entries with another number of subjects have sections of their own.

    Args:
        dataset: name of the leaderboard's folder. `source`: full name of the dataset.
        leaks: whether training saw part of the test data. `design`: design of the study, None where early records lack
            it.
        rows: see `rank_rows`. `rankings`: ranking class (`get_ranking_class`) -> ranking of its methods.
        counts: question -> number of methods with the answer *yes*; without questions that are not asked or have no
            answer.
        people: number of subjects in the data, where sections on other numbers exist; else None.
    """

    dataset: str
    protocol: str
    trained_on: str | None
    target: str
    leaks: bool
    design: Design | None
    rows: tuple[Row, ...]
    rankings: Mapping[str, Ranking]
    counts: Mapping[str, PositiveCount] = field(default_factory=dict)
    source: str = ""
    people: int | None = None

    @property
    def methods(self) -> list[Row]:
        """The rows that are methods."""
        return [row for row in self.rows if row.is_method]

    @property
    def confound_only(self) -> list[Row]:
        """The rows that are confound-only models."""
        return [row for row in self.rows if not row.is_method]

    @property
    def metric(self) -> str:
        """The metric shown: the primary metric, or the within-subject score where no method has the primary metric."""
        metric = Counter(row.primary_metric for row in self.methods).most_common(1)[0][0]
        return metric if any(row.get_score(metric) for row in self.methods) else inside_subjects(metric)

    @property
    def problem(self) -> Unanswerable | None:
        """The reason why no method has the primary metric; None where one has."""
        problems = [row.problem for row in self.methods]
        return problems[0] if all(problems) else None

    @property
    def associated(self) -> PositiveCount | None:
        """The number of methods with the answer *yes* given time and movement; None where it is not known."""
        return self.counts.get("movement")

    @property
    def fixed_order(self) -> bool:
        """True where all subjects had the tasks in the same order."""
        return self.design == "fixed_order"

    @property
    def unranked(self) -> str:
        """The reason why nothing is ranked, if no method has the primary metric; else empty."""
        methods = self.methods
        if self.leaks or any(row.score for row in methods):
            return ""
        primary_metric = methods[0].primary_metric
        inside = inside_subjects(primary_metric)
        known = [(str(row.control), score) for row in self.confound_only if (score := row.get_score(inside))]
        best = max(known, key=lambda each: each[1].mean, default=None)
        return explain_unranked(
            primary_metric, self.design, best, [s for row in methods if (s := row.get_score(inside))]
        )


_KEPT = TypeAdapter(tuple[str, list[BoardSection]])


def load_sections(root: Path) -> list[BoardSection]:
    """Return all leaderboards in a folder, from the cache if no file has changed."""
    place, key = find_cache_file("sections", str(root.resolve())), _compute_key(root)
    if content := read_checked(place):
        with contextlib.suppress(ValidationError):
            before, sections = _KEPT.validate_json(content)
            if before == key:
                return sections
    sections = build_sections(load_entry_summaries(root))
    write_checked(place, _KEPT.dump_json((key, sections), by_alias=True, exclude_unset=True))
    return sections


def build_sections(entries: Sequence[EntrySummary], load: LoadEntry = load_leaderboard_entry) -> list[BoardSection]:
    """Build the sections of all leaderboards to which these entries belong. `load`: loads an entry from its folder."""
    sections = []

    def get_key(entry: EntrySummary) -> tuple[str, bool, str, str]:
        return entry.board, entry.leaks, entry.protocol, entry.trained_on or ""

    ordered = sorted(entries, key=lambda entry: (*get_key(entry), entry.id))
    for (board, leaks, protocol, other), group in groupby(ordered, key=get_key):
        for people, members in _group_by_people(list(group), divided=not leaks):
            for target in sorted({target for entry in members for target in entry.rows}):
                about = (board, protocol, other or None, target, leaks, _get_design(members))
                rows, rankings = rank_rows(members, target, load)
                above = {} if leaks else compute_above_chance_parts([e for e in members if target in e.rows], target)
                parts = {e.id: {**e.parts.get(target, {}), "chance": above.get(e.id, {})} for e in members}
                rows, counts = _count_answers(rows, parts)
                sections.append(BoardSection(*about, tuple(rows), rankings, counts, members[0].dataset, people))
    return sections


def _group_by_people(
    entries: Sequence[EntrySummary], *, divided: bool
) -> Iterator[tuple[int | None, list[EntrySummary]]]:
    """Yield (number of subjects, entries with this number), largest first. If all entries have the same number, or if
    not `divided`, yield only (None, all entries)."""
    numbers = sorted({entry.people for entry in entries}, reverse=True)
    if not divided or len(numbers) == 1:
        yield None, list(entries)
        return
    for people in numbers:
        yield people, [entry for entry in entries if entry.people == people]


def _count_answers(
    rows: Sequence[Row], parts: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> tuple[list[Row], dict[str, PositiveCount]]:
    """Return the rows with corrected answers, and question -> number of methods with the answer *yes*.

    Args:
        parts: id -> question -> group of subjects -> its contribution to the number that decides the answer.
    """
    counts: dict[str, PositiveCount] = {}
    methods = {row.id: row for row in rows if row.is_method}
    for question in QUESTIONS:
        answered = [r for r in rows if _has_answer(r, question)]
        yes = [row for row in answered if row.format_answer(question) == "yes"]
        contributions = [parts[row.id].get(question, {}) for row in answered]
        if not answered:
            continue
        count = count_positive(contributions, len(yes)) if all(contributions) else None
        counts[question] = count or PositiveCount(len(answered), len(yes))
        if question == "movement" and count:
            effects = [row.answers[question].effect or Score() for row in answered]
            holds = dict(zip((row.id for row in answered), holds_corrected(contributions, effects), strict=True))
            notes = () if count.beyond_luck else (AS_MANY,)
            methods |= {
                row.id: replace(row, corrected=holds[row.id], near_null=(*row.near_null, *notes)) for row in yes
            }
    return [methods[row.id] if row.is_method else row for row in rows], counts


def _has_answer(row: Row, question: str) -> bool:
    """Return True if the row answers the question by a number."""
    answer = row.answers.get(question)
    return answer is not None and answer.effect is not None


def _get_design(entries: Sequence[EntrySummary]) -> Design | None:
    """Return the first recorded design of these entries; None if they record none."""
    return next((entry.design for entry in entries if entry.design), None)


def _compute_key(root: Path) -> str:
    """Return a digest of all inputs of the sections except the code: names, sizes and times of every file of the
    entries below `root`, of their shared files and of their attestations. It includes files that sections do not read,
    since attestations depend on whole entries."""
    found, folders = hashlib.sha256(), set(list_entry_folders(root))
    for board in {folder.parents[1] for folder in folders}:
        folders |= {board / SHARED_FOLDER, board / ATTESTATIONS_FOLDER}
    for folder in sorted(folders):
        found.update(f"{folder.relative_to(root)}\n".encode())
        files = os.scandir(folder) if folder.is_dir() else ()
        for file in sorted((each for each in files if each.is_file()), key=lambda each: each.name):
            status = file.stat()  # any change of a file updates st_ctime, and no program can set it
            about = file.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
            found.update(f"{about}\n".encode())
    return found.hexdigest()


# Selection of leaderboards and rows: rows as flat records with readable fields, filtered and sorted.
#
# Every row of every leaderboard has the same fields, so that tables, CSV and JSON agree.

Fields = dict[str, Any]
"""Field -> text, number, truth value or list of texts; None where it is not known or does not apply."""

ENTRY = "entry"
"""The column of tables that holds the end of an entry's id."""

_ABOUT = ("dataset", "protocol", "target", "trained_on", "leaks")
_PARTS = re.compile(r"(\w+)\s*(!=|>=|<=|=|~)\s*(.*)", re.DOTALL)
_FORMS = "FIELD=VALUE, FIELD!=VALUE, FIELD>=NUMBER, FIELD<=NUMBER or FIELD~TEXT (contains)"


def select_sections(
    sections: Sequence[BoardSection],
    *,
    dataset: str | None = None,
    protocol: str | None = None,
    target: str | None = None,
) -> list[BoardSection]:
    """Return the leaderboards of a dataset, protocol and target; None stands for all of them.

    Args:
        sections: from `load_sections`.

    Raises:
        UsageError: no leaderboard has that dataset, protocol or target.
    """
    chosen = list(sections)
    for name, wanted in (("dataset", dataset), ("protocol", protocol), ("target", target)):
        if wanted is None:
            continue
        known = sorted({getattr(section, name) for section in chosen})
        if wanted not in known:
            raise UsageError(
                f"no leaderboard has the {name} `{wanted}`",
                where=f"--{name}",
                expected=f"one of: {', '.join(known)}" if known else "a folder with published entries (--leaderboards)",
                hint=did_you_mean(wanted, known),
            )
        chosen = [section for section in chosen if getattr(section, name) == wanted]
    return chosen


def flatten_row(section: BoardSection, row: Row) -> Fields:
    """Return a row as a flat record: its leaderboard, and the values of all `columns`."""
    about = {name: getattr(section, name) for name in _ABOUT}
    return about | {name: column.value(row) for name, column in columns().items()}


def check_field(field: str, known: Sequence[str], option: str) -> str:
    """Return `field` if it is known. Raises UsageError that names the option, the choices and the nearest choice."""
    if field in known:
        return field
    names = [name for name in known if not name.endswith(("_low", "_high"))]
    ends = "; the ends of a score's interval: its name with _low or _high" if len(names) < len(known) else ""
    expected = f"one of: {', '.join(names)}{ends}"
    raise UsageError(f"unknown field `{field}`", where=option, expected=expected, hint=did_you_mean(field, names))


def read_filter(text: str, known: Sequence[str]) -> Callable[[Fields], bool]:
    """Parse a filter such as `fusion=svm`, `score>=0.6` or `modalities~eda`. Return a function from fields to whether
    the filter keeps them. Lists are compared as texts joined by commas; case is ignored. A field without a value
    matches only `field=` and `!=`.

    Args:
        known: the names of all fields.

    Raises:
        UsageError: the text is not a filter, names no field, or compares with something that is not a number.
    """
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"cannot read the filter `{text}`", where="--filter", expected=_FORMS)
    field, sign, wanted = _resolve_field(found[1], known, "--filter"), found[2], found[3].strip()
    if sign in (">=", "<="):
        limit = _parse_number(wanted)
        if limit is None:
            raise UsageError(f"`{wanted}` is not a number", where=f"--filter {field}{sign}", expected="a number")

        def is_within(fields: Fields) -> bool:
            value = _get_value(fields, field)
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            return value >= limit if sign == ">=" else value <= limit

        return is_within
    if sign == "~":
        return lambda fields: _fold_spelling(wanted) in _fold_spelling(as_text(_get_value(fields, field), ","))
    return lambda fields: _matches(_get_value(fields, field), wanted) == (sign == "=")


def _resolve_field(name: str, known: Sequence[str], option: str) -> str:
    """Return the name of the field with this name or this column header: `time_s` for the header `time`. Raises
    UsageError if there is no such field. `option`: the option that names the field, for the error."""
    titles = {column.title: field for field, column in columns().items() if " " not in column.title}
    return titles.get(name, name) if name in titles else check_field(name, [*known, ENTRY], option)


def _get_value(fields: Fields, field: str) -> Any:
    """Return the value of a field. The value of the field `ENTRY` is the end of the id."""
    return fields["id"].rpartition("-")[2] if field == ENTRY else fields[field]


def _matches(value: Any, wanted: str) -> bool:
    """Return True if a value equals `wanted`, the text of a filter, as a number or as text."""
    number = _parse_number(wanted)
    if number is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return value == number
    return _fold_spelling(as_text(value, ",")) == _fold_spelling(wanted.replace(", ", ","))


def _fold_spelling(text: str) -> str:
    """Return the text in lower case, with `-` for `_`, as tables print it."""
    return text.lower().replace("_", "-")


def _parse_number(text: str) -> float | None:
    """Return the number that a text states; None if it states none."""
    try:
        return float(text)
    except ValueError:
        return None


def as_csv(rows: Sequence[Fields], columns: Sequence[str] | None = None) -> str:
    """Return a table as CSV, with a line for each row. Lists are joined by `; `, and None is an empty cell. `columns`:
    the fields to write; None for all."""
    heads = list(rows[0] if columns is None and rows else columns or ())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_csv_cell(row[name]) for name in heads] for row in rows)
    return text.getvalue()


def _csv_cell(value: Any) -> str:
    """Return the text of a cell in CSV. Texts that a spreadsheet would run as a formula are escaped; numbers are
    not."""
    text = as_text(value, "; ")
    return text if isinstance(value, int | float) else escape_formula(text)


def sort_rows(rows: Sequence[tuple[Fields, Row]], by: str) -> list[tuple[Fields, Row]]:
    """Return (fields, row) pairs sorted by the field `by`: ascending, or descending if it begins with `-`. Rows without
    a value come last, and rows with equal values keep their order. Raises UsageError if no row has the field."""
    field, down = by.removeprefix("-"), by.startswith("-")
    if rows:
        field = _resolve_field(field, list(rows[0][0]), "--sort")
    known = [row for row in rows if _is_known(_get_value(row[0], field))]
    known.sort(key=lambda row: _get_order(_get_value(row[0], field)), reverse=down)
    return [*known, *(row for row in rows if not _is_known(_get_value(row[0], field)))]


def _is_known(value: Any) -> bool:
    return value is not None and value != []


def _get_order(value: Any) -> Any:
    return value if isinstance(value, int | float) else as_text(value).lower()


# Leaderboards in words: question, answer as a sentence and as a line of a table, and confound-only models. Terminal,
# Markdown, site and findings take their words from here.

HEADS = {
    "question": "question",
    "methods": "methods",
    "chance": "above chance (by chance: at most)",
    "movement": "given time and movement (by chance: at most)",
    "protocol_phase": "given the protocol phase",
}
"""The columns of a summary of several leaderboards."""
_COUNTED = {question: HEADS[question].partition(" (")[0] for question in QUESTIONS}
"""Question -> the clause about the methods with the answer *yes*."""
BY_CHANCE = (
    "By chance, at most: if no method predicted anything, 95 of 100 such leaderboards would show no more than this "
    "many."
)
ANSWERS = (
    "Above chance: the interval lies above chance. Given time and movement: the score and the label are still "
    "associated (partial r above 0) after both are adjusted for the time since the start and movement within 10 min. "
    "Given the protocol phase: also for the phase of the protocol, inferred from movement of the whole session."
)
CORRECTED = "* also after correction for all methods of this leaderboard (maximum statistic over subjects)"
NO_MODELS = "Scores of models without a physiological signal are not published, as the labels are withheld."


@dataclass(frozen=True)
class Summary:
    """A leaderboard in one line.

    Args:
        question: in the dataset's words. `dataset`: its display name. `subjects`: number of scored subjects.
        methods: number of methods, without replaced entries.
        cells: question -> number of methods with the answer *yes*, or why it is not known.
        reason: why no method has the primary metric; empty where one has.
        sentence: question, subjects and answer.
    """

    question: str
    dataset: str
    subjects: str
    methods: int
    cells: Mapping[str, str]
    reason: str
    sentence: str

    @property
    def line(self) -> dict[str, str]:
        """The row of a table with the columns `HEADS`."""
        cells = {name: self.cells[name] for name in HEADS if name in self.cells}
        line = {"question": f"{self.question} {self.dataset}", "methods": str(self.methods), **cells}
        return {head: line[name] for name, head in HEADS.items()}


def summarise(section: BoardSection) -> Summary:
    """Return the summary of a leaderboard."""
    rows = section.methods
    known = registry.find_questions(section.source).get(section.target)
    question = known.question if known else f"{in_words(section.target)}?"
    problem = section.problem
    sizes = sorted({row.subjects for row in rows})
    subjects = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    start = f"{question} {subjects} subjects, {len(rows)} method{'s' * (len(rows) > 1)}"
    if section.trained_on:
        start += f" trained on {get_dataset_label(section.trained_on)}"
    if section.leaks:
        answer = "nothing can be concluded, since training has seen part of the test data."
    elif problem:
        answer = f"{problem.answer}. {problem.reason}"
    else:
        answer = ", ".join(_list_clauses(section.counts, len(rows))) + "."
    return Summary(
        question=question,
        dataset=get_dataset_label(section.dataset),
        subjects=subjects,
        methods=len(rows),
        cells={name: _format_summary_cell(section, name, len(rows)) for name in _COUNTED},
        reason=problem.reason if problem else "",
        sentence=f"{start}: {answer}",
    )


def get_support_key(section: BoardSection) -> tuple[object, ...]:
    """Return the sort key by which leaderboards with the strongest support come first.

    The question is whether methods are associated with the label, given time and movement. In this order, leaderboards
    come first that have a primary metric, that have an answer to the question, that have more methods with *yes* than
    chance explains, that have a larger proportion of *yes*, and that have more methods."""
    count = section.associated
    proportion = count.adding / count.asked if count else 0.0
    by_chance = not (count and count.beyond_luck)
    return section.problem is not None, count is None, by_chance, -proportion, -len(section.methods)


def get_dataset_label(name: str) -> str:
    """Return the display name of a dataset, or the name itself where the dataset is unknown."""
    real = name.removesuffix(OF_SYNTHETIC_DATA)
    known = vocabulary.terms("datasets").get(real)
    label = known.label if known else real
    return label if real == name else f"{label}, synthetic data"


def _list_clauses(counts: Mapping[str, PositiveCount], methods: int) -> Iterator[str]:
    """Yield a clause for each question: how many of the `methods` have the answer *yes*, and how many by chance."""
    for name, words in _COUNTED.items():
        if count := counts.get(name):
            bound = f" (by chance: at most {count.by_luck})" if _has_bound(name, count) else ""
            yield f"{_format_count(count, methods)} {words}{bound}"


def _format_summary_cell(section: BoardSection, name: str, methods: int) -> str:
    """Return the number of methods with the answer *yes* to the question `name`, or why it is not known."""
    if section.problem:
        return section.problem.answer
    count = section.counts.get(name)
    if count is None:
        answers = {answer.answer for row in section.methods if (answer := row.answers.get(name))}
        return answers.pop() if len(answers) == 1 else "not computed"
    bound = f" ({count.by_luck})" if _has_bound(name, count) else ""
    return f"{_format_count(count, methods)}{bound}"


def _format_count(count: PositiveCount, methods: int) -> str:
    """Return the number of methods with the answer *yes*, such as `3`. If some of the `methods` have no answer, also
    return the number of answers, as in `3 of 7`."""
    return str(count.adding) if count.asked == methods else f"{count.adding} of {count.asked}"


def _has_bound(name: str, count: PositiveCount) -> bool:
    """Return True if tables show how many answers *yes* to the question `name` chance explains."""
    return count.by_luck is not None and name != "protocol_phase"


def list_models(section: BoardSection) -> list[ModelLine]:
    """Return the confound-only models from best to worst; models with a constant score share the last line."""
    metric = section.metric
    best = next((score for row in section.methods if (score := row.get_score(metric))), None)
    return list(model_lines(((str(row.control), row.get_score(metric)) for row in section.confound_only), metric, best))


def list_answered_questions(rows: Sequence[Row]) -> list[str]:
    """Return the questions that some of these rows answer, in the order of columns."""
    return [name for name in _COUNTED if any(row.format_answer(name) for row in rows)]


def get_score_header(section: BoardSection) -> str:
    """Return the header of the column of scores."""
    title = metric_facts(section.metric).title
    return title if section.metric == section.methods[0].primary_metric else f"{title}, not the primary metric"


def describe_lead(ranking: Ranking | None) -> str:
    """Return a sentence on the lead of the first method and the lead by chance; empty for a single method."""
    if ranking is None or ranking.luck is None or len(ranking.ranks) < 2:
        return ""
    n, bound = len(ranking.ranks), "" if ranking.paired else "at most "
    return (
        f"The first of {n} ranked methods is {ranking.lead:.3f} above their mean; by chance, the best of {n} equal "
        f"methods would be {bound}{ranking.luck:.3f} above it."
    )


# Tables in Markdown: one page for each dataset, and a page with a line for each leaderboard.

LEGEND = f"""\
## How to read this
- Entries are sorted by the primary metric, in brackets its 95 % confidence interval over subjects. *rank*: the ranks
  that an entry may have, at 95 % for all comparisons together; entries that cannot be told apart share ranks.
- *given time and movement*: whether the score and the label are associated after both are adjusted for the time since
  the start and movement within 10 min; *given the protocol phase*: also for the phase of the protocol, inferred from
  movement of the whole session. An asterisk: *yes* also after correction for all methods of the leaderboard (maximum
  statistic over subjects). *Not shown*: the interval includes 0, or the named condition fails.
- {BY_CHANCE}
- *audit*: the number of findings of `embench audit`; the entry's `audit.json` lists them. Severe: the scores do not
  mean what they seem to mean. Suspicious: so good that a leak is the first thing to look for.
- *evidence*: who has checked the entry. Self-reported: its author published it. Verified: its scores were recomputed
  from its published predictions. Spot-checked: parts of it were run again. Reproduced: all of it was. Only
  spot-checked and reproduced entries have a rank.
- An entry's folder (last column) and the folder `shared` contain predictions, labels, folds and configuration, from
  which its numbers can be recomputed. Where the labels of a dataset are withheld, predictions are not published.
"""


def build_leaderboards(root: Path, entries: Sequence[EntrySummary] | None = None) -> list[Path]:
    """Write `root`/<dataset>/README.md for each dataset and `root`/README.md; return their paths. Shared files that no
    entry uses are deleted.

    Args:
        entries: summaries of all entries below `root`, if already loaded.

    Raises:
        MachineError: the files cannot be written.
    """
    root = Path(root)
    entries = load_entry_summaries(root) if entries is None else entries
    sections = build_sections(entries)
    written = []
    with saving("the tables", root):
        drop_unshared(root, {shared_folder(entry.folder) / name for entry in entries for name in entry.shared})
        for dataset, of_dataset in groupby(sections, key=lambda section: section.dataset):
            path = root / dataset / "README.md"
            write_text(path, _render_page(dataset, list(of_dataset)))
            written.append(path)
        root.mkdir(parents=True, exist_ok=True)
        write_text(root / "README.md", _render_front_page(sections))
    return [*written, root / "README.md"]


def _render_page(dataset: str, sections: Sequence[BoardSection]) -> str:
    """Return the Markdown page of a dataset's leaderboards."""
    note = (
        "Generated by `embench leaderboard build` from the entries in this folder; do not edit by hand. All columns: "
        f"`embench leaderboard show {dataset} --columns all --format csv`.\n"
    )
    parts = [f"# {markdown(get_dataset_label(dataset))}\n", note]
    for section in sections:
        parts += _render_section(section)
    return "\n".join([*parts, LEGEND])


def _render_section(section: BoardSection) -> Iterator[str]:
    """Yield the Markdown paragraphs of a leaderboard."""
    yield f"## {markdown(section.target)}, {markdown(section.protocol)}{markdown(_describe_section(section))}\n"
    yield f"{markdown(summarise(section).sentence)}\n"
    if section.unranked:
        yield f"{markdown(section.unranked)}\n"
    if section.methods:
        yield render_markdown_table(section.methods, section.protocol, head=get_score_header(section)) + "\n"
    yield from (f"{text}\n" for text in list_notes(section))
    yield from render_models_table(section)
    if pretrained := [row for row in section.methods if row.pretraining_comparison]:
        yield "Gain from pretraining, over the same network from scratch and over handcrafted features:\n"
        yield "\n".join(_render_gains(row, section.protocol) for row in pretrained) + "\n"


def _describe_section(section: BoardSection) -> str:
    """Return the words that distinguish a leaderboard from others with the same target and protocol: the training
    dataset and the number of subjects, each after a comma."""
    parts = [f"trained on {section.trained_on}" if section.trained_on else ""]
    parts += [f"{section.people} subjects" if section.people else ""]
    return "".join(f", {part}" for part in parts if part)


def list_notes(section: BoardSection) -> list[str]:
    """Return the sentences below the entries: separately ranked groups, and the lead that chance explains."""
    notes = []
    groups = dict.fromkeys(get_ranking_class(row) for row in section.methods)
    if len(groups) > 1:
        counts = {name: sum(get_ranking_class(row) == name for row in section.methods) for name in groups}
        sizes = "; ".join(f"{count} ({name})" for name, count in counts.items())
        notes.append(f"Ranks compare entries with the same access to data of the test subjects and context: {sizes}.")
    return [*notes, *filter(None, map(describe_lead, section.rankings.values()))]


def render_models_table(section: BoardSection) -> Iterator[str]:
    """Yield the lines of a heading and a small table of the confound-only models; nothing where no model applies."""
    if not section.confound_only:
        return
    yield "Models without any physiological signal, from best to worst:\n"
    if lines := list_models(section):
        marks = [[markdown(line.names), line.score, "above every entry" if line.above else ""] for line in lines]
        yield table_in_markdown(marks, ["model", get_score_header(section), ""]) + "\n"
    else:
        yield f"{NO_MODELS}\n"


def _render_gains(row: Row, folder: str) -> str:
    """Return a Markdown list item with a row's gains from pretraining; `folder`: the folder of the entries."""
    gains = row.pretraining_comparison.text if row.pretraining_comparison else ""
    return f"- [{row.id.rpartition('-')[2]}]({folder}/{row.id}), {markdown(f'{row.name}, {row.signals}: {gains}')}"


def _render_front_page(sections: Sequence[BoardSection]) -> str:
    """Return a Markdown page: a table with a line for each leaderboard of a protocol without a leak and of methods that
    were trained on the same dataset, and links to all other leaderboards."""
    current = [section for section in sections if not (section.leaks or section.trained_on)]
    current.sort(key=get_support_key)
    lines = []
    for section in current:
        cells = list(summarise(section).line.values())
        cells[0] = f"[{markdown(cells[0])}]({section.dataset}/README.md)"
        lines.append([cells[0] + markdown(_format_place(section)), *cells[1:]])
    table = table_in_markdown(lines, list(HEADS.values())) if lines else "No entries yet."
    others = [
        f"- [{get_dataset_label(section.dataset)}]({section.dataset}/README.md){markdown(_format_place(section))}"
        for section in sections
        if section not in current
    ]
    listed = "\n".join(["", "Leaking protocols and entries trained on another dataset:\n", *others, ""])
    return (
        "# Leaderboards\n\nGenerated by `embench leaderboard build`; do not edit by hand.\n\n"
        f"{table}\n\n{BY_CHANCE}\n{listed if others else ''}"
    )


def _format_place(section: BoardSection) -> str:
    """Return the target and protocol of a leaderboard, and what distinguishes it from others, each after a comma."""
    return f", {section.target}, {section.protocol}{_describe_section(section)}"


def render_markdown_table(
    rows: Sequence[Row],
    place: str,
    names: Sequence[str] = MARKDOWN_COLUMNS,
    linked: Collection[str] | None = None,
    head: str = "",
) -> str:
    """Return a Markdown table of some entries. Where none has the primary metric, it shows the score by which rows are
    sorted.

    Args:
        place: the folder of these entries. `names`: the columns. `linked`: the ids that exist in `place`; None for all.
            `head`: header of the column of scores.
    """
    answered = list_answered_questions(rows)
    chosen = [columns()[name] for name in names if name not in QUESTIONS or name in answered]
    if any(row.gain_source for row in rows) and "gain" not in names:
        chosen.insert([column.name for column in chosen].index("score") + 1, columns()["gain"])
    primary_metric = rows[0].primary_metric
    metric = primary_metric if any(row.score for row in rows) else inside_subjects(primary_metric)
    title = head or metric_facts(metric).title
    heads = [f"**{title}**" if column.name == "score" else column.title for column in chosen]
    lines = []
    for row in rows:
        end = f"[{row.id.rpartition('-')[2]}]({place}/{row.id})" if linked is None or row.id in linked else row.id
        lines.append([*(_render_cell(column, row, metric) for column in chosen), end])
    return table_in_markdown(lines, [*heads, "entry"])


def _render_cell(column: Column, row: Row, metric: str) -> str:
    """Return the Markdown text of a cell. The word `suspicious` is in bold; the column of scores shows `metric`."""
    if column.name == "score":
        return row.format_metric(metric)
    text = column.text(row) if column.name in ("rank", "audit") else markdown(column.text(row))
    return text.replace("suspicious", "**suspicious**") if column.name == "audit" else text
