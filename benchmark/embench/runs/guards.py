"""Guards against plugins that are not bundled: conformance, dependence on other units, and stored labels."""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import embench
from embench import registry
from embench.data.find import Source
from embench.engine import device as machine
from embench.engine.executors import Resources, run_graph
from embench.engine.fits import task_subjects
from embench.engine.predict import row_deviations
from embench.engine.stage import Folder, Part, Stage
from embench.engine.work import check_alone
from embench.errors import CheckFailed, MachineError
from embench.files import digest, write_text
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import VIDEO_CHANNELS, remove_channels
from embench.leaderboard.entries import PickedFold, pick_stages
from embench.planning.compatibility import get_prepared_form
from embench.planning.graph import ExpectedPredictions, Graph, libraries
from embench.planning.plan import Plan
from embench.reasons import Reason
from embench.records import ledger
from embench.records.scores import TOLERANCE
from embench.registry.catalogue import display_name
from embench.store import cache_root
from embench.system import EventCallback, in_fresh_process
from embench.vocabulary import escape_control

# Checks of plugins that are not bundled: conformance before training, and repeated predictions in a fresh process.
# Bundled plugins are tested, and a changed one changes the record.

PASSED = Reason.make("passed")


def check_conformance(plan: Plan, on_event: EventCallback) -> dict[str, Reason]:
    """Check the plugins of a run that are not bundled; return part of the run -> `passed`, or `failed: ...`. Failures
    are reported as notes. A plugin is checked again only after its code, a library or a dataset's files change. Methods
    are checked in a separate process, dataset readers in this one."""
    found = {}
    for part, source in _list_sources(plan).items():
        entry = source.entry
        if entry.package != registry.BUNDLED:
            content: list[object] = [entry.version, source.raw_digest().hex()]
            check = partial(_check_reader, entry, source.folder)
            found[part] = _check_and_note("dataset", entry.name, content, check, on_event)
    for part, method in select_foreign_parts(plan).items():
        kind = _get_kind(part)
        doing, content = f"while checking {kind} {method.name}", [method.code]
        work: Callable[..., Reason] = check_plugin
        arguments: tuple[Any, ...] = (kind, method.name)
        if registry.is_object(method.name) and kind in ("encoder", "fusion"):
            work, arguments = check_object, (*arguments, method.recipe, describe_input(plan, part))
            content += [method.recipe.to_mapping(), *map(str, arguments[-1])]
        check = partial(in_fresh_process, doing, work, *arguments)
        found[part] = _check_and_note(kind, method.name, content, check, on_event)
    return found


def select_foreign_parts(plan: Plan) -> dict[str, Part]:
    """Return name -> part of a method, for the parts whose plugin is not bundled."""
    parts = plan.method.parts()
    return {name: part for name, part in parts if registry.find(_get_kind(name), part.name).package != registry.BUNDLED}


def describe_input(plan: Plan, part: str) -> tuple[Any, ...]:
    """Return the input on which to check a plugin passed from Python: (modality, channels, rate in Hz) for an encoder,
    (number of modalities,) for a fusion."""
    if _get_kind(part) == "fusion":
        return (len(plan.method.modalities),)
    m = part.partition("[")[2].removesuffix("]")
    channels, rate = (VIDEO_CHANNELS, 0.0) if m == "video" else get_prepared_form(plan.test.store, m)
    return remove_channels(m), channels, rate


def _get_kind(part: str) -> str:
    """Return the kind of a part, as `encoder` for `encoder[ecg]`."""
    return part.partition("[")[0]


def _list_sources(plan: Plan) -> dict[str, Source]:
    """Return part of the run -> its dataset: the tested one, and further ones for training and pretraining."""
    others = (plan.train_source, *(source for step in plan.method.pretraining for source in step.sources))
    return {"dataset": plan.source, **{f"dataset[{source.name}]": source for source in others if source}}


def repeat_alone(plan: Plan, root: Path) -> None:
    """Repeat a finished run's predictions in a fresh process, see `check_alone`. Raises PluginError if they differ."""
    stages = dict.fromkeys(id_ for each in plan.graph.predictions for id_ in (each.stage, *each.beside.values()))
    doing = f"while predicting alone what {plan.method.title} predicted in batches"
    in_fresh_process(doing, check_alone, [plan.graph.stages[id_] for id_ in stages], root.absolute())


