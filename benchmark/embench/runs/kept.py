"""Files of a run's stages that it keeps beside the record: the course of training, and the fitted networks."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

from embench.engine.stage import Folder
from embench.errors import MachineError
from embench.files import write_text
from embench.planning.plan import Plan
from embench.records.record import TUNING_FILE


def history(planned: Plan, root: Path) -> list[dict[str, Any]]:
    """Rows of all stages' learning curves, an epoch each, with the stage they belong to."""
    rows = []
    for stage in planned.graph.stages.values():
        path = Folder(root, stage.id).file("history.csv")
        if path.is_file():
            columns = {
                "stage": stage.id,
                "kind": stage.kind,
                **{k: stage.description.get(k, "") for k in ("seed", "fold", "modality", "target")},
            }
            with path.open(newline="") as file:
                rows += [{**columns, **row} for row in csv.DictReader(file)]
    return rows


def keep_tuning(planned: Plan) -> None:
    """The choices of a tuned run beside the record."""
    if planned.tuning:
        write_text(planned.folder / TUNING_FILE, planned.tuning.text())


def keep_weights(planned: Plan, root: Path) -> None:
    """The fitted networks beside the record, as links to the stages' files where the disk can do that."""
    for expected in planned.graph.predictions:
        fitted = planned.graph.stages[planned.graph.stages[expected.stage].inputs["fitted"]]
        frozen = {role.split(":")[1]: id_ for role, id_ in fitted.inputs.items() if role.startswith("unimodal:")}
        targets = "_".join(target.name for target in expected.targets)
        for name, id_ in {"": fitted.id, **frozen}.items():
            source = Folder(root, id_).file("weights.safetensors")
            if source.is_file():
                parts = [f"seed{expected.seed}", f"fold{expected.fold}", targets, *([name] if name else [])]
                _keep(source, planned.folder / "weights" / f"{'-'.join(parts)}.safetensors")


def _keep(source: Path, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        try:
            place.hardlink_to(source)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, place)
    except OSError as error:
        raise MachineError(f"cannot save the weights: {error.strerror}", where=str(place)) from error
