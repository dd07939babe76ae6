"""The page of an entry: its result, its record, and data for comparing it with other entries by subject."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from embench.errors import DataError
from embench.files import read_checked, read_text, sha256, write_checked
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.leaderboard.columns import EntrySummary
from embench.leaderboard.entries import LeaderboardEntry, load_summands
from embench.leaderboard.rows import describe_differences, find_cache_file
from embench.leaderboard.tables import get_dataset_label
from embench.planning.request import format_recorded_command
from embench.protocols import format_access
from embench.records.audit import format_audit_status, list_shown_findings, read_audit
from embench.records.digits import nine_digits
from embench.records.predictions import MODEL, Predictions
from embench.records.record import PREDICTIONS_FILE, read_manifest, read_numbers, read_record, read_scores
from embench.records.wording import departures_in_words, format_cost, format_share, format_value, grouped
from embench.report.axis_curves import Curve, describe_curve
from embench.report.figures import describe_probabilities
from embench.report.page import paragraph
from embench.site.leaderboards import Board, describe_evidence, method_slug, rank_text
from embench.site.pages import addresses, notice, render, style_texts, write_page
from embench.statistics.calibration import calibration
from embench.statistics.estimates import estimate
from embench.statistics.form import as_html, result_forms
from embench.statistics.gains import shared_part
from embench.statistics.intervals import (
    MAX_PERMUTATIONS,
    Estimate,
    Summands,
    group_permutations,
    leave_one_out,
    smallest_detectable,
)
from embench.statistics.joined import Joined, joined_on_common, recorded_targets
from embench.system import ProgressCallback

# Predictions of entries, joined with labels. Most entries of a leaderboard predict the same units in the same folds, so
# these are joined once, with row numbers in place of scores.


@dataclass(frozen=True)
class JoinedRows:
    """The labelled units of a target that entries share. In place of its score, each unit has the number of its row.

    Args:
        joined: the units by seed and fold, including units without a prediction.
        groups: subject -> group of subjects recorded together.
        rows: number of rows in an entry's file.
    """

    joined: Joined
    target: Target
    groups: Mapping[str, str]
    rows: int

    def attach_scores(self, entry: LeaderboardEntry) -> Joined:
        """Return the units with an entry's scores; NaN if not predicted. Raises DataError if its file is damaged."""
        path = entry.folder / PREDICTIONS_FILE
        if path in self._latest:
            return self._latest[path]
        numbers = read_numbers(path)
        if "score" not in numbers or len(numbers["score"]) != self.rows:
            raise DataError("the numbers do not fit the predicted units", where=str(path))
        score = nine_digits(numbers["score"].astype(np.float64))
        seeds = {
            seed: {fold: replace(units, score=score[units.score.astype(int)]) for fold, units in folds.items()}
            for seed, folds in self.joined.seeds.items()
        }
        self._latest.clear()
        self._latest[path] = replace(self.joined, seeds=seeds)
        return self._latest[path]

    @cached_property
    def _latest(self) -> dict[Path, Joined]:
        """The file of the latest entry -> its units: a page compares and draws the same ones."""
        return {}


class JoinedEntries:
    """A cache of `JoinedRows`, by the entry's files of rows, labels and folds, and by target."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], JoinedRows | None] = {}

    def join(self, entry: LeaderboardEntry, target: str) -> JoinedRows | None:
        """Return an entry's labelled units of a target. Return None if the entry has no predictions or labels, or if
        the target has several classes. Raises DataError if files are damaged."""
        parts = entry.run.entry
        if parts is None or not (parts.rows and parts.labels):
            return None
        key = (entry.board, parts.rows, parts.labels, parts.folds, target)
        if key not in self._made:
            self._made[key] = _join_rows(entry, target)
        return self._made[key]


def _join_rows(entry: LeaderboardEntry, name: str) -> JoinedRows | None:
    """Join an entry's labelled units of a target with row numbers; None if the target has several classes."""
    record = read_record(entry.folder, models=False)
    model = record.predictions.own
    target = next((each for each in recorded_targets(record) if each.name == name), None)
    if target is None or "score_0" in model.columns:
        return None
    model = model.take(np.lexsort((model["seed"], model["unit"], model["target"])))  # the order of shared files
    number, n = np.arange(len(model), dtype=float), len(model)
    numbered = Predictions({**model.columns, "method": np.full(n, MODEL), "score": number, "decision": np.zeros(n)})
    [joined] = joined_on_common([replace(record, predictions=numbered)], target, record.groups)
    return JoinedRows(joined, target, record.groups, len(model))


