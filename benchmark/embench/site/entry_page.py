"""The page of an entry: its result, all that its record says, and how to repeat it."""

from __future__ import annotations

import json
import shlex
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from embench.callbacks import ProgressCallback
from embench.checksums import read_checked, write_checked
from embench.files import read_text, sha256
from embench.interfaces.metric import Undefined
from embench.leaderboard.columns import ShownEntry
from embench.leaderboard.entries import LeaderboardEntry, LoadEntry, load_leaderboard_entry
from embench.leaderboard.rows import describe_differences, kept_place
from embench.leaderboard.tables import dataset_label
from embench.planning.request import command_again
from embench.records.audit import audit_status, reworded
from embench.records.scores import Scores
from embench.records.wording import format_cost, format_share, format_value
from embench.report.axis_curves import Curve, describe_curve
from embench.report.figures import describe_probabilities
from embench.report.page import paragraph
from embench.site.addresses import addresses
from embench.site.boards import Board, evidence_of, rank_text, superseded_text
from embench.site.joined_entries import JoinedEntries
from embench.site.methods import method_slug
from embench.site.number_style import style_texts
from embench.site.pages import notice, render, write_page
from embench.site.pairing import pairings
from embench.statistics.calibration import calibration
from embench.statistics.form import as_html, result_forms
from embench.statistics.metrics import metric_facts

COPIED = ("run.yaml", "scores.json")
"""Files that lie beside the page, so that they open."""


class EntryPages:
    """The pages of entries and the figures on them: kept by all that they are made of, else made from the entry."""

    def __init__(self, load: LoadEntry = load_leaderboard_entry) -> None:
        self._joined, self._load = JoinedEntries(), load

    def pairs_of(
        self, entries: Sequence[ShownEntry], progress: ProgressCallback | None
    ) -> dict[tuple[str, str], dict[str, Any]]:
        """The figures that comparisons of rows need (see `pairings`). Raises DataError where an entry is damaged."""
        found, shared = {}, dict[str, Any]()
        for done, entry in enumerate(entries, 1):
            for target, pair in self._figures(entry)["pairs"].items():
                found[entry.id, target] = pair | {"shared": shared.setdefault(pair["fits"], pair["shared"])}
            if progress:
                progress(done, len(entries), "compared")
        return found

    def write(
        self, whole: Path, entry: ShownEntry, placed: Sequence[Mapping[str, Any]], curve: Curve | None = None
    ) -> None:
        """Writes the page of an entry, with a curve of its method, and copies of `COPIED` into a folder of its name.
        Raises OSError, and DataError where the entry is damaged."""
        on_boards = [(at["board"].key, at["board"].metric, at["row"], at["ranked"]) for at in placed]
        place = kept_place(
            "pages", entry.content, repr(on_boards), repr(addresses()), notice(), *([repr(curve)] if curve else [])
        )
        page = read_checked(place)
        if page is None:
            loaded = self._load(entry.folder)
            page = _page(loaded, entry.board, placed, self._figures(entry)["curves"], curve).encode()
            write_checked(place, page)
        folder = whole / entry.board / entry.protocol
        write_page(folder / f"{entry.id}.html", page.decode())
        (folder / entry.id).mkdir(parents=True, exist_ok=True)
        for file in COPIED:
            shutil.copyfile(entry.folder / file, folder / entry.id / file)

    def _figures(self, shown: ShownEntry) -> Any:
        """The `pairs` and `curves` of each target, as they are after a way through JSON."""
        place = kept_place("figures", shown.content)
        content = read_checked(place)
        if content is None:
            entry = self._load(shown.folder)
            pairs = {target: pair for (_, target), pair in pairings([entry], self._joined).items()}
            curves = {target: _probabilities(entry, target, self._joined) for target in entry.targets}
            content = json.dumps({"pairs": pairs, "curves": curves}).encode()
            write_checked(place, content)
        return json.loads(content)