def record_refusal(plan: Plan, root: Path) -> None:
    """Record in the ledgers that plugins of a run were refused. This counts as a test-set evaluation, since plugins may
    know the labels. `root`: the folder of the stages, in a runs folder."""
    data, refused = plan.source.raw_digest(), {"refused": plan.id}
    opening = {**make_ledger_line(plan), "run": f"refusal of {plan.id}", **refused}
    ledger.record_evaluations(root.parent, data, plan.test.store.key, opening, [t.name for t in plan.test.targets])


def make_ledger_line(plan: Plan) -> dict[str, Any]:
    """Return the content of the ledger's line for a scored run, without its target."""
    opening = {"dataset": plan.dataset, "protocol": plan.protocol.name, "run": plan.id, "method": digest(plan.config)}
    # Other folds test the same subjects, so choosing by scores of --dev is a test-set evaluation, too.
    return {**opening, "dev": True} if plan.request.dev else opening


def _check_and_note(
    kind: str, name: str, content: object, check: Callable[[], Reason], on_event: EventCallback
) -> Reason:
    """Return the result of a plugin's checks, and report a note if it is not `passed`.

    Args:
        content: decides whether a cached result is valid: code, settings or files. `check`: runs the checks.
    """
    outcome = _load_or_check(kind, name, content, check, on_event)
    if outcome != PASSED:
        text = f"{kind} {name} fails its checks, so leaderboards reject this run: {outcome}"
        if registry.is_object(name):
            text = f"note on your {kind} {display_name(name)}: {outcome.removeprefix('failed: ')}"
        on_event({"event": "note", "text": text})
    return outcome


def _load_or_check(
    kind: str, name: str, content: object, check: Callable[[], Reason], on_event: EventCallback
) -> Reason:
    """Return the cached result of a plugin's checks, or run them; for the arguments see `_check_and_note`."""
    key = digest([kind, name, content, embench.__version__, libraries("cpu")])[:20]
    path = cache_root() / "conformance" / f"{key}.json"
    try:
        return Reason.read(json.loads(path.read_text())[key])
    except (OSError, ValueError, KeyError, TypeError):
        text = f"checking the conformance of {kind} {display_name(name)}, once for its code and settings"
        on_event({"event": "note", "text": text})
    try:
        known = check()
    except MachineError as error:
        return Reason.make("failed_check", why=Reason.make(error.what))
    with contextlib.suppress(OSError):  # it is checked again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({key: known.to_dict()}) + "\n")
    return known


def check_plugin(kind: str, name: str) -> Reason:
    """Return the result of a plugin's conformance checks: `passed`, or `failed:` and the reason."""
    from embench.testing import check

    return _format_outcome(partial(check, kind, registry.load_plugin(kind, name)))


def check_object(kind: str, name: str, recipe: Recipe, about: tuple[Any, ...]) -> Reason:
    """Check an encoder or fusion from Python on an input (see `describe_input`); return `passed` or `failed: ...`."""
    from embench.testing.encoders import check_encoder_input
    from embench.testing.fusions import check_fusion_arity

    checked: Callable[..., None] = check_encoder_input if kind == "encoder" else check_fusion_arity
    return _format_outcome(partial(checked, registry.load_plugin(kind, name), recipe, *about), remedy=True)


def _check_reader(entry: registry.Entry, root: Path) -> Reason:
    from embench.testing import check_dataset

    return _format_outcome(partial(check_dataset, registry.load_plugin("dataset", entry.full_name), root))


def _format_outcome(check: Callable[[], None], *, remedy: bool = False) -> Reason:
    """Run checks; return `passed`, or `failed:` and the reason on one line, with what to do if `remedy`."""
    try:
        check()
    except CheckFailed as error:
        what = error.hint or f"expected {error.expected}"
        text = f"{error.what}. What to do: {what}" if remedy and "the plugin raised" not in error.what else error.what
        why = Reason.make(" ".join(escape_control(text).split())[:1000])
        return Reason.make("failed_check", why=why)
    return PASSED


# Detection of plugins that store labels in a module or a file, besides those that embench passes: their stages are run
# again on reordered labels.

FOLLOWED = 0.2
"""Correlation with true labels above which predictions count as following them. Of 195 honest fits on real recordings,
none exceeded .06 both with true labels and with swapped labels, which reverse the correlation."""


def permute_labels(planned: Plan, k: int) -> Plan:
    """Return the plan with training labels permuted within each subject of the dataset, differently for each `k`."""
    return _reorder_labels(planned, lambda y, rng: y[rng.permutation(len(y))], k)


