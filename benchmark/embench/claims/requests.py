"""The request of a run that a claim needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embench import protocols
from embench.data import find
from embench.data.cohort import card_for_protocol
from embench.planning.request import Request, request_of
from embench.planning.settings import of_encoder


def claimed_request(
    dataset: str, stated: Mapping[str, Any], targets: Sequence[str], options: Mapping[str, Any]
) -> Request:
    """The request of a run on a dataset with these targets; without any, with the default targets of a run.

    Args:
        stated: what the claim says of the run, by the names of options, with its protocol.
        options: further fields of a request, where the claim says nothing. Of its settings, those of the encoder of a
            modality that the run does not read, or reads with another encoder (`encoder[eeg:NAME]`), are of other runs.
    """
    ours = [text for setting in options.get("settings") or () if (text := _of_run(setting, stated)) is not None]
    settings = (*stated.get("set", ()), *ours)
    own = {name: value for name, value in stated.items() if name != "set"}
    return request_of(dataset=dataset, **{**options, "targets": targets or None, **own, "settings": settings})


def targets_there(wanted: Sequence[str], dataset: str, protocol: str, data_root: Path | None) -> list[str]:
    """Those of the wanted targets that a dataset has under a protocol."""
    card = card_for_protocol(protocols.load_protocol(protocol), find.card_of(dataset, data_root))
    return [name for name in wanted if name in {target.name for target in card.targets}]


def _of_run(setting: str, stated: Mapping[str, Any]) -> str | None:
    """The setting as a run takes it, without the encoder's name; None where it is of other runs."""
    place = of_encoder(setting)
    if place is None:
        return setting
    modality, _, encoder = place.partition(":")
    read, encoders = stated.get("modalities"), stated.get("encoder", ())
    if read is not None and modality not in [name.strip() for name in read.split(",")]:
        return None
    if encoder and not {encoder, f"{modality}={encoder}"}.intersection(encoders):
        return None
    return setting.replace(f"[{place}]", f"[{modality}]", 1)
