"""Which networks of a graph are trained as one: `--stack N` joins up to N that differ in seed, fold or target alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from embench.engine.inputs import encoder_of
from embench.engine.specs import FitParams
from embench.engine.stage import STACK, StackParams, Stage
from embench.errors import UsageError
from embench.files import digest
from embench.interfaces.units import LabelRule, Target
from embench.planning.graph import Graph


def stacked(graph: Graph, count: int) -> Graph:
    """The graph with its networks in stacks of `count`, in its order; the last may be smaller, and one alone stays as
    it was. Pretraining and estimators stay too.

    Raises:
        UsageError: a network reads video, or no two are alike.
    """
    found, renamed = Graph(), dict[str, str]()
    waiting = list(graph.stages.values())
    while waiting:
        ready = [stage for stage in waiting if all(id_ in renamed for id_ in stage.inputs.values())]
        waiting = [stage for stage in waiting if not all(id_ in renamed for id_ in stage.inputs.values())]
        alike: dict[str, list[tuple[str, Stage[Any]]]] = {}
        for stage in ready:
            moved = replace(stage, inputs={role: renamed[id_] for role, id_ in stage.inputs.items()})
            alike.setdefault(_kind(moved), []).append((stage.id, moved))
        for group in alike.values():
            for i in range(0, len(group), count):
                olds, members = zip(*group[i : i + count], strict=True)
                for old, made in zip(olds, _joined(found, members), strict=True):
                    renamed[old] = found.add(made)
    if not any(stage.kind == STACK for stage in found.stages.values()):
        raise UsageError(
            "no two networks of this run can be trained in a stack",
            where=f"--stack {count}",
            expected="networks of several folds, seeds or targets",
            hint="leave out --stack",
        )
    found.predictions = [replace(expected, stage=renamed[expected.stage]) for expected in graph.predictions]
    return found


def _joined(graph: Graph, members: tuple[Stage[Any], ...]) -> tuple[Stage[Any], ...]:
    """The stages as members of a stack, which is added to the graph; one alone as it is."""
    if len(members) == 1:
        return members
    first = members[0]
    for m, part in first.params.modalities.items():
        if encoder_of(part).reads == "clips":
            raise UsageError(
                f"{part.short} reads videos of {m}, whose networks are too large for a stack",
                where="--stack",
                expected="networks of signals or features",
                hint="leave out --stack",
            )
    common = replace(first.params.common, fold=None)
    inputs = {f"{i}:{role}": id_ for i, stage in enumerate(members) for role, id_ in stage.inputs.items()}
    shared = {k: v for k, v in first.description.items() if all(s.description.get(k) == v for s in members)}
    stack = Stage(STACK, StackParams(common, members), inputs, {}, first.places, {"networks": len(members), **shared})
    graph.add(stack)
    return tuple(replace(stage, inputs={**stage.inputs, STACK: stack.id}) for stage in members)


def _kind(stage: Stage[Any]) -> str:
    """Equal for stages whose networks may share a stack; a stage that trains none by epochs on labels has its own."""
    if stage.kind not in ("unimodal", "fusion"):
        return stage.id
    params: FitParams = stage.params
    alike = replace(
        params,
        common=replace(params.common, seed=0, fold=None),
        targets=tuple(Target("", t.kind, LabelRule(), "", t.n) for t in params.targets),
        weights={},
    )
    return digest({"kind": stage.kind, "params": alike.plain(), "inputs": sorted(stage.inputs)})
