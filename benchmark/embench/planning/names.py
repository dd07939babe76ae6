"""Names that nothing has, refused before any library is imported that trains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from embench import registry
from embench.data import find
from embench.errors import UsageError
from embench.planning.request import Request
from embench.protocols import load_protocol
from embench.snapshot import snapshot


@snapshot()
def check_names(requests: Iterable[Request]) -> None:
    """Checks the seeds of requests and the names of their protocols, datasets, encoders and fusions, as far as plans
    would refuse them, too. Raises UsageError."""
    for request in requests:
        if request.seeds is not None:
            _ = request.seed_list
        load_protocol(request.protocol)
        for name in filter(None, (request.dataset, request.train_dataset)):
            find.place(name, request.data_root)
        for text in request.encoders:
            registry.find("encoder", text.split("=", 1)[-1])
        _check_one("encoder", [text for text in request.encoders if "=" not in text])
        fusions = (request.fusion or "").split(",")
        for name in filter(None, fusions):
            registry.find("fusion", name)
        _check_one("fusion", fusions)


def _check_one(kind: str, names: Sequence[str]) -> None:
    """Refuses several names where one stands for all modalities: other points of a grid repeat the option."""
    if len(names) > 1:
        again = " ".join(f"--{kind} {name}" for name in names)
        raise UsageError(
            f"--{kind} has several names in one value", where=f"--{kind} {','.join(names)}",
            hint=f"for a run of each, repeat the option: {again}",
        )  # fmt: skip