# Data with which a page compares two entries as `embench compare` does. p values are computed from the contributions of
# groups of subjects. The interval of a difference is a jackknife over groups, which needs the score without each group,
# or a t interval over subjects, which needs the values of subjects.

_DIGITS = 9


def pairings(entries: Sequence[LeaderboardEntry], joined: JoinedEntries) -> dict[tuple[str, str], dict[str, Any]]:
    """Return (run id, target) -> data with which a page compares the entry with others; entries without contributions
    are omitted.

    - `contributions`, `by_seed`: contributions of groups of subjects to the primary metric.
    - `without`: the score without each group; or `values`: the scores of subjects.
    - `fits`: digest that is equal for entries that can be compared; these have the same `shared` data.
    - `seeds`: the compared seeds, if the entry has further ones.

    Raises:
        DataError: an entry's predictions or shared files are damaged.
    """
    pairs = {
        (entry.run.id, target): _make_pair(entry, target, summands, joined.join(entry, target))
        for entry in entries
        for target, summands in entry.summands.items()
    }
    return {key: pair for key, pair in pairs.items() if pair}


def _make_pair(
    entry: LeaderboardEntry, target: str, summands: Summands, rows: JoinedRows | None
) -> dict[str, Any] | None:
    """Return the data of `pairings` for an entry and target; None if a page cannot compare the entry."""
    if rows is None:
        return None
    joined = shared_part(rows.attach_scores(entry))
    jackknife = leave_one_out(joined.tested_subjects(), rows.groups)
    score, _ = estimate(entry.scores.primary_metrics[target], joined, rows.target, jackknife)
    if not isinstance(score, Estimate) or score.without_stimulus is not None:
        return None
    groups, trained = len(summands.contributions), summands.trained.astype(int)
    pair: dict[str, Any] = {
        "fits": summands.fits,
        "contributions": _round(summands.contributions),
        "by_seed": [_round(seed) for seed in summands.by_seed],
        **({"seeds": list(joined.seeds)} if len(joined.seeds) < len(entry.run.seeds) else {}),
        "shared": {
            "trained": [["".join(map(str, row)) for row in seed] for seed in trained.tolist()],
            "codes": jackknife.codes.tolist(),
            "quantiles": _quantiles(groups),
        },
    }
    if score.subject_values is not None:
        return pair | {"values": _round(score.subject_values)}
    if score.without is not None:
        return pair | {"without": _round(score.without)}
    return None


def _round(values: np.ndarray) -> list[float | None]:
    return [None if x != x else round(float(x), _DIGITS) for x in values]


@cache
def _quantiles(groups: int) -> Mapping[str, list[float]]:
    """Return degrees of freedom -> [97.5 % quantile of t, smallest detectable difference in standard errors]."""
    from scipy.special import stdtrit

    return {
        str(df): [round(float(stdtrit(df, 0.975)), _DIGITS), round(smallest_detectable(1.0, df), _DIGITS)]
        for df in range(1, groups)
    }


def flips_script(groups: int) -> str:
    """Return a script with random sign flips for the permutation test; empty where a page can enumerate all flips."""
    if 2**groups <= MAX_PERMUTATIONS:
        return ""
    bits = np.packbits(group_permutations(groups), axis=None)
    text = base64.b64encode(bits.tobytes()).decode()
    return f'"use strict";\n(window.FLIPS = window.FLIPS || {{}})[{groups}] = "{text}";\n'


# The page of an entry: its result, its record, and how to repeat it.

COPIED = ("run.yaml", "scores.json")
"""Files of an entry that are copied next to its page, which links to them."""


