"""`embench list` and `embench info`: what registry files say, nothing imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from embench.cli import console
from embench.cli.options import Json
from embench.errors import UsageError

if TYPE_CHECKING:
    from embench.registry import Entry, ModalityDefinition

KindArgument = Annotated[
    str | None,
    typer.Argument(metavar="[KIND]", help="Kind: dataset, encoder, pretrainer, fusion, metric, observer, modality."),
]


def list_plugins(kind: KindArgument = None, as_json: Json = False) -> None:
    """List the available plugins and modalities, and broken ones with the reason."""
    from embench import registry

    found, modalities = registry.entries(kind), registry.modalities() if kind in (None, registry.MODALITY) else []
    if as_json:
        console.document([*map(_facts, found), *map(_facts_of_modality, modalities)])
        return
    if not found and not modalities:
        console.echo(f"no {kind or 'plugin'} is installed")
    for group in dict.fromkeys(e.kind for e in found if not e.broken):
        rows = [
            [e.name, _alias(e) if e.alias_of else e.summary, ", ".join(e.modalities), e.home]
            for e in found
            if e.kind == group and not e.broken
        ]
        console.table(["name", "summary", "modalities", "package"], rows, title=group)
    if modalities:
        rows = [[m.name, m.summary, m.unit or "", m.read_as or "", m.home] for m in modalities]
        console.table(["name", "summary", "unit", "read as", "package"], rows, title=registry.MODALITY)
    broken = [[e.kind, e.full_name, e.broken or "", str(e.source)] for e in found if e.broken]
    if broken:
        console.table(["kind", "name", "reason", "file"], broken, title="broken")


def info(name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a plugin, or package/name.")]) -> None:
    """Describe a plugin: kind, summary, paper, licence, source."""
    from embench import registry
    from embench.registry.naming import did_you_mean

    known, modalities = registry.entries(), registry.modalities()
    found = [e for e in known if name in (e.name, e.full_name)]
    defined = [m for m in modalities if m.name == name]
    if not found and not defined:
        hint = did_you_mean(name, {*(e.name for e in known), *(m.name for m in modalities)}) or "embench list"
        raise UsageError(f"no plugin is called `{name}`", hint=hint)
    for entry in found:
        facts = {**_facts(entry), "origin": registry.origin(entry)}
        rows = [[key, _told(value)] for key, value in facts.items() if value]
        console.table(["field", "value"], rows, title=entry.full_name)
    for modality in defined:
        rows = [[key, _told(value)] for key, value in _facts_of_modality(modality).items() if value]
        console.table(["field", "value"], rows, title=modality.name)


def _told(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _facts_of_modality(modality: ModalityDefinition) -> dict[str, object]:
    return {
        "kind": "modality",
        "name": modality.name,
        "package": modality.package,
        "version": modality.version,
        "summary": modality.summary,
        **modality.definition(),
        "source": str(modality.source),
    }


def _alias(entry: Entry) -> str:
    if entry.until:
        return f"old name of {entry.alias_of}, until {entry.package} {entry.until}"
    return f"alias of {entry.alias_of}"


def _facts(entry: Entry) -> dict[str, object]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "full_name": entry.full_name,
        "package": entry.package,
        "version": entry.version,
        "summary": entry.summary,
        "paper": entry.paper,
        "modalities": list(entry.modalities),
        "licence": entry.licence,
        "address": entry.address,
        "availability": entry.availability,
        "download": entry.download,
        "hours": entry.hours,
        "target": entry.target,
        "revision": entry.revision,
        "alias_of": entry.alias_of,
        "until": entry.until,
        "broken": entry.broken,
        "source": str(entry.source),
    }
