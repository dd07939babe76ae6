"""What is checked of plugins that are not bundled: their conformance before they are trained, and whether they answer
alone as they did in the run. The bundled ones are tested, and a changed one changes the record."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import embench
from embench import registry
from embench.callbacks import EventCallback
from embench.engine.alone import check_alone
from embench.engine.specs import Part
from embench.errors import CheckFailed, MachineError
from embench.files import digest, write_text
from embench.planning.graph import libraries
from embench.planning.method import Method
from embench.planning.plan import Plan
from embench.store import cache_root
from embench.system import in_fresh_process
from embench.texts import visible

PASSED = "passed"


def conformance(method: Method, on_event: EventCallback) -> dict[str, str]:
    """Part of the method whose plugin is not bundled -> `passed`, or `failed: ...` with the check that it failed; a
    note is made of those. A plugin is checked once, in a process of its own, until its code or a library changes."""
    found = {}
    for name, part in method.parts():
        kind = name.partition("[")[0]
        if registry.find(kind, part.name).package == registry.BUNDLED:
            continue
        found[name] = _checked_once(kind, part, on_event)
        if found[name] != PASSED:
            text = f"{kind} {part.name} does not conform, so no leaderboard takes this run: {found[name]}"
            on_event({"event": "note", "text": text})
    return found


def ask_alone(plan: Plan, root: Path) -> None:
    """Asks the plugins of a run whose stages are done once more, in a process that has seen nothing: see
    `embench.engine.alone.check_alone`. Raises PluginError where they give other numbers than in the run."""
    stages = dict.fromkeys(expected.stage for expected in plan.graph.predictions)
    in_fresh_process(check_alone, [plan.graph.stages[id_] for id_ in stages], root.absolute())


def _checked_once(kind: str, part: Part, on_event: EventCallback) -> str:
    key = digest([kind, part.code, embench.__version__, libraries("cpu")])[:20]
    path = cache_root() / "conformance" / f"{key}.json"
    try:
        known = json.loads(path.read_text())[key]
    except (OSError, ValueError, KeyError, TypeError):
        on_event({"event": "note", "text": f"checking the conformance of {kind} {part.name}, once"})
        try:
            known = in_fresh_process(check_plugin, kind, part.name)
        except MachineError as error:
            return f"failed: {error.what}"
        with contextlib.suppress(OSError):  # it is checked again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps({key: known}) + "\n")
    return str(known)


def check_plugin(kind: str, name: str) -> str:
    """What the conformance checks of a kind say of a plugin: `passed`, or `failed:` and why."""
    from embench.testing import check

    try:
        check(kind, registry.load(kind, name))
    except CheckFailed as error:
        return "failed: " + " ".join(visible(error.what).split())[:1000]
    return PASSED
