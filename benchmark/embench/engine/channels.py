"""Decide whether a network that was trained on the channels of one dataset can read those of another dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from embench import registry
from embench.errors import PluginError, UsageError
from embench.interfaces.recording import parse_modality
from embench.reasons import Reason
from embench.registry.fragments import SITES

ANY_SITE = frozenset({"ppg", "resp", "temp", "eda"})
"""Modalities that measure the same process at several body sites. A network for one site may be tested at another."""

NAMED_CHANNELS = frozenset({"eeg", "eog", "emg"})
"""Modalities whose channels are separate signals (electrodes, muscles). A channel fits only one of the same name."""


class Channel(NamedTuple):
    """A channel of a modality. `site` is None if unknown. `alone`: True if the dataset has no other channel of it."""

    modality: str
    name: str
    site: str | None
    alone: bool

    @classmethod
    def from_name(cls, modality: str, name: str, site: str | None = None, *, alone: bool) -> Channel:
        """Return a channel. If `site` is None and the name is a body site, such as `wrist`, the channel lies there."""
        return cls(modality, name, site or (name if name in SITES else None), alone)

    def __str__(self) -> str:
        return self.name if self.site in (None, self.name) else f"{self.name} ({self.site})"

    def fits(self, other: Channel) -> bool:
        """Return True if weights learned on this channel apply to the other.

        The only channel of a modality fits the only channel of another dataset, whatever their names, if their sites
        are equal or unknown, or the modality is in `ANY_SITE`. One of several channels fits a channel of the same name.
        EMG fits EMG of the same muscle."""
        known = self.site is not None and other.site is not None
        if self.modality != other.modality or (known and self.site != other.site and self.modality not in ANY_SITE):
            return False
        if self.modality == "emg":
            return known or self.name == other.name != "emg"
        return self.name == other.name or (self.alone and other.alone and self.modality not in NAMED_CHANNELS)


def find_channels(dataset: str, available: Mapping[str, Sequence[str]], modality: str) -> tuple[Channel, ...]:
    """Return the channels of a run's modality, such as `ecg[left]+eda`, in a dataset.

    Args:
        dataset: full name, under which `registry.yaml` may declare sensor sites.
        available: modality -> its channels.

    Raises:
        PluginError: the number of declared sites does not fit the number of channels."""
    found = []
    declared = registry.sites(dataset)
    for m, chosen in parse_modality(modality):
        names, sites = available[m], declared.get(m, (None,))
        if len(sites) not in (1, len(names)):
            raise PluginError(
                f"`sites` of {m} are {len(sites)}, and it has {len(names)} channels",
                where=f"registry.yaml, dataset {dataset}",
                expected=f"a site for each of {', '.join(names)}, or one for all",
            )
        for name, site in zip(names, sites if len(sites) > 1 else sites * len(names), strict=True):
            if chosen in (None, name):
                found.append(Channel.from_name(m, name, site, alone=len(names) == 1))
    return tuple(found)


def all_fit(there: Sequence[Channel], here: Sequence[Channel]) -> bool:
    """Return True if a network trained on the channels `there` can read the channels `here`: they are equally many, and
    each fits the one at the same position."""
    return len(there) == len(here) and all(one.fits(other) for one, other in zip(there, here, strict=True))


def check_fit(
    part: str, m: str, there: tuple[str, Sequence[Channel]], here: tuple[str, Sequence[Channel]], where: str
) -> None:
    """Raise UsageError if an encoder would read channels that do not fit the channels on which it was trained.

    Args:
        part: the encoder, of modality `m`.
        there: (name of the dataset or weights, channels) on which the encoder was trained.
        here: (name of the dataset, channels) that it would read."""
    (source, learned), (data, read) = there, here
    if all_fit(learned, read) or (source == data and tuple(learned) == tuple(read)):
        return  # channels of one dataset always fit, even if nothing is declared
    if any(channel.modality == "emg" for channel in (*learned, *read)):
        hint = (
            "EMG is of one muscle: own recordings and a corpus name it as the channel, in dataset.yaml, "
            "such as `emg: {channels: {trapezius: NAME IN THE FILE}}`"
        )
    else:
        hint = (
            "choose other --modalities, or an encoder that reads the channels of both (EEG: cnn_tf). Own recordings "
            "and a corpus name their channels in dataset.yaml: give them the same names in the same order, "
            "such as `channels: {left: NAME IN THE FILE}`"
        )
    raise UsageError(
        f"{part} would read different channels of {m} in {source} and {data}: {_list_channels(learned)}",
        where=where,
        expected=_list_channels(read),
        hint=hint,
    )


def check_available(
    dataset: str, available: Mapping[str, Sequence[str]], modality: str, reader: str, where: str
) -> None:
    """Raise UsageError if a dataset lacks a modality, or the chosen channel of one. `reader`: a clause that names the
    part which needs it, such as "cnn reads"."""
    for m, channel in parse_modality(modality):
        if channel in (None, *available.get(m, ())) and m in available:
            continue
        lacking = f"{m}[{channel}]" if channel else m
        raise UsageError(
            f"{dataset} has no {lacking}, which {reader}",
            where=where,
            expected=f"{m} with channels {', '.join(available[m])}"
            if m in available
            else f"modalities among {', '.join(available)}",
            hint="choose modalities that both have with --modalities",
        )


def describe_sites(stops: Sequence[tuple[str, Sequence[Channel]]]) -> Reason | None:
    """Describe a modality's sensor sites at each step (`pretrained`, `trained`, `tested`); None if they are equal or
    unknown.

    >>> wrist, finger = (Channel("ppg", "bvp", site, True) for site in ("wrist", "finger"))
    >>> describe_sites([("trained", [finger]), ("tested", [wrist])])
    'trained at the finger, tested at the wrist'
    """
    sites = [(step, tuple(dict.fromkeys(c.site for c in channels if c.site))) for step, channels in stops]
    known = dict.fromkeys((step, places) for step, places in sites if places)
    if len({places for _, places in known}) < 2:
        return None
    return Reason.make("other_sites", steps=[[step, [*places]] for step, places in known])


def _list_channels(channels: Sequence[Channel]) -> str:
    """Return the names of up to 16 channels as text, with the number of further ones."""
    more = f" and {len(channels) - 16} others" if len(channels) > 16 else ""
    return ", ".join(map(str, channels[:16])) + more
