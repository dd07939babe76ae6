"""`embench list`, which shows what registry files say and imports nothing, and `embench info`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json, completes
from embench.errors import EmbenchError, UsageError
from embench.planning.request import Request

if TYPE_CHECKING:
    from embench.registry import Entry, ModalityDefinition

KindArgument = Annotated[
    str | None,
    typer.Argument(metavar="[KIND]", help="Kind: dataset, encoder, pretrainer, fusion, metric, observer, modality."),
]


def list_plugins(
    kind: KindArgument = None,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Show which modalities, encoders, pretrainers and fusions go together.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the available plugins and modalities, and broken ones with the reason."""
    from embench import registry

    if matrix:
        _print_matrix(kind, as_json)
        return
    found, written = registry.entries(kind), registry.written_name
    modalities = registry.modalities() if kind in (None, registry.MODALITY) else []
    if kind is not None:  # a package that can't be read may have offered some
        found += [entry for entry in registry.entries() if entry.kind == registry.BROKEN_PACKAGE]
    if as_json:
        console.document([*map(_facts, found), *map(_facts_of_modality, modalities)])
        return
    if not found and not modalities:
        console.echo(f"no {kind or 'plugin'} is installed")
    for group in dict.fromkeys(e.kind for e in found if not e.broken):
        rows = [
            [written(e), _alias(e) if e.alias_of else e.summary, ", ".join(e.modalities), e.home]
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


def info(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a plugin, or package/name.", autocompletion=completes(None))
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", autocompletion=completes("dataset"), help="Show how an encoder reads this dataset as well."
        ),
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", autocompletion=completes("protocol"), help="Protocol whose filters apply.")
    ] = Request.protocol,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Describe a plugin: kind, summary, paper, licence, source; its recipes and the settings that `--set` changes."""
    from embench import registry
    from embench.registry.naming import did_you_mean

    known, modalities = registry.entries(), registry.modalities()
    found = [e for e in known if name in (e.name, e.full_name)]
    defined = [m for m in modalities if m.name == name]
    if not found and not defined:
        hint = did_you_mean(name, {*(e.name for e in known), *(m.name for m in modalities)}) or "embench list"
        raise UsageError(f"no plugin is called `{name}`", hint=hint)
    if dataset and not any(entry.kind == "encoder" for entry in found):
        kind = found[0].kind if found else registry.MODALITY
        raise UsageError(f"{name} is a {kind}, which reads no dataset by itself", where="--dataset")
    with console.stdout_kept(as_json):
        documents = [_described(entry, dataset, protocol, data_root) for entry in found]
    if as_json:
        console.document([*documents, *map(_facts_of_modality, defined)])
        return
    for entry, document in zip(found, documents, strict=True):
        _print_plugin(entry, document, dataset)
    for modality in defined:
        _print_facts(_facts_of_modality(modality), modality.name)


def _print_matrix(kind: str | None, as_json: bool) -> None:
    from embench.planning import compatibility

    if kind is not None:
        raise UsageError("the matrix is of all kinds of plugins", where=f"--matrix {kind}", expected="no KIND")
    with console.stdout_kept(as_json):
        found = compatibility.matrix()
    if as_json:
        console.document(asdict(found))
        return
    for title, head, rows in found.tables():
        console.table(head, rows, title=title)
    console.wrapped(compatibility.NOTE)


def _print_facts(facts: Mapping[str, object], title: str) -> None:
    console.table(["field", "value"], [[key, _told(value)] for key, value in facts.items() if value], title=title)


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


def _described(entry: Entry, dataset: str | None, protocol: str, data_root: Path | None) -> dict[str, Any]:
    """What is known of a plugin: of its registry file, and where it has recipes, of its class."""
    from embench import registry
    from embench.cli import recipes

    document: dict[str, Any] = {**_facts(entry), "origin": registry.origin(entry)}
    if entry.kind not in recipes.WITH_RECIPES or entry.broken:
        return document
    try:
        plugin = registry.load(entry.kind, entry.full_name)
    except (EmbenchError, ImportError) as error:
        return {**document, "not_loaded": str(error).partition("\n")[0]}
    document["recipes"] = recipes.recipe_facts(entry.kind, plugin.recipes, dataset)
    if dataset and entry.kind == "encoder":
        preset = "small" if "small" in plugin.recipes else next(iter(plugin.recipes))
        document["reading"] = recipes.reading_facts(plugin, preset, dataset, data_root, protocol)
    return document


def _print_plugin(entry: Entry, document: dict[str, Any], dataset: str | None) -> None:
    from embench import registry
    from embench.cli import recipes

    facts = {key: value for key, value in document.items() if key not in ("recipes", "reading", "not_loaded")}
    _print_facts(facts, entry.full_name)
    if "not_loaded" in document:
        console.note(f"recipes are not shown: {document['not_loaded']}")
    if "recipes" in document:
        from embench.interfaces.fusion import Estimator

        plugin = registry.load(entry.kind, entry.full_name)
        trained = not issubclass(plugin, Estimator)
        recipes.print_recipes(entry.kind, plugin.recipes, dataset, trained=trained)
    if "reading" in document:
        recipes.print_reading(document["reading"])


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
        "sites": {m: " and ".join(sites) for m, sites in entry.sites},
        "target": entry.target,
        "revision": entry.revision,
        "alias_of": entry.alias_of,
        "until": entry.until,
        "broken": entry.broken,
        "source": str(entry.source),
    }
