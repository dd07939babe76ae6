"""The request of a run that a claim needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embench.planning.request import Request, request_of
from embench.planning.settings import of_encoder


def claimed_request(
    dataset: str, stated: Mapping[str, Any], targets: Sequence[str], options: Mapping[str, Any]
) -> Request:
    """The request of a run on a dataset with these targets; without any, with the default targets of a run.

    Args:
        stated: what the claim says of the run, by the names of options, with its protocol.
        options: further fields of a request, where the claim says nothing. Of its settings, those of the encoder of a
            modality that the run does not read are of other runs.
    """
    ours = [s for s in options.get("settings") or () if _concerns(s, stated.get("modalities"))]
    settings = (*stated.get("set", ()), *ours)
    own = {name: value for name, value in stated.items() if name != "set"}
    return request_of(dataset=dataset, **{**options, "targets": targets or None, **own, "settings": settings})


def _concerns(setting: str, modalities: str | None) -> bool:
    modality = of_encoder(setting)
    return modalities is None or modality is None or modality in [name.strip() for name in modalities.split(",")]
