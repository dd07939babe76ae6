"""`python -m bench.shared_partitions DATASET --data-root DIR`: may seeds share models of confounds (see plan.md)?

Appends a line to `--out` for each method of each case, and writes results.md beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bench.markdown import table
from embench.data.cohort import Cohort
from embench.data.find import find_source
from embench.interfaces.metric import Undefined
from embench.leaderboard.entries import list_entry_folders
from embench.leaderboard.verify import resolve_protocol
from embench.records.predictions import MODEL, UNPREDICTED
from embench.records.record import Record, read_record
from embench.statistics.confound_test import (
    CONFOUND_LEVELS,
    ConfoundBlocks,
    LabelledUnits,
    estimate_metric,
    make_confound_blocks,
    make_studies,
    measure_association,
    scores_by_seed,
    tested_units,
)
from embench.statistics.intervals import leave_one_out
from embench.statistics.joined import shared_stimuli

HERE = Path(__file__).parent
BOARDS = HERE.parents[1] / "leaderboards"
PROTOCOL = "subject-independent-v3"
SEEDS = tuple(range(10))
EXCHANGES, ENTRIES, OF_EFFECTS, EFFECTS = 12, 5, 4, (0.1, 0.2, 0.3, 0.6, 1.0)

Values = Mapping[int, np.ndarray]
"""Seed -> scores (n, 1) of the eligible units of a cohort."""


def main() -> None:
    """Ask all cases of one dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=HERE / "results.jsonl")
    parser.add_argument("--ways", type=int, nargs="+", default=[0, 3], metavar="P", help="partitions; 0: own folds")
    chosen = parser.parse_args()
    records = [read_record(f) for f in list_entry_folders(BOARDS) if f.parts[-3:-1] == (chosen.dataset, PROTOCOL)]
    records = [each for each in records if each.manifest.seeds == list(SEEDS)]
    study = Asked(records[0], chosen.dataset, chosen.data_root)
    done = set()
    if chosen.out.is_file():
        done = {(line["dataset"], line["case"], line["name"]) for line in map(json.loads, chosen.out.open())}
    for case, name, values in study.cases(records):
        if (chosen.dataset, case, name) not in done:
            answers = study.answers(values, chosen.ways)
            with chosen.out.open("a") as file:
                file.write(json.dumps({"dataset": chosen.dataset, "case": case, "name": name, **answers}) + "\n")
    chosen.out.with_name("results.md").write_text(results_page(chosen.out))


def results_page(path: Path) -> str:
    """Return the counts of *yes* with own and with shared models, of each dataset and case."""
    rows: dict[tuple[str, str], list[dict[str, dict[str, float]]]] = {}
    for line in map(json.loads, path.open()):
        rows.setdefault((line["dataset"], line["case"]), []).append(line)
    lines = []
    for about, found in rows.items():
        own, shared = ([bool(each[way]["yes"]) for each in found] for way in ("0", "3"))
        changed = [sum(a > b for a, b in zip(x, y, strict=True)) for x, y in ((shared, own), (own, shared))]
        apart = max(abs(each["0"]["r"] - each["3"]["r"]) for each in found)
        lines.append([*about, *map(str, [len(found), sum(own), sum(shared), *changed]), f"{apart:.3f}"])
    head = ["dataset", "case", "asked", "yes, own", "yes, three", "no to yes", "yes to no", "largest change of r"]
    said = "`python -m bench.shared_partitions`, for each dataset; see [plan](plan.md)."
    return f"# Models of confounds in few partitions: results\n\n{said}\n\n{table(head, lines)}\n"