class EntryPages:
    """Writer of the pages of entries. A page is cached under a digest of all data that it depends on."""

    def __init__(self) -> None:
        self._joined = JoinedEntries()

    def compute_pairs(
        self, entries: Sequence[EntrySummary], progress: ProgressCallback | None
    ) -> dict[tuple[str, str], dict[str, Any]]:
        """Return `pairings` of the entries, from the cache or computed. Raises DataError where an entry is damaged."""
        found, shared = {}, dict[str, Any]()
        for done, entry in enumerate(entries, 1):
            for target, pair in self._load_figures(entry)["pairs"].items():
                found[entry.id, target] = pair | {"shared": shared.setdefault(pair["fits"], pair["shared"])}
            if progress:
                progress(done, len(entries), "compared")
        return found

    def write(
        self, whole: Path, entry: EntrySummary, placed: Sequence[Mapping[str, Any]], curve: Curve | None = None
    ) -> None:
        """Write the page of an entry, and copy the files `COPIED` to a folder with its name.

        Args:
            placed: places of the entry on leaderboards, see `find_places`.
            curve: curve over amounts of calibration data that contains the entry, if there is one.

        Raises:
            OSError: the page cannot be written.
            DataError: the entry is damaged.
        """
        on_boards = [(each["board"].key, each["board"].metric, each["row"], each["ranked"]) for each in placed]
        place = find_cache_file(
            "pages", entry.content, repr(on_boards), repr(addresses()), notice(), *([repr(curve)] if curve else [])
        )
        page = read_checked(place)
        if page is None:
            loaded = _read_entry(entry.folder)
            page = _render_page(loaded, entry.board, placed, self._load_figures(entry)["curves"], curve).encode()
            write_checked(place, page)
        folder = whole / entry.board / entry.protocol
        write_page(folder / f"{entry.id}.html", page.decode())
        (folder / entry.id).mkdir(parents=True, exist_ok=True)
        for file in COPIED:
            shutil.copyfile(entry.folder / file, folder / entry.id / file)

    def _load_figures(self, summary: EntrySummary) -> Any:
        """Return `pairs` (see `pairings`) and `curves` (HTML) of each target, from the cache or computed."""
        place = find_cache_file("figures", summary.content)
        content = read_checked(place)
        if content is None:
            entry = _read_entry(summary.folder)
            pairs = {target: pair for (_, target), pair in pairings([entry], self._joined).items()}
            curves = {target: _draw_probabilities(entry, target, self._joined) for target in entry.targets}
            content = json.dumps({"pairs": pairs, "curves": curves}).encode()
            write_checked(place, content)
        return json.loads(content)


def _read_entry(folder: Path) -> LeaderboardEntry:
    """Return an entry, or a finished run, without its attestations; it was checked when its summary was made."""
    run = read_manifest(folder)
    scores, audit, summands = read_scores(folder, run.entry), read_audit(folder), load_summands(folder)
    return LeaderboardEntry(folder, run, scores, audit, summands)


def find_places(boards: Sequence[Board]) -> dict[str, list[dict[str, Any]]]:
    """Return id of an entry -> its places on leaderboards: `board`, `row`, `rank` and number of `ranked` entries."""
    ranked = [(board, sum(1 for row in board.rows if row.rank)) for board in boards]
    return grouped(
        (row.id, {"board": board, "row": row, "rank": rank_text(row), "ranked": count})
        for board, count in ranked
        for row in board.rows
    )


def _render_page(
    entry: LeaderboardEntry,
    board: str,
    placed: Sequence[Mapping[str, Any]],
    curves: Mapping[str, str],
    curve: Curve | None,
) -> str:
    run, row = entry.run, placed[0]["row"]
    return render(
        "entry.html",
        2,
        run=run,
        dataset=board,
        name=row.name,
        method_page=f"methods/{method_slug(row.parts)}.html",
        label=get_dataset_label(board),
        row=row,
        evidence=describe_evidence(row),
        suspicious=row.suspicious,
        differences=describe_differences(run),
        placed=placed,
        targets=[_describe_target(entry, target, curves[target]) for target in entry.targets],
        curve=style_texts(describe_curve(curve)) if curve else "",
        findings=None if entry.audit is None else list_shown_findings(entry.audit),
        audit_status=format_audit_status(entry.audit),
        cost=format_cost(run.cost.model_dump()),
        facts=_list_facts(entry),
        commands=_list_commands(entry),
        files=_list_files(entry.folder),
        run_yaml=read_text(entry.folder / "run.yaml"),
    )