def placed_rows(boards: Sequence[Board]) -> dict[str, list[dict[str, Any]]]:
    """Places of each entry on leaderboards, by its id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for board in boards:
        ranked = sum(1 for row in board.rows if row.rank)
        for row in board.rows:
            found.setdefault(row.id, []).append({
                "board": board, "row": row, "rank": rank_text(row), "ranked": ranked,
            })  # fmt: skip
    return found


def _page(
    entry: LeaderboardEntry,
    board: str,
    placed: Sequence[Mapping[str, Any]],
    curves: Mapping[str, str],
    given: Curve | None,
) -> str:
    run, row = entry.run, placed[0]["row"]
    return render(
        "entry.html",
        2,
        run=run,
        dataset=board,
        name=row.name,
        method_page=f"methods/{method_slug(row.parts)}.html",
        label=dataset_label(board),
        row=row,
        evidence=evidence_of(row),
        superseded=superseded_text(row),
        suspicious=row.suspicious,
        differences=describe_differences(run),
        placed=placed,
        targets=[_target(entry, target, curves[target]) for target in entry.targets],
        curve=style_texts(describe_curve(given)) if given else "",
        findings=_findings(entry.audit, entry.scores),
        audit_status=audit_status(entry.audit),
        cost=format_cost(run.cost.model_dump()),
        facts=_facts(entry),
        commands=_commands(entry),
        files=_files(entry.folder),
        run_yaml=read_text(entry.folder / "run.yaml"),
    )


def _probabilities(entry: LeaderboardEntry, target: str, joined: JoinedEntries) -> Markup:
    """The curves of a target of two classes, where predictions are public; else nothing."""
    rows = joined.of(entry, target)
    if rows is None or rows.target.kind != "binary":
        return Markup()
    method = entry.run.method
    found = calibration(rows.scored(entry), rows.groups, method)
    if isinstance(found, Undefined):
        return paragraph(f"Not shown: {found.reason}.")
    return style_texts(describe_probabilities(found, target, method))


def _target(entry: LeaderboardEntry, target: str, curves: str) -> dict[str, Any]:
    headline = entry.scores.headlines[target]
    ordered = sorted(entry.scores.of(target).items(), key=lambda pair: (pair[0] != headline, not pair[1].defined))
    about = {"name": target, "headline": headline, "headline_name": metric_facts(headline).title}
    form = result_forms(entry.run.content(), entry.scores)[target]
    return {
        **about,
        "form": style_texts(Markup(as_html(form, every=True))),  # noqa: S704  as `as_html` escaped it
        "scores": ordered,
        "undefined": _repeated([score.undefined for _, score in ordered]),
        "probabilities": Markup(curves),  # noqa: S704  as `_probabilities` made it
    }


def _repeated(reasons: Sequence[str | None]) -> str:
    """The reason that several undefined scores share, which is given once above them; empty where there is none."""
    (reason, times), *_ = Counter(filter(None, reasons)).most_common(1) or [("", 0)]
    return reason if times > 1 else ""


def _findings(audit: Mapping[str, Any] | None, scores: Scores) -> list[dict[str, str]] | None:
    """The findings of an audit, whatever its file holds in their place; None where there was no audit."""
    if audit is None:
        return None
    listed = audit["findings"] if isinstance(audit["findings"], list) else []
    found = [reworded(each, scores) for each in listed if isinstance(each, Mapping)]
    return [{name: str(each.get(name) or "") for name in ("severity", "check", "what", "todo")} for each in found]


def _facts(entry: LeaderboardEntry) -> list[tuple[str, str]]:
    run = entry.run
    out = run.cohort.left_out
    excluded = [f"{row['subject']} ({row['reason']})" if isinstance(row, Mapping) else str(row) for row in out]
    return [
        ("dataset", f"{entry.board}, data {run.dataset.fingerprint}"),
        ("protocol", f"{run.protocol.name}, version {run.protocol.version}"),
        ("deviations of the protocol", "; ".join(run.protocol.gives_up.values()) or "none"),
        ("subjects", str(run.cohort.size)),
        ("excluded subjects", "; ".join(excluded) or "none"),
        ("units with missing or interpolated samples", format_share(run.cohort.repaired, "not recorded")),
        ("encoders", ", ".join(f"{m}: {name}" for m, name in run.method.encoders.items()) or "unknown"),
        ("fusion", run.method.fusion or "none"),
        ("pretraining", ", ".join(run.method.pretrainers) or "none"),
        ("overlap of pretraining with test subjects", run.pretrain_overlap.replace("_", " ")),
        ("data of the test subjects that the method may read", run.target_access),
        ("recipe", run.recipe.preset),
        ("assumed settings that the paper leaves open", ", ".join(run.recipe.assumed) or "none"),
        ("changed settings", ", ".join(run.changed_settings) or "none"),
        ("seeds", ", ".join(map(str, run.seeds))),
        ("test-set evaluations", format_value(run.test_looks, missing="not recorded")),
        (
            "methods evaluated on these test subjects, including this one",
            format_value(run.tried, missing="not recorded"),
        ),
        ("evaluations on validation subjects", format_value(run.dev_looks, missing="not recorded")),
        ("embench", run.embench_version),
        ("versions", format_value(run.versions, missing="not recorded")),
        ("device", format_value(run.device, missing="not recorded")),
    ]


def _commands(entry: LeaderboardEntry) -> dict[str, str]:
    """Commands that repeat the run, check it, and write its report, in a clone of the repository."""
    run, place = entry.run, f"leaderboards/{entry.board}/{entry.run.protocol.name}/{entry.run.id}"
    place = "/".join(("runs", *entry.folder.parts[-2:])) if notice() else place
    return {
        "run": command_again(run),
        "from": shlex.join(["embench", "run", "--from", place]),
        "report": shlex.join(["embench", "report", place]),
        "audit": shlex.join(["embench", "audit", place]),
    }


def _files(folder: Path) -> list[tuple[str, int, str]]:
    """Name, bytes and SHA-256 of each file of an entry."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [(path.name, path.stat().st_size, sha256(path)) for path in files]
