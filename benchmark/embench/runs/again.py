"""Finished runs: found on disk without a plan, and their plans made again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import embench
from embench import registry
from embench.data import data_folder
from embench.errors import EmbenchError
from embench.files import cache_root, digest, make_folder, write_text
from embench.interfaces.metric import Undefined
from embench.planning.request import OF_THE_MACHINE, Request, recorded_request
from embench.records.record import TUNING_FILE, Record
from embench.registry.catalogue import installed
from embench.registry.contents import recall_objects
from embench.registry.fragments import folders
from embench.statistics.result import Result
from embench.system import EventCallback, lacking, version_of

if TYPE_CHECKING:
    from embench.planning.plan import Plan


# A run whose work is done, found without a plan of it: a plan imports what trains, which takes longer than all else.
#
# After a run, the cache keeps where its record lies, and sizes and times of all files that decide a plan: code, data,
# prepared data and stages. The same command reads the record where none of them has changed; else it is planned.

_PASSING = {"__pycache__", "kept", "lock"}
"""Files and folders that say nothing of what is beside them."""


def find_finished(request: Request, placebo: bool, on_event: EventCallback) -> Result | None:
    """The result of a run that was made before, as `runs.run.run` gives it; None where that has to find out.

    Raises:
        DataError, CheckFailed: its record is damaged, or was edited.
    """
    known = _read(_place(request, placebo)) if _is_plain(request) else None
    if known is None or known.get("before") != files_of(request) or known["made"] != _state(known["places"]):
        return None
    folder = request.runs_folder / known["record"]
    if not (folder / "run.yaml").is_file():
        return None
    result = Result.read(folder)
    for text in known["notes"]:
        on_event({"event": "note", "text": text})
    on_event({"event": "plan", "total": 0, "done": known["stages"], "stages": []})
    return result


def files_of(request: Request) -> str | None:
    """The state of the files that are there before a run and decide its plan: code, libraries, data, and which GPUs
    there are. None where they cannot be told."""
    if not _is_plain(request):
        return None
    packages = [Path(embench.__file__).parent, *(folder for name in installed() for folder in folders(name))]
    libraries = sorted(path.name for entry in sys.path for path in Path(entry or ".").glob("*.dist-info"))
    graphics = [os.environ.get("CUDA_VISIBLE_DEVICES"), sorted(map(str, Path("/dev").glob("nvidia*")))]
    files = _state([*packages, _folder(request)])
    return files and digest([sys.version, libraries, graphics, files])


def remember_finished(plan: Plan, request: Request, placebo: bool, before: str | None, notes: Iterable[str]) -> None:
    """Keeps where the record of a plan lies, unless the plan rests on more than what is compared.

    Args:
        before: `files_of` the request before it was planned.
    """
    parts = [part for _, part in plan.method.parts()]
    bundled = all(part.name.startswith(f"{registry.BUNDLED}/") for part in parts)
    clips = any("video" in modality for modality in plan.method.modalities)
    if before is None or not bundled or clips or any(part.grounds.get("assets") for part in parts):
        return
    root = plan.request.runs_folder / "stages"
    places = [*(cohort.store.path for cohort in plan.cohorts), *(root / id_ for id_ in plan.graph.stages)]
    absolute = [str(place.absolute()) for place in places]
    made = _state(absolute)
    if made is None or before != files_of(request):
        return
    content = {
        "before": before,
        "made": made,
        "places": absolute,
        "record": plan.folder.relative_to(plan.request.runs_folder).as_posix(),
        "notes": list(notes),
        "stages": len(plan.graph.stages),
    }
    with suppress(OSError):
        make_folder(_place(request, placebo).parent)
        write_text(_place(request, placebo), json.dumps(content))


def _is_plain(request: Request) -> bool:
    """True if all that a request names is bundled, so that one knows which files decide its plan."""
    more = request.observers, request.pretrainers, request.pretrained, request.tuned, request.train_dataset
    if any(more) or request.protocol.endswith((".yaml", ".yml")) or request.dataset not in registry.names("dataset"):
        return False
    bundled = registry.find("dataset", request.dataset).package == registry.BUNDLED
    return bundled and _folder(request).is_dir()


def _folder(request: Request) -> Path:
    return data_folder(registry.find("dataset", request.dataset), request.data_root).absolute()


def _place(request: Request, placebo: bool) -> Path:
    asked = {name: value for name, value in vars(request).items() if name not in OF_THE_MACHINE}
    runs, data = str(request.runs_folder.absolute()), str(_folder(request))
    return cache_root() / "finished" / f"{digest([repr(asked), request.confounds, placebo, runs, data])}.json"


def _read(path: Path) -> Mapping[str, Any] | None:
    with suppress(OSError, ValueError):
        known: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return known
    return None


def _state(places: Iterable[str | Path]) -> str | None:
    """Digest of names, sizes and times of the files below some folders. None where one is missing, or holds a link to a
    folder, behind which nothing is compared."""
    try:
        return digest([_files(Path(place)) for place in places])
    except OSError:
        return None


def _files(folder: Path) -> list[tuple[str, int, int, int]]:
    """The files below a folder. Raises OSError."""
    found = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if entry.name in _PASSING:
                continue
            if entry.is_dir(follow_symlinks=False):
                found += _files(Path(entry.path))
                continue
            about = entry.stat()
            if entry.is_dir():
                raise OSError(f"{entry.path} is a link to a folder")
            found.append((entry.path, about.st_size, about.st_mtime_ns, about.st_ino))
    return found


# The plan of a finished run, made again from its record.


def other_versions(recorded: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The versions that determine a method's numbers on a CPU and are others here: name, recorded one, that here."""
    from embench.engine.stage import ENGINE_REVISION

    here = {name: version_of(name) for name in ("torch", "numpy", "scikit-learn")} | {"engine": ENGINE_REVISION}
    return [(name, recorded.get(name), now) for name, now in here.items() if recorded.get(name) != now]


def rebuild_plan(
    known: Record, folder: Path, data_root: Path | None, runs: Path, dataset: str | None = None
) -> Plan | Undefined:
    """The plan that the request of the run in `folder` has here, with this folder of runs, ready for its stages; or why
    it has none, with what to do."""
    request = recorded_request(known.run["config"], runs, data_root, dataset)
    if request is None:
        return Undefined("its predictions are a submission")
    if request.tuned:
        request = replace(request, tuned=folder / TUNING_FILE)
    try:
        from embench.planning.plan import make
        from embench.runs.videos import decode_videos
    except ModuleNotFoundError as error:
        if lacking(error) is None:
            raise
        return Undefined(f"{error.name} is not installed on this machine")
    try:
        recall_objects(known.run.get("objects", ()))
        planned = make(request)
        decode_videos(planned.cohorts, planned.method, planned.request.workers)  # stages read their frames
        return planned
    except EmbenchError as error:
        return Undefined(f"{error.what}; {error.hint}" if error.hint else error.what)