def _draw_probabilities(entry: LeaderboardEntry, target: str, joined: JoinedEntries) -> Markup:
    """Return the reliability and decision curves of a target; empty unless it has two classes and public labels."""
    rows = joined.join(entry, target)
    if rows is None or rows.target.kind != "binary":
        return Markup()
    method = entry.run.method
    found = calibration(rows.attach_scores(entry), rows.groups, method)
    if isinstance(found, Undefined):
        return paragraph(f"Not shown: {found.reason}.")
    return style_texts(describe_probabilities(found, target, method))


def _describe_target(entry: LeaderboardEntry, target: str, curves: str) -> dict[str, Any]:
    primary_metric = entry.scores.primary_metrics[target]
    ordered = sorted(
        entry.scores.get_scores(target).items(), key=lambda pair: (pair[0] != primary_metric, not pair[1].is_defined)
    )
    form = result_forms(entry.run.content(), entry.scores)[target]
    return {
        "name": target,
        "primary_metric": primary_metric,
        "form": style_texts(Markup(as_html(form, every=True))),  # noqa: S704  as `as_html` escaped it
        "scores": ordered,
        "undefined": _find_shared_reason([score.undefined for _, score in ordered]),
        "probabilities": Markup(curves),  # noqa: S704  as `_draw_probabilities` made it
    }


def _find_shared_reason(reasons: Sequence[str | None]) -> str:
    """Return the most frequent of the `reasons` why scores are undefined; empty if each occurs only once."""
    (reason, times), *_ = Counter(filter(None, reasons)).most_common(1) or [("", 0)]
    return reason if times > 1 else ""


def _list_facts(entry: LeaderboardEntry) -> list[tuple[str, str]]:
    run = entry.run
    out = run.cohort.left_out
    excluded = [f"{row['subject']} ({row['reason']})" if isinstance(row, Mapping) else str(row) for row in out]
    recorded = partial(format_value, missing="not recorded")
    return [
        ("dataset", f"{entry.board}, data {run.dataset.fingerprint}"),
        ("protocol", f"{run.protocol.name}, version {run.protocol.version}"),
        ("deviations of the protocol", "; ".join(run.protocol.leaks_in_words()) or "none"),
        ("subjects", str(run.cohort.size)),
        ("excluded subjects", "; ".join(excluded) or "none"),
        ("units with missing or interpolated samples", format_share(run.cohort.repaired, "not recorded")),
        ("encoders", ", ".join(f"{m}: {name}" for m, name in run.method.encoders.items()) or "unknown"),
        ("fusion", run.method.fusion or "none"),
        ("pretraining", ", ".join(run.method.pretrainers) or "none"),
        ("overlap of pretraining with test subjects", run.pretraining_overlap.replace("_", " ")),
        ("data of the test subjects that the method may read", format_access(run.target_access)),
        ("recipe", run.recipe.preset),
        ("settings that the papers leave open", format_value(run.recipe.assumed, missing="not recorded") or "none"),
        ("settings that differ from the papers", ". ".join(departures_in_words(run.recipe.content())) or "none"),
        ("query modality", run.method.query or "none"),
        ("changed settings", ", ".join(run.changed_settings) or "none"),
        ("seeds", ", ".join(map(str, run.seeds))),
        ("test-set evaluations", recorded(run.test_evaluations)),
        ("methods evaluated on these test subjects, including this one", recorded(run.methods_evaluated)),
        ("evaluations on validation subjects", recorded(run.dev_evaluations)),
        ("embench", run.embench_version),
        ("versions", recorded(run.versions)),
        ("device", recorded(run.device)),
    ]


def _list_commands(entry: LeaderboardEntry) -> dict[str, str]:
    """Return commands that repeat the run, audit it and write its report, in a clone of the repository."""
    run, place = entry.run, f"leaderboards/{entry.board}/{entry.run.protocol.name}/{entry.run.id}"
    place = "/".join(("runs", *entry.folder.parts[-2:])) if notice() else place
    return {
        "run": format_recorded_command(run),
        "from": shlex.join(["embench", "run", "--from", place]),
        "report": shlex.join(["embench", "report", place]),
        "audit": shlex.join(["embench", "audit", place]),
    }


def _list_files(folder: Path) -> list[tuple[str, int, str]]:
    """Return name, size in bytes and SHA-256 of each file of an entry."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [(path.name, path.stat().st_size, sha256(path)) for path in files]
