"""Checks of plugins that are not bundled: their conformance before anything is trained, and whether methods answer
alone as they did in the run. The bundled ones are tested, and a changed one changes the record."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import embench
from embench import registry
from embench.callbacks import EventCallback
from embench.data import find
from embench.engine.stage import Part
from embench.engine.work import check_alone
from embench.errors import CheckFailed, MachineError
from embench.files import digest, write_text
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import VIDEO_CHANNELS, without_channels
from embench.planning.compatibility import prepared_as
from embench.planning.graph import libraries
from embench.planning.plan import Plan
from embench.records import ledger
from embench.registry.catalogue import shown_name
from embench.store import cache_root
from embench.system import in_fresh_process
from embench.texts import visible

PASSED = "passed"


def conformance(plan: Plan, on_event: EventCallback) -> dict[str, str]:
    """Part of the run whose plugin is not bundled -> `passed`, or `failed: ...` with the check that it failed; a note
    is made of those. A plugin is checked once, until its code, a library or a dataset's files change: a method in a
    process of its own, a reader in this one, which has read with it."""
    found = {}
    for part, name in _datasets(plan).items():
        entry, root = find.place(name, plan.request.data_root)
        if entry.package != registry.BUNDLED:
            content = [entry.version, find.raw_digest_of(name, plan.request.data_root).hex()]
            found[part] = _check_and_note("dataset", entry.name, content, partial(_check_reader, entry, root), on_event)
    for part, method in outside_parts(plan).items():
        kind = _kind(part)
        doing, decisive = f"while checking {kind} {method.name}", list[object]([method.code])
        work: Callable[..., str] = check_plugin
        arguments: tuple[Any, ...] = (kind, method.name)
        if registry.is_object(method.name) and kind in ("encoder", "fusion"):
            work, arguments = check_object, (*arguments, method.recipe, input_of_run(plan, part))
            decisive += [method.recipe.mapping(), *map(str, arguments[-1])]
        check = partial(in_fresh_process, doing, work, *arguments)
        found[part] = _check_and_note(kind, method.name, decisive, check, on_event)
    return found


def outside_parts(plan: Plan) -> dict[str, Part]:
    """The parts of a method that are not bundled."""
    parts = plan.method.parts()
    return {name: part for name, part in parts if registry.find(_kind(name), part.name).package != registry.BUNDLED}


def input_of_run(plan: Plan, part: str) -> tuple[Any, ...]:
    """The input on which an object is checked: of an encoder its modality, the channels and the rate; else the number
    of modalities."""
    if _kind(part) == "fusion":
        return (len(plan.method.modalities),)
    m = part.partition("[")[2].removesuffix("]")
    channels, rate = (VIDEO_CHANNELS, 0.0) if m == "video" else prepared_as(plan.test.store, m)
    return without_channels(m), channels, rate


def _kind(part: str) -> str:
    return part.partition("[")[0]


def _datasets(plan: Plan) -> dict[str, str]:
    """Part of the run -> the dataset that is tested, and those that are trained on beside it."""
    request = plan.request
    others = dict.fromkeys(
        [request.train_dataset, *(name for step in plan.method.pretraining for name in step.sources)]
    )
    return {"dataset": request.dataset, **{f"dataset[{name}]": name for name in others if name}}


def repeat_alone(plan: Plan, root: Path) -> None:
    """Repeats predictions of a finished run in a process that has seen nothing else: see
    `embench.engine.work.check_alone`. Raises PluginError where they give other numbers than in the run."""
    stages = dict.fromkeys(id_ for each in plan.graph.predictions for id_ in (each.stage, *each.beside.values()))
    doing = f"while predicting alone what {plan.method.title} predicted in batches"
    in_fresh_process(doing, check_alone, [plan.graph.stages[id_] for id_ in stages], root.absolute())


def write_down_refusal(plan: Plan, root: Path) -> None:
    """Records in the ledgers that plugins of a run were refused, which counts as a look at the test labels: they may
    know these. `root`: the folder of the stages, in a runs folder."""
    data, refused = find.raw_digest_of(plan.request.dataset, plan.request.data_root), {"refused": plan.id}
    opening = {**opening_of(plan), "run": f"refusal of {plan.id}", **refused}
    ledger.record_openings(root.parent, data, plan.test.store.key, opening, [t.name for t in plan.test.targets])


def opening_of(plan: Plan) -> dict[str, Any]:
    """The line that the ledger holds of a run that is scored."""
    opening = {"dataset": plan.dataset, "protocol": plan.protocol.name, "run": plan.id, "method": digest(plan.config)}
    # Other folds test the same subjects, so choosing by the scores of --dev is a look, too.
    return {**opening, "dev": True} if plan.request.dev else opening


def _check_and_note(kind: str, name: str, content: object, check: Callable[[], str], on_event: EventCallback) -> str:
    """The result of the checks, cached while the plugin has this content; reports a note where it is not `passed`."""
    found = _checked_once(kind, name, content, check, on_event)
    if found != PASSED:
        text = f"{kind} {name} fails its checks, so leaderboards reject this run: {found}"
        if registry.is_object(name):
            text = f"note on your {kind} {shown_name(name)}: {found.removeprefix('failed: ')}"
        on_event({"event": "note", "text": text})
    return found


def _checked_once(kind: str, name: str, content: object, check: Callable[[], str], on_event: EventCallback) -> str:
    key = digest([kind, name, content, embench.__version__, libraries("cpu")])[:20]
    path = cache_root() / "conformance" / f"{key}.json"
    try:
        return str(json.loads(path.read_text())[key])
    except (OSError, ValueError, KeyError, TypeError):
        on_event(
            {
                "event": "note",
                "text": f"checking the conformance of {kind} {shown_name(name)}, once for its code and settings",
            }
        )
    try:
        known = check()
    except MachineError as error:
        return f"failed: {error.what}"
    with contextlib.suppress(OSError):  # it is checked again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({key: known}) + "\n")
    return known


def check_plugin(kind: str, name: str) -> str:
    """The result of the conformance checks of a plugin: `passed`, or `failed:` and why."""
    from embench.testing import check

    return _outcome(partial(check, kind, registry.load(kind, name)))


def check_object(kind: str, name: str, recipe: Recipe, about: tuple[Any, ...]) -> str:
    """The result of the checks of an encoder or fusion that was given from Python, on what this run hands it, see
    `input_of_run`; with what to do."""
    from embench.testing.encoders import check_input_of
    from embench.testing.fusions import check_arity_of

    checked: Callable[..., None] = check_input_of if kind == "encoder" else check_arity_of
    return _outcome(partial(checked, registry.load(kind, name), recipe, *about), remedy=True)


def _check_reader(entry: registry.Entry, root: Path) -> str:
    from embench.testing import check_dataset

    return _outcome(partial(check_dataset, registry.load("dataset", entry.full_name), root))


def _outcome(check: Callable[[], None], *, remedy: bool = False) -> str:
    try:
        check()
    except CheckFailed as error:
        what = error.hint or f"expected {error.expected}"
        text = f"{error.what}. What to do: {what}" if remedy and "the plugin raised" not in error.what else error.what
        return "failed: " + " ".join(visible(text).split())[:1000]
    return PASSED
