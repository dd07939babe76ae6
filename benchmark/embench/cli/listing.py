"""`embench list`, which shows what registry files say and imports nothing, and `embench info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json, completes
from embench.errors import EmbenchError, UsageError
from embench.planning.request import Request

if TYPE_CHECKING:
    from embench.registry import Entry

KindArgument = Annotated[
    str | None,
    typer.Argument(metavar="[KIND]", help="Kind of plugin: dataset, encoder, pretrainer, fusion, metric, ..."),
]


def list_plugins(kind: KindArgument = None, as_json: Json = False) -> None:
    """List the available plugins, and broken ones with the reason."""
    from embench import registry

    found = registry.entries(kind)
    if as_json:
        console.document([_facts(entry) for entry in found])
        return
    if not found:
        console.echo(f"no {kind or 'plugin'} is installed")
    for group in dict.fromkeys(e.kind for e in found if not e.broken):
        rows = [
            [e.name, f"alias of {e.alias_of}" if e.alias_of else e.summary, ", ".join(e.modalities), e.home]
            for e in found
            if e.kind == group and not e.broken
        ]
        console.table(["name", "summary", "modalities", "package"], rows, title=group)
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

    known = registry.entries()
    found = [e for e in known if name in (e.name, e.full_name)]
    if not found:
        hint = did_you_mean(name, {e.name for e in known}) or "embench list"
        raise UsageError(f"no plugin is called `{name}`", hint=hint)
    if dataset and not any(entry.kind == "encoder" for entry in found):
        raise UsageError(f"{name} is a {found[0].kind}, which reads no dataset by itself", where="--dataset")
    with console.stdout_kept(as_json):
        documents = [_described(entry, dataset, protocol, data_root) for entry in found]
    if as_json:
        console.document(documents)
        return
    for entry, document in zip(found, documents, strict=True):
        _print_plugin(entry, document, dataset)


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
    rows = [[key, ", ".join(v) if isinstance(v, list) else str(v)] for key, v in facts.items() if v]
    console.table(["field", "value"], rows, title=entry.full_name)
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
        "target": entry.target,
        "revision": entry.revision,
        "alias_of": entry.alias_of,
        "broken": entry.broken,
        "source": str(entry.source),
    }
