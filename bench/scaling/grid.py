"""The full grid, planned as `embench grid` does."""

from __future__ import annotations

import pickle
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, product
from pathlib import Path
from typing import Any

from bench.boards.rows import FIXED, LEGACY
from bench.scaling import WORK
from bench.scaling.times import names_of, per_row, published, recorded, rows_of
from embench import registry
from embench.engine.executors import Outcome
from embench.errors import EmbenchError
from embench.files import snapshot
from embench.planning.plan import Plan, make
from embench.planning.request import Request

WRISTBAND = ("ppg", "eda", "temp")
REAL = {"stress_predict": WRISTBAND, "wearable_stress": WRISTBAND, "hku956": WRISTBAND, "eegmat": ("eeg", "ecg")}
GENERATED = {  # modalities, subjects, length_s of the generator: planning needs the trials, not their length
    "amigos": (("eeg", "ecg", "eda"), 40, 25.0),
    "deap": (("eeg", "eda", "ppg"), 32, 13.0),
    "k_emocon": (WRISTBAND, 32, 120.0),
    "case": (("ecg", "ppg", "eda"), 30, 400.0),
    "wesad": (WRISTBAND, 15, 600.0),
}
ENCODERS = ("cnn_tf", "cnn_mlp", "tcn", "unet_se")
FUSIONS = ("late", "cross_attn", "modality_aware", "shared_tf", "concat")
ESTIMATORS = ("logreg", "svm", "forest", "boosting")
PRETRAINERS = ((), ("masked_value",), ("masked_value:{other}",), ("signal_transform",))
PROTOCOLS, SEEDS = (FIXED, LEGACY), "0,1,2"


def requests(data: Path) -> Iterator[Request]:
    """Every point of the grid; embench refuses those that do not fit, such as a fusion of one modality."""
    modalities = REAL | {name: of for name, (of, _, _) in GENERATED.items()}
    for protocol, dataset in product(PROTOCOLS, modalities):
        other = "wearable_stress" if dataset == "stress_predict" else "stress_predict"
        fixed = {"protocol": protocol, "recipe": "small", "seeds": SEEDS, "device": "cpu", "workers": 1}
        places = {"data_root": data, "runs": WORK / "runs"}
        for encoder, before in product(ENCODERS, PRETRAINERS):
            read = [m for m in modalities[dataset] if m in registry.find("encoder", encoder).modalities]
            steps = tuple(step.format(other=other) for step in before)
            joined = [(fusion, ",".join(read)) for fusion in FUSIONS]
            for fusion, which in [*(("single", m) for m in read), *joined]:
                yield Request(dataset, (encoder,), fusion, steps, which, **fixed, **places)  # type: ignore[arg-type]
        for fusion in ESTIMATORS:
            every = ",".join(modalities[dataset])
            yield Request(dataset, ("handcrafted",), fusion, (), every, **fixed, **places)  # type: ignore[arg-type]


def generate(data: Path, recordings: Path) -> None:
    """Puts generated recordings of all subjects beside the real ones."""
    data.mkdir(parents=True, exist_ok=True)
    for name in REAL:
        if not (data / name).exists():
            (data / name).symlink_to(recordings.absolute() / name)
    for name, (_, subjects, length_s) in GENERATED.items():
        if not (data / name).exists():
            registry.synthesizer(name)(data / name, subjects=subjects, seed=0, effect=1.0, length_s=length_s)


def plan_grid(data: Path, measured: Path) -> Iterator[dict[str, Any]]:
    """All stages of the grid with their seconds, as `embench grid` would run them in one call: after each dataset and
    protocol, what there is so far. Times of the parent are processor time, since other programs may be running."""
    seconds, stages_read = recorded(measured)
    trained, operations, rows_read = published(data)
    seconds |= trained
    known, ways, refused = set(seconds), Counter[str](), 0
    stages: dict[str, dict[str, Any]] = {}
    runs: list[dict[str, Any]] = []
    took: dict[str, list[float]] = {"plan": [], "id": [], "look": [], "hand": []}
    first: dict[str, float] = {}
    for _, asked in groupby(requests(data), key=lambda request: (request.protocol, request.dataset)):
        for request, plan, planning_s in _plans(asked):
            if plan is None:
                refused += 1
                continue
            took["plan"].append(planning_s)
            dataset, entries = request.dataset, plan.test.store.recordings
            hours = sum(entry.duration_s for entry in entries) / 3600
            longer = (registry.find("dataset", dataset).hours or 0) / hours if dataset in GENERATED else 1.0
            if dataset not in first:
                first[dataset] = took["plan"].pop() * longer
            names: dict[str, str] = {}
            for id_, stage in plan.graph.stages.items():
                own = names_of(stage.kind, stage.params.plain())
                names[id_] = f"predict {names[stage.inputs['fitted']]}" if stage.kind == "predict" else own
                if id_ not in stages:
                    each = per_row(names[id_], plan, seconds, operations, ways) * rows_of(stage) * longer
                    stages[id_] = {"s": each, "inputs": list(stage.inputs.values()), "kind": stage.kind}
                    stages[id_] |= {"dataset": dataset, "name": names[id_], "known": names[id_] in known}
            runs.append({"dataset": dataset, "protocol": request.protocol, "stages": list(plan.graph.stages)})
            outcome, waiting = Outcome(), list(plan.graph.stages.values())
            took["id"].append(_processor_s(lambda plan=plan: plan.id))
            took["look"].append(_processor_s(lambda: [outcome.blocker(s) for s in waiting]) / len(waiting))  # noqa: B023
            took["hand"].append(_processor_s(lambda: pickle.dumps(waiting[-1])))  # noqa: B023
        print(f"{dataset}, {request.protocol}: {len(runs)} runs, {len(stages)} stages", flush=True)
        yield {
            "stages": stages, "runs": runs, "refused": refused, "ways": dict(ways),
            "recorded": stages_read, "published": rows_read,
            "prepare_s": sum(first.values()), **{f"{name}_s": statistics.mean(each) for name, each in took.items()},
        }  # fmt: skip


def _plans(asked: Iterable[Request]) -> Iterator[tuple[Request, Plan | None, float]]:
    """Each request with its plan, None where embench refuses it, and the processor time that it took; made together."""
    with snapshot():
        for request in asked:
            began = time.process_time()
            try:
                plan = make(request)
            except EmbenchError:
                plan = None
            yield request, plan, time.process_time() - began


def _processor_s(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
