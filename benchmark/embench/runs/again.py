"""Find finished runs on disk without planning them, and rebuild their plans."""

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
from embench.planning.request import OF_THE_MACHINE, Request, rebuild_request
from embench.records.record import TUNING_FILE, Record
from embench.registry.catalogue import installed
from embench.registry.contents import recall_objects
from embench.registry.fragments import folders
from embench.statistics.result import Result
from embench.system import EventCallback, explain_missing_library, installed_version

if TYPE_CHECKING:
    from embench.planning.plan import Plan


# A finished run, found without planning: a plan imports the training libraries, which is slow.
#
# After a run, the cache stores the record's path, and sizes and times of all files that determine its plan: code, data,
# prepared data and stages. The same command reads the record if none has changed; else it plans again.

_IGNORED = {"__pycache__", "kept", "lock"}
"""Files and folders in a data folder that do not affect its data."""


def find_finished(request: Request, placebo: bool, on_event: EventCallback) -> Result | None:
    """Return the result of an earlier run of the same request, if neither its data nor its code has changed since; None
    if the run has to be planned. Report the notes and the plan of the earlier run to `on_event`.

    Args:
        placebo: True if the run computes the placebo of the confound analysis.

    Raises:
        DataError: the record is damaged. CheckFailed: the record was edited.
    """
    known = _read_cached(_locate_cache_file(request, placebo)) if _is_plain(request) else None
    if known is None or known.get("before") != hash_inputs(request) or known["made"] != _hash_state(known["places"]):
        return None
    folder = request.runs_folder / known["record"]
    if not (folder / "run.yaml").is_file():
        return None
    result = Result.read(folder)
    for text in known["notes"]:
        on_event({"event": "note", "text": text})
    on_event({"event": "plan", "total": 0, "done": known["stages"], "stages": []})
    return result


def hash_inputs(request: Request) -> str | None:
    """Return a digest of all that decides a run's plan: code, libraries, data and GPUs. None if it is unknown."""
    if not _is_plain(request):
        return None
    packages = [Path(embench.__file__).parent, *(folder for name in installed() for folder in folders(name))]
    libraries = sorted(path.name for entry in sys.path for path in Path(entry or ".").glob("*.dist-info"))
    graphics = [os.environ.get("CUDA_VISIBLE_DEVICES"), sorted(map(str, Path("/dev").glob("nvidia*")))]
    files = _hash_state([*packages, _find_data_folder(request)])
    return files and digest([sys.version, libraries, graphics, files])


def remember_finished(plan: Plan, request: Request, placebo: bool, before: str | None, notes: Iterable[str]) -> None:
    """Remember where the record of a finished plan is, so that the same request finds it. Plans that depend on files
    outside `hash_inputs` are skipped.

    Args:
        before: `hash_inputs` of the request before it was planned. If it differs now, nothing is stored.
    """
    parts = [part for _, part in plan.method.parts()]
    bundled = all(part.name.startswith(f"{registry.BUNDLED}/") for part in parts)
    reads_video = any("video" in modality for modality in plan.method.modalities)
    if before is None or not bundled or reads_video or any(part.grounds.get("assets") for part in parts):
        return
    root = plan.request.runs_folder / "stages"
    places = [*(cohort.store.path for cohort in plan.cohorts), *(root / id_ for id_ in plan.graph.stages)]
    absolute = [str(place.absolute()) for place in places]
    state = _hash_state(absolute)
    if state is None or before != hash_inputs(request):
        return
    content = {
        "before": before,
        "made": state,
        "places": absolute,
        "record": plan.folder.relative_to(plan.request.runs_folder).as_posix(),
        "notes": list(notes),
        "stages": len(plan.graph.stages),
    }
    with suppress(OSError):
        make_folder(_locate_cache_file(request, placebo).parent)
        write_text(_locate_cache_file(request, placebo), json.dumps(content))


def _is_plain(request: Request) -> bool:
    """Return True if a request names bundled plugins only, so that the files behind its plan are known."""
    more = request.observers, request.pretrainers, request.pretrained, request.tuned, request.train_dataset
    if (
        any(more)
        or request.protocol.endswith((".yaml", ".yml"))
        or request.dataset not in registry.list_plugins("dataset")
    ):
        return False
    bundled = registry.find("dataset", request.dataset).package == registry.BUNDLED
    return bundled and _find_data_folder(request).is_dir()


def _find_data_folder(request: Request) -> Path:
    return data_folder(registry.find("dataset", request.dataset), request.data_root).absolute()


def _locate_cache_file(request: Request, placebo: bool) -> Path:
    """Return the path of a request's cache file. Options that concern only the machine do not change it."""
    relevant = {name: value for name, value in vars(request).items() if name not in OF_THE_MACHINE}
    runs, data = str(request.runs_folder.absolute()), str(_find_data_folder(request))
    return cache_root() / "finished" / f"{digest([repr(relevant), request.confounds, placebo, runs, data])}.json"


def _read_cached(path: Path) -> Mapping[str, Any] | None:
    with suppress(OSError, ValueError):
        known: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return known
    return None


def _hash_state(places: Iterable[str | Path]) -> str | None:
    """Return a digest of the names, sizes and times of all files below some folders. None if a folder is missing or
    contains a link to a folder, whose content would not be compared."""
    try:
        return digest([_list_files(Path(place)) for place in places])
    except OSError:
        return None


def _list_files(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return (path, size, time of change in ns, inode) of all files below a folder. Raises OSError."""
    found = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if entry.name in _IGNORED:
                continue
            if entry.is_dir(follow_symlinks=False):
                found += _list_files(Path(entry.path))
                continue
            about = entry.stat()
            if entry.is_dir():
                raise OSError(f"{entry.path} is a link to a folder")
            found.append((entry.path, about.st_size, about.st_mtime_ns, about.st_ino))
    return found


# The plan of a finished run, rebuilt from its record.


def list_other_versions(recorded: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (name, recorded version, version here) of each library whose version differs and affects CPU results."""
    from embench.engine.stage import ENGINE_REVISION

    here = {name: installed_version(name) for name in ("torch", "numpy", "scikit-learn")} | {"engine": ENGINE_REVISION}
    return [(name, recorded.get(name), now) for name, now in here.items() if recorded.get(name) != now]


def rebuild_plan(
    known: Record, folder: Path, data_root: Path | None, runs: Path, dataset: str | None = None
) -> Plan | Undefined:
    """Return the plan of the recorded run in `folder` on this machine, ready for its stages; or the reason why it
    cannot be planned, with a remedy.

    Args:
        runs: the folder of runs in which its stages will be stored.
        dataset: name or folder of the dataset, in place of the recorded one.
    """
    request = rebuild_request(known.run["config"], runs, data_root, dataset)
    if request is None:
        return Undefined("submitted_predictions")
    if request.tuned:
        request = replace(request, tuned=folder / TUNING_FILE)
    try:
        from embench.planning.plan import make
        from embench.runs.videos import decode_videos
    except ModuleNotFoundError as error:
        if explain_missing_library(error) is None:
            raise
        return Undefined("missing_library", name=error.name)
    try:
        recall_objects(known.run.get("objects", ()))
        planned = make(request)
        decode_videos(planned.cohorts, planned.method, planned.request.workers)  # stages read the frames
        return planned
    except EmbenchError as error:
        return Undefined(f"{error.what}; {error.hint}" if error.hint else error.what)