def _swap_halves(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return labels (n,) with the lower and upper halves of their ranks exchanged; ties are ordered at random. If a
    class has at most half of the units, all of them get other labels."""
    order, out = np.lexsort([rng.random(len(y)), y]), np.empty_like(y)
    out[order] = np.roll(y[order], len(y) // 2)
    return out


def _reorder_labels(
    planned: Plan, reorder: Callable[..., np.ndarray], k: int = 0, subjects: Collection[str] | None = None
) -> Plan:
    """Return the plan with the training labels of each subject reordered, including labels of calibration data.

    Args:
        reorder: `reorder(labels, rng)` returns the labels (n,) of a subject in another order.
        k: a number that changes the random order. `subjects`: reorder only their labels; None for all.
    """
    stages: dict[str, Stage[Any]] = {}
    renamed: dict[str, str] = {}
    key = planned.fit.store.key

    def reorder_stage(stage: Stage[Any]) -> Stage[Any]:
        task = dict(stage.task)
        if "y" in task and stage.params.common.source.store == key:
            rng = np.random.default_rng([k, int(stage.id[:8], 16)])
            task["y"] = _by_subject(task["y"], task_subjects(stage), partial(reorder, rng=rng), subjects)
        if "slice_y" in task and subjects is None:
            rng = np.random.default_rng([k, int(stage.id[:8], 16), 1])
            task["slice_y"] = _by_subject(
                task["slice_y"], task_subjects(stage, "slice_"), partial(reorder, rng=rng), None
            )
        return replace(stage, task=task, inputs={role: renamed[i] for role, i in stage.inputs.items()})

    for id_, stage in planned.graph.stages.items():
        reordered = reorder_stage(stage)
        stages[reordered.id] = reordered
        renamed[id_] = reordered.id
    predictions = [
        replace(pred, stage=renamed[pred.stage], beside={name: renamed[id_] for name, id_ in pred.beside.items()})
        for pred in planned.graph.predictions
    ]
    return replace(planned, graph=Graph(stages, predictions))


def _by_subject(
    y: np.ndarray,
    subject: np.ndarray,
    reorder: Callable[[np.ndarray], np.ndarray],
    subjects: Collection[str] | None,
) -> np.ndarray:
    """Return `y` (n, targets) with each subject's labels reordered; missing labels stay in place."""
    out = y.copy()
    for column in out.T:
        for name in np.unique(subject):
            if subjects is None or name in subjects:
                own = np.flatnonzero((subject == name) & np.isfinite(column))
                column[own] = reorder(column[own])
    return out


def select_stages(graph: Graph, picked: Collection[PickedFold]) -> Graph:
    """Return the stages that the predictions of some seeds and folds need."""
    predictions = [expected for expected in graph.predictions if (expected.seed, expected.fold) in picked]
    needed = {id_ for expected in predictions for id_ in expected.stages}
    for id_, stage in reversed(graph.stages.items()):  # each comes after its inputs
        if id_ in needed:
            needed |= set(stage.inputs.values())
    return Graph({id_: stage for id_, stage in graph.stages.items() if id_ in needed}, predictions)


def find_known_labels(planned: Plan, picked: Sequence[PickedFold], root: Path, on_event: EventCallback) -> list[Reason]:
    """Test whether a method knows the test labels. If so, record a refusal in the ledger. Return a sentence for each
    sign of it; none if all parts are bundled.

    Args:
        picked: the seeds and folds that are tested.
        root: the folder of stages; missing stages of these seeds and folds are run now.
    """
    if not select_foreign_parts(planned):
        return []
    found = [
        *(_detect_carried_labels(planned, each, root, on_event) for each in picked),
        _detect_stored_labels(planned, picked, root, on_event),
    ]
    remembered = [what for what in found if what]
    if remembered:
        record_refusal(planned, root)
    return remembered


def draw_folds(planned: Plan) -> list[PickedFold]:
    """Draw two seeds and folds at random, as for a spot check."""
    stages = sorted({(expected.seed, expected.fold) for expected in planned.graph.predictions})
    return pick_stages(planned.id, secrets.token_hex(8), 2, stages)


def _detect_carried_labels(planned: Plan, picked: PickedFold, root: Path, on_event: EventCallback) -> Reason | None:
    """Return a sentence if predictions of the seed and fold `picked` change after another fold of the seed was trained
    on other labels of the tested subjects. None if they do not change. None also if no other fold trains on these
    subjects, or if their own fold does."""
    if planned.fit is not planned.test:
        return None
    (seed, fold), units = picked, planned.fit.units
    alone = select_stages(planned.graph, [picked])
    tested = {units[i].subject for expected in alone.predictions for i in expected.units}

    def count_tested(expected: ExpectedPredictions) -> int:
        return sum(units[i].subject in tested for i in expected.train)

    others = [expected for expected in planned.graph.predictions if expected.seed == seed and expected.fold != fold]
    other = max(others, key=count_tested, default=None)
    if other is None or not count_tested(other) or any(map(count_tested, alone.predictions)):
        return None
    run_pending(alone, root, on_event)
    pair = replace(planned, graph=select_stages(planned.graph, [picked, (seed, other.fold)]))
    changed = _reorder_labels(pair, _swap_halves, subjects=tested).graph
    moved = select_stages(changed, [picked])
    with tempfile.TemporaryDirectory(prefix="embench-memory-") as folder:
        run_pending(select_stages(changed, [(seed, other.fold)]), Path(folder), on_event)
        run_pending(moved, Path(folder), on_event)
        gap = max(
            float(np.nan_to_num(row_deviations(_read_scores(Path(folder), b), _read_scores(root, a))).max(initial=0))
            for a, b in zip(alone.predictions, moved.predictions, strict=True)
        )
    device = planned.setting.device
    if gap <= (TOLERANCE if device == "cpu" else machine.tolerance(device)):
        return None
    return Reason.make("remembers_fold", seed=seed, fold=fold, difference=gap, other=other.fold)


def _detect_stored_labels(
    planned: Plan, picked: Sequence[PickedFold], root: Path, on_event: EventCallback
) -> Reason | None:
    """Return a sentence if predictions follow the true labels although all training labels are swapped within subjects;
    None otherwise. A method that learns only from training labels cannot do this."""
    part = replace(planned, graph=select_stages(planned.graph, picked))
    run_pending(part.graph, root, on_event)
    turned = _reorder_labels(part, _swap_halves)
    with tempfile.TemporaryDirectory(prefix="embench-memory-") as folder:
        run_pending(turned.graph, Path(folder), on_event)
        least = min(
            _follows_labels(planned, select_stages(graph, [each]).predictions, place)
            for graph, place in ((part.graph, root), (turned.graph, Path(folder)))
            for each in picked
        )
    if least <= FOLLOWED:
        return None
    return Reason.make("follows_true_labels", correlation=least)


def run_pending(graph: Graph, root: Path, on_event: EventCallback, workers: int = 1) -> None:
    """Run the unfinished stages of a graph in the folder `root`. By default they run one after the other in this
    process, where plugins could remember inputs of earlier stages. Raises the error of the first failed stage."""
    run_graph(list(graph.stages.values()), root, resources=Resources(workers), on_event=on_event).check(graph.stages)


def _read_scores(root: Path, expected: ExpectedPredictions) -> np.ndarray:
    return np.asarray(Folder(root, expected.stage).predicted("score")[0])


def _follows_labels(planned: Plan, predictions: Sequence[ExpectedPredictions], root: Path) -> float:
    """Return the within-subject correlation of predictions with the difference of true and swapped labels, averaged
    over targets and folds. It is positive if predictions follow the true labels, negative if the swapped ones."""
    cohort, correlations = planned.fit if planned.request.dev else planned.test, list[float]()
    for expected in predictions:
        table, index = _read_scores(root, expected), np.array(expected.units)
        subject = np.array([cohort.units[i].subject for i in index])
        for target, columns in expected.columns():
            scores = table[:, columns]
            y = cohort.labels(target, expected.train if planned.fit is cohort else cohort.positions)[index]
            known = np.isfinite(y) & np.isfinite(scores[:, 0])
            y, rng = y[known, None], np.random.default_rng(0)
            turned = _by_subject(y, subject[known], partial(_swap_halves, rng=rng), None)
            if target.traits.has_score_per_class:
                y, turned = (np.eye(target.n)[values[:, 0].astype(int)] for values in (y, turned))
            pred, truth = (_centre(values, subject[known]) for values in (scores[known], y - turned))
            correlations.append(float((pred * truth).sum() / max(np.sqrt((pred**2).sum() * (truth**2).sum()), 1e-12)))
    return float(np.mean(correlations))


def _centre(values: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Return `values` (n, columns) minus each subject's mean."""
    _, code, count = np.unique(subject, return_inverse=True, return_counts=True)
    total = np.zeros((len(count), values.shape[1]))
    np.add.at(total, code, values)
    return np.asarray(values - (total / count[:, None])[code])
