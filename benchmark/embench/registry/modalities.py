"""The modalities that there are, and the names by which encoders know them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from embench.errors import PluginError
from embench.registry.catalogue import entries, installed
from embench.registry.fragments import BROKEN_PACKAGE, BUNDLED
from embench.registry.modality import MODALITY, ModalityDefinition
from embench.registry.naming import did_you_mean

if TYPE_CHECKING:
    from embench.interfaces.dataset import Card


def modalities() -> list[ModalityDefinition]:
    """All modalities, the bundled ones first; one that two packages define stands here twice."""
    return [modality for package in installed().values() for modality in package.modalities]


def modality_of(name: str, where: str = "") -> ModalityDefinition:
    """The modality of this name.

    Args:
        where: what names it, for errors.

    Raises:
        PluginError: no installed package defines it, or two define it differently.

    >>> modality_of("eda").package
    'embench_plugins'
    """
    same = [modality for modality in modalities() if modality.name == name]
    if not same:
        raise _undefined(name, where)
    first = same[0]
    for other in same[1:]:
        if fields := first.difference(other.definition()):
            raise PluginError(
                f"{first.home} and {other.home} define modality `{name}` differently: {', '.join(fields)}",
                where=where,
                expected="one definition of a modality",
                hint=f"uninstall one of the packages; the definitions are in {first.source} and {other.source}",
            )
    return first


def added_modalities(card: Card, where: str) -> dict[str, ModalityDefinition]:
    """The modalities of a dataset's card that packages add to the bundled ones.

    Raises:
        PluginError: one is not defined, or the card has it in another unit than its definition.
    """
    found = {name: modality_of(name, f"{where}, its dataset card") for name in card.modalities}
    for name, modality in found.items():
        unit = card.modalities[name].unit
        if modality.unit is not None and unit != modality.unit:
            raise PluginError(
                f"the dataset card has {name} in {unit}",
                where=f"{where}, its dataset card",
                expected=f"{modality.unit}, because {modality.home} defines {name} in this measurement unit",
            )
    return {name: modality for name, modality in found.items() if modality.package != BUNDLED}


def known_as(accepts: AbstractSet[str], modality: str) -> str | None:
    """The name by which an encoder that `accepts` these knows a run's modality, and reads it; None where it does not.
    Channels in brackets are not its concern. A modality that it does not accept is known to it by what the definition
    says in `read_as`.

    >>> known_as({"ecg", "eda"}, "ecg[left]+eda"), known_as({"ecg"}, "eda")
    ('ecg+eda', None)
    """
    from embench.interfaces.recording import names_in

    names = [_known_part(accepts, part) for part in names_in(modality)]
    return None if None in names else "+".join(name for name in names if name is not None)


def _known_part(accepts: AbstractSet[str], name: str) -> str | None:
    from embench.interfaces.encoder import ANY_SIGNAL

    if name in accepts or (accepts >= ANY_SIGNAL and name != "video"):
        return name
    read_as = modality_of(name).read_as
    return read_as if read_as in accepts else None


def _undefined(name: str, where: str) -> PluginError:
    known = list(dict.fromkeys(modality.name for modality in modalities()))
    broken = [e for e in entries() if e.broken and (e.kind == BROKEN_PACKAGE or (e.kind, e.name) == (MODALITY, name))]
    hint = did_you_mean(name, known) or "define it under `modality` in the registry.yaml of a package"
    for entry in broken:
        hint = f"{hint}; {entry.package} is broken: {entry.broken}"
    return PluginError(
        f"no installed package defines the modality `{name}`",
        where=where,
        expected=f"one of {', '.join(known)}",
        hint=f"{hint}; embench list modality",
    )
