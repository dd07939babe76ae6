"""Rule on whether a network that learned from some channels can read others, for two datasets and for weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from embench import registry
from embench.errors import PluginError, UsageError
from embench.interfaces.recording import parts_of
from embench.registry.fragments import SITES

ELSEWHERE = frozenset({"ppg", "resp", "temp", "eda"})
"""Modalities that show the same of the body at several sites, so that one may be trained on and another tested."""

NAMED = frozenset({"eeg", "eog", "emg"})
"""Modalities of which one channel is never another's stand-in: each electrode and each muscle is a signal of its
own."""


class Channel(NamedTuple):
    """A channel of a modality; `site` may be None (unknown), and `alone` is True where the release has no other."""

    modality: str
    name: str
    site: str | None
    alone: bool

    @classmethod
    def of(cls, modality: str, name: str, site: str | None = None, *, alone: bool) -> Channel:
        """A channel; without a declared site, a channel named after a site is there."""
        return cls(modality, name, site or (name if name in SITES else None), alone)

    def __str__(self) -> str:
        return self.name if self.site in (None, self.name) else f"{self.name} ({self.site})"

    def fits(self, other: Channel) -> bool:
        """True if weights learned on this channel apply to the other. The only channel of a modality fits that of
        another release, whatever either calls it, if their sites are the same, unknown, or may differ (`ELSEWHERE`).
        One of several fits one of the same name. EMG fits EMG of the same muscle.
        """
        known = self.site is not None and other.site is not None
        if self.modality != other.modality or (known and self.site != other.site and self.modality not in ELSEWHERE):
            return False
        if self.modality == "emg":
            return known or self.name == other.name != "emg"
        return self.name == other.name or (self.alone and other.alone and self.modality not in NAMED)


def channels_of(dataset: str, available: Mapping[str, Sequence[str]], modality: str) -> tuple[Channel, ...]:
    """The channels of a run's modality, such as `ecg[left]+eda`, in a dataset.

    Args:
        dataset: its full name, by which its `registry.yaml` says where its sensors are. Where it does not, a channel
            that is called by a site is there.
        available: modality -> its channels.

    Raises:
        PluginError: it declares sites of other channels.
    """
    found = []
    declared = registry.sites(dataset)
    for m, chosen in parts_of(modality):
        names, sites = available[m], declared.get(m, (None,))
        if len(sites) not in (1, len(names)):
            raise PluginError(
                f"`sites` of {m} are {len(sites)}, and it has {len(names)} channels",
                where=f"registry.yaml, dataset {dataset}",
                expected=f"a site for each of {', '.join(names)}, or one for all",
            )
        for name, site in zip(names, sites if len(sites) > 1 else sites * len(names), strict=True):
            if chosen in (None, name):
                found.append(Channel.of(m, name, site, alone=len(names) == 1))
    return tuple(found)


def all_fit(there: Sequence[Channel], here: Sequence[Channel]) -> bool:
    """True if a network that read the channels `there` can go on with those `here`: as many, each fits, in order."""
    return len(there) == len(here) and all(one.fits(other) for one, other in zip(there, here, strict=True))


def check_fit(
    part: str, m: str, there: tuple[str, Sequence[Channel]], here: tuple[str, Sequence[Channel]], where: str
) -> None:
    """Refuses channels that do not fit.

    Args:
        part: the encoder that would read them, of modality `m`.
        there: what it learned from and the channels that it read there; `here` likewise.

    Raises:
        UsageError: they do not fit.
    """
    (source, learned), (data, read) = there, here
    if all_fit(learned, read) or (source == data and tuple(learned) == tuple(read)):
        return  # the channels of one dataset are the same ones, however little is said of them
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
        f"{part} would read different channels of {m} in {source} and {data}: {_some(learned)}",
        where=where,
        expected=_some(read),
        hint=hint,
    )


def check_there(dataset: str, available: Mapping[str, Sequence[str]], modality: str, reader: str, where: str) -> None:
    """Refuses a dataset that lacks a modality, or the channel that is chosen of it, of which `reader` says who wants
    it for what. Raises UsageError."""
    for m, channel in parts_of(modality):
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


def moved(stops: Sequence[tuple[str, Sequence[Channel]]]) -> str | None:
    """Places of sensors at each step of a modality's way (`pretrained`, `trained`, `tested`), in words; None if they
    are the same or unknown.

    >>> wrist, finger = (Channel("ppg", "bvp", site, True) for site in ("wrist", "finger"))
    >>> moved([("trained", [finger]), ("tested", [wrist])])
    'trained at the finger, tested at the wrist'
    """
    sites = [(step, " and ".join(dict.fromkeys(c.site for c in channels if c.site))) for step, channels in stops]
    known = dict.fromkeys((step, site) for step, site in sites if site)
    if len({site for _, site in known}) < 2:
        return None
    return ", ".join(f"{step} at the {site}" for step, site in known)


def _some(channels: Sequence[Channel]) -> str:
    """Channels, of which there may be hundreds."""
    more = f" and {len(channels) - 16} others" if len(channels) > 16 else ""
    return ", ".join(map(str, channels[:16])) + more
