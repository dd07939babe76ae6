"""Whether each network of a method can start from what the one before it learned, found before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from embench.data.cohort import Cohort
from embench.engine.handover import Site, check_channels, check_file, check_shapes
from embench.planning.graph import source_spec
from embench.planning.method import FUSION, Method, Origin
from embench.planning.weights import Weights
from embench.protocols import Protocol


class _Step(NamedTuple):
    """A place where encoders learn, and the fusion over them where the `whole` model does; `where` is for messages."""

    site: Site
    modalities: Sequence[str]
    whole: bool
    where: str


def check_handovers(
    method: Method,
    protocol: Protocol,
    fit: Cohort,
    test: Cohort,
    sources: Mapping[Origin, Cohort],
    started: Weights | None,
) -> None:
    """Follows each network from the weights that it starts from, through every step of pretraining, to the data that it
    is fitted on, and to those that it is tested on.

    Raises:
        UsageError: from one to the next it would read other channels, or have tensors of other shapes.
    """
    learned: dict[str, Site] = {}  # modality or fusion -> where it learned last
    for site, modalities, whole, where in _steps(method, protocol, fit, sources):
        parts = {m: method.encoders[m] for m in modalities}
        for m, part in parts.items():
            if m in learned:
                check_channels(learned[m], site, m, part, where)
                check_shapes(learned[m], site, {m: part}, None, where)
            elif started:
                check_file(started.files[m], f"encoders.{m}", site, {m: part}, None, started.channels.get(m))
        if whole and FUSION in learned:
            check_shapes(learned[FUSION], site, parts, method.fusion, where)
        elif whole and started and FUSION in started.files:
            check_file(started.files[FUSION], FUSION, site, parts, method.fusion, None)
        learned |= dict.fromkeys([*modalities, *([FUSION] if whole else [])], site)
    if test is not fit:
        tested = _site(protocol, test)
        for m, part in method.encoders.items():
            check_channels(_site(protocol, fit), tested, m, part, "--train-dataset")


def _steps(method: Method, protocol: Protocol, fit: Cohort, sources: Mapping[Origin, Cohort]) -> Iterator[_Step]:
    named = ""
    for step in method.pretraining:
        cohort = fit if step.source is None else sources[step.source, step.labels]
        named = f"--pretrainer {step.part.short}" + (f":{step.source}" if step.source else "")
        yield _Step(_site(protocol, cohort), method.of(step), step.modality is None, named)
    yield _Step(_site(protocol, fit), method.modalities, method.joins == "tokens", named)


def _site(protocol: Protocol, cohort: Cohort) -> Site:
    return Site(cohort.card.name, cohort.store, source_spec(protocol, cohort))
