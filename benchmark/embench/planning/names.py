"""Names that nothing has, refused before any library is imported that trains."""

from __future__ import annotations

from collections.abc import Iterable

from embench import registry
from embench.data import find
from embench.planning.request import Request
from embench.protocols import load_current_protocol
from embench.snapshot import snapshot


@snapshot()
def check_names(requests: Iterable[Request]) -> None:
    """Checks the seeds of requests and the names of their protocols, datasets, encoders and fusions, as far as plans
    would refuse them, too. Raises UsageError."""
    for request in requests:
        if request.seeds is not None:
            _ = request.seed_list
        load_current_protocol(request.protocol)
        for name in filter(None, (request.dataset, request.train_dataset)):
            find.place(name, request.data_root)
        for text in request.encoders:
            registry.find("encoder", text.split("=", 1)[-1])
        if request.fusion:
            registry.find("fusion", request.fusion)
