"""`embench list` and `embench info`: what registry files say, nothing imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from embench.cli import console
from embench.cli.options import Json
from embench.errors import UsageError

if TYPE_CHECKING:
    from embench.registry import Entry

KindArgument = Annotated[
    str | None,
    typer.Argument(metavar="[KIND]", help="Kind of plugin: dataset, encoder, pretrainer, fusion, metric, ..."),
]


def list_plugins(kind: KindArgument = None, as_json: Json = False) -> None:
    """List the available plugins, and broken ones with the reason."""
    from embench import registry

    found, written = registry.entries(kind), registry.written_name
    if kind is not None:  # a package that can't be read may have offered some
        found += [entry for entry in registry.entries() if entry.kind == registry.BROKEN_PACKAGE]
    if as_json:
        console.document([_facts(entry) for entry in found])
        return
    if not found:
        console.echo(f"no {kind or 'plugin'} is installed")
    for group in dict.fromkeys(e.kind for e in found if not e.broken):
        rows = [
            [written(e), f"alias of {e.alias_of}" if e.alias_of else e.summary, ", ".join(e.modalities), e.home]
            for e in found
            if e.kind == group and not e.broken
        ]
        console.table(["name", "summary", "modalities", "package"], rows, title=group)
    broken = [[e.kind, e.full_name, e.broken or "", str(e.source)] for e in found if e.broken]
    if broken:
        console.table(["kind", "name", "reason", "file"], broken, title="broken")


def info(name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a plugin, or package/name.")]) -> None:
    """Describe a plugin: kind, summary, paper, licence, source."""
    from embench import registry
    from embench.registry.naming import did_you_mean

    known = registry.entries()
    found = [e for e in known if name in (e.name, e.full_name)]
    if not found:
        hint = did_you_mean(name, {e.name for e in known}) or "embench list"
        raise UsageError(f"no plugin is called `{name}`", hint=hint)
    for entry in found:
        facts = {**_facts(entry), "origin": registry.origin(entry)}
        rows = [[key, ", ".join(v) if isinstance(v, list) else str(v)] for key, v in facts.items() if v]
        console.table(["field", "value"], rows, title=entry.full_name)


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
        "broken": entry.broken,
        "source": str(entry.source),
    }