class Asked:
    """The units of a dataset, their confounds in both ways, and the cases of the plan."""

    def __init__(self, record: Record, dataset: str, root: Path) -> None:
        """Read the data as the entry's run did, and fit the models of confounds of all seeds."""
        run, source = record.manifest, find_source(dataset, root)
        protocol = resolve_protocol(run)
        self.cohort: Cohort = source.cohort(protocol, ",".join(run.targets), tuple(run.method.modalities))
        [self.target] = self.cohort.targets
        self.units = np.array(self.cohort.eligible)
        self.tested: LabelledUnits = tested_units(self.cohort, self.target, self.units, 3)
        self.metric = record.scores.primary_metrics[self.target.name]
        studies = make_studies(self.cohort, protocol, {self.target.name: SEEDS})[self.target.name]
        if isinstance(studies, Undefined):
            raise SystemExit(studies.reason)
        self.own = {seed: make_confound_blocks(each, lambda _: None) for seed, each in studies.items()}

    @cache  # noqa: B019 (one object a process)
    def held(self, way: int) -> Mapping[int, ConfoundBlocks]:
        """Seed -> the confounds in its own folds (0), or those of so many partitions."""
        if not way:
            return self.own
        return {seed: ConfoundBlocks(self.own[seed % way].blocks, each.parts) for seed, each in self.own.items()}

    def answers(self, values: Values, ways: Sequence[int]) -> dict[str, dict[str, float | bool]]:
        """Way -> the partial correlation given the confounds, its lower bound, and whether the answer is *yes*."""
        parts = {seed: each.parts for seed, each in self.own.items()}
        joined = self.tested.joined(values, parts)
        jackknife = leave_one_out(
            joined.tested_subjects(), self.cohort.groups, shared_stimuli(self.cohort.design, joined)
        )
        own = estimate_metric(self.metric, joined, self.target, jackknife)
        found = {}
        for way in ways:
            made = measure_association(
                values, self.tested, self.held(way), CONFOUND_LEVELS["protocol_phase"], self.metric, own, jackknife
            )
            r, low = (getattr(made.partial_r, name, None) or 0.0 for name in ("mean", "low"))
            found[str(way)] = {"r": r, "low": low, "yes": made.associated}
        return found

    def values_of(self, record: Record, method: str) -> Values | None:
        """The scores of a method or confound-only model of an entry; None where its units are others."""
        rows, at = record.predictions, {unit.id: i for i, unit in enumerate(self.cohort.units)}
        parts = []
        for seed in SEEDS:
            own = rows.take(rows.rows_with(method=method, target=self.target.name))
            own = own.take(own["seed"] == seed)
            if not len(own) or not all(name in at for name in own["unit"].tolist()):
                return None
            positions = np.array([at[name] for name in own["unit"].tolist()])
            parts.append((self.target, seed, positions, own["score"]))
        laid = scores_by_seed(self.cohort, parts)[self.target.name]
        return {seed: of_seed[self.units] for seed, of_seed in laid.items()}

    def cases(self, records: list[Record]) -> Iterator[tuple[str, str, Values]]:
        """(case, name, scores) of the plan."""
        signals = []
        for record in records:
            values, name = self.values_of(record, MODEL), record.manifest.id
            if values is None:
                continue
            if set(record.manifest.method.modalities) == {"acc"}:
                yield "attacks", name, values
                yield "attacks", f"{name}, negated", {seed: -of for seed, of in values.items()}
            else:
                signals.append((name, values))
        models = set(records[0].predictions.texts("method").names.tolist()) - {MODEL, UNPREDICTED}
        for model in sorted(models):
            if (values := self.values_of(records[0], model)) is not None:
                yield "attacks", model, values
                yield "attacks", f"{model}, negated", {seed: -of for seed, of in values.items()}
        for name, values in signals:
            yield "entries", name, values
        drawn = np.random.default_rng(0).choice(len(signals), min(ENTRIES, len(signals)), replace=False)
        for k in drawn.tolist():
            name, values = signals[k]
            for exchange in range(EXCHANGES):
                null = self.exchanged(values, np.random.default_rng([k, exchange]))
                yield "nulls", f"{name}, exchange {exchange}", null
                for effect in EFFECTS if exchange < OF_EFFECTS else ():
                    shown = {seed: of + effect * np.nan_to_num(self.tested.y)[:, None] for seed, of in null.items()}
                    yield f"effects {effect}", f"{name}, exchange {exchange}", shown

    def exchanged(self, values: Values, rng: np.random.Generator) -> Values:
        """Each subject's scores replaced by those of another one at the nearest time, in SDs within the subject."""
        subjects = np.unique(self.tested.subject)
        order = rng.permutation(len(subjects))
        other = dict(zip(subjects[order].tolist(), subjects[np.roll(order, 1)].tolist(), strict=True))
        found = {}
        for seed, of in values.items():
            out = np.full(of.shape, np.nan)
            for name in subjects.tolist():
                mine = np.flatnonzero(self.tested.subject == name)
                theirs = np.flatnonzero((self.tested.subject == other[name]) & np.isfinite(of[:, 0]))
                nearest = np.abs(self.tested.start_s[mine][:, None] - self.tested.start_s[theirs]).argmin(1)
                score = of[theirs[nearest], 0]
                out[mine, 0] = (score - score.mean()) / (score.std() + 1e-9)
            found[seed] = out
        return found


if __name__ == "__main__":
    main()
