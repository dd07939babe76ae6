"""`embench list`, which shows what registry files say and imports nothing, and `embench info`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from embench import registry
from embench.cli import console
from embench.cli.options import DataRoot, Json, completes
from embench.cli.tables import TableColumn, field, fields, grouped, show_table
from embench.errors import EmbenchError, UsageError
from embench.planning.request import Request
from embench.records.context import context_of
from embench.records.wording import format_value
from embench.registry.naming import did_you_mean

if TYPE_CHECKING:
    from embench.interfaces.pretraining_data import PretrainingData
    from embench.registry import Entry, ModalityDefinition


_KINDS = (*registry.PLUGIN_KINDS, registry.MODALITY, "protocol", "baselines")


def list_plugins(
    kind: Annotated[
        str | None,
        Argument(metavar="[KIND]", help=f"Kind: {', '.join(_KINDS)}."),
    ] = None,
    matrix: Annotated[
        bool, Option("--matrix", help="Show the compatible modalities, encoders, pretrainers and fusions.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the plugins, modalities, protocols and baseline sets; name the faults of broken plugins."""
    if matrix:
        _print_matrix(kind, as_json)
        return
    if kind == "protocol":
        from embench.cli import protocols

        console.answer(as_json, protocols.listed() if as_json else None, protocols.print_listed)
        return
    if kind == "baselines":
        from embench.cli import baselines

        console.answer(as_json, baselines.listed_sets() if as_json else None, baselines.print_sets)
        return
    if kind is not None and kind not in _KINDS:
        raise UsageError(
            f"`{kind}` is not a kind of plugin",
            expected=f"one of {', '.join(_KINDS)}",
            hint=did_you_mean(kind, _KINDS),
        )
    found = registry.entries(kind)
    modalities = registry.modalities() if kind in (None, registry.MODALITY) else []
    if kind is not None:  # a package that can't be read may have offered some
        found += [entry for entry in registry.entries() if entry.kind == registry.BROKEN_PACKAGE]
    if as_json:
        console.document([*map(_facts, found), *map(_facts_of_modality, modalities)])
        return
    if not found and not modalities:
        console.echo(f"no {kind or 'plugin'} is installed")
    # One package alone is named once, below, and its column would leave the summaries no room.
    homes = {entry.home for entry in found if not entry.broken} | {modality.home for modality in modalities}
    package = [field("home", "package")] if len(homes) > 1 else []
    names = TableColumn("name", registry.written_name, whole=True)
    for group, entries in grouped((entry.kind, entry) for entry in found if not entry.broken).items():
        read = [field("modalities")] if any(entry.modalities for entry in entries) else []
        show_table(entries, [names, field("summary"), *read, *package], title=group)
    columns = [*fields("name", "summary", "unit", "read_as"), *package]
    show_table(modalities, columns, title=registry.MODALITY)
    if len(homes) == 1:
        console.echo(f"package: {next(iter(homes))}")
    if kind is None:
        console.echo("protocols: embench list protocol; baseline sets: embench list baselines")
    columns = [field("kind"), field("full_name", "name"), field("broken", "reason"), field("source", "file")]
    show_table((entry for entry in found if entry.broken), columns, title="broken")


def info(
    name: Annotated[
        str,
        Argument(
            metavar="NAME",
            help="Name of a plugin or protocol, package/name, or the folder of your own data.",
            autocompletion=completes(None),
        ),
    ],
    dataset: Annotated[
        str | None, Option(autocompletion=completes("dataset"), help="Also show how an encoder reads this dataset.")
    ] = None,
    protocol: Annotated[
        str, Option(autocompletion=completes("protocol"), help="Protocol whose filters apply.")
    ] = Request.protocol,
    data_root: DataRoot = None,
    as_yaml: Annotated[
        bool, Option("--yaml", help="Print a protocol as the YAML file from which one of your own can start.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Describe a plugin: paper, licence, source, recipes, settings; or the rules of a protocol."""
    if as_yaml:
        from embench.cli import protocols

        console.echo(protocols.protocol_yaml(name).rstrip())
        return
    known, modalities = registry.entries(), registry.modalities()
    found = [e for e in known if name in (e.name, e.full_name)]
    defined = [m for m in modalities if m.name == name]
    if not (found or defined) and (_print_protocol(name, as_json=as_json) or _print_folder(name, as_json=as_json)):
        return
    if not found and not defined:
        hint = did_you_mean(name, {*(e.name for e in known), *(m.name for m in modalities)}) or "embench list"
        raise UsageError(f"no plugin has the name `{name}`", hint=hint)
    if dataset and not any(entry.kind == "encoder" for entry in found):
        kind = found[0].kind if found else registry.MODALITY
        raise UsageError(f"{name} is a {kind}; only encoders read datasets", where="--dataset")
    documents = [_described(entry, dataset, protocol, data_root) for entry in found]
    if as_json:
        console.document([*documents, *map(_facts_of_modality, defined)])
        return
    for entry, document in zip(found, documents, strict=True):
        _print_plugin(entry, document, dataset)
    for modality in defined:
        _print_facts(_facts_of_modality(modality), modality.name)


def _print_folder(name: str, *, as_json: bool) -> bool:
    """Prints the card of a folder of own recordings; whether it is one."""
    from embench.data.find import is_folder

    if not is_folder(name):
        return False
    facts = _facts_of_folder(name)
    console.answer(as_json, [facts], lambda: _print_facts({k: format_value(v, "g") for k, v in facts.items()}, name))
    return True


def _facts_of_folder(name: str) -> dict[str, Any]:
    """The card of own recordings, in words."""
    from embench.cli import recipes
    from embench.data.find import card_of

    card = card_of(name, None)
    modalities = {m: f"{', '.join(own.channels)}; {own.unit}" for m, own in card.modalities.items()}
    labels = {"targets": {t.name: f"{t.kind} from `{t.label}`" for t in card.targets}}
    silent = ("obtain", "downloads", "verified_on_real", "raters", "targets", "modalities")
    rest = {key: value for key, value in asdict(card).items() if key not in silent and value not in ("", (), None)}
    rates = recipes.rate_facts(card, Request.protocol)
    return {"kind": "dataset", **rest, "modalities": modalities, "rates": rates, **labels}


def _print_protocol(name: str, *, as_json: bool) -> bool:
    """Prints the rules of the protocol of this name; whether there is one."""
    from embench.cli import protocols
    from embench.protocols import protocol_names

    if name not in protocol_names() and not name.endswith((".yaml", ".yml")):
        return False
    facts = protocols.described(name)
    console.answer(
        as_json, [facts], lambda: _print_facts({protocols.DISPLAY_NAMES.get(k, k): v for k, v in facts.items()}, name)
    )
    return True


def _print_matrix(kind: str | None, as_json: bool) -> None:
    from embench.planning import compatibility

    if kind is not None:
        raise UsageError("--matrix covers all kinds of plugins", where=f"--matrix {kind}", expected="no KIND")
    found = compatibility.matrix()
    if as_json:
        console.document(asdict(found))
        return
    for title, head, rows in found.tables():
        show_table((dict(zip(head, row, strict=True)) for row in rows), title=title)
    console.wrapped(compatibility.NOTE)


def _print_facts(facts: Mapping[str, object], title: str) -> None:
    rows = [{"field": key, "value": value} for key, value in facts.items() if value]
    show_table(rows, [field("field"), field("value", spec="")], title=title)


def _facts_of_modality(modality: ModalityDefinition) -> dict[str, object]:
    about = {name: getattr(modality, name) for name in ("name", "package", "version", "summary")}
    return {"kind": "modality", **about, **modality.definition(), "source": str(modality.source)}


def _described(entry: Entry, dataset: str | None, protocol: str, data_root: Path | None) -> dict[str, Any]:
    """All facts on a plugin: those of its registry file and, for kinds with recipes, of its class."""
    from embench.cli import recipes

    document: dict[str, Any] = {**_facts(entry), "origin": registry.origin(entry)}
    if entry.kind == "dataset" and not entry.broken:
        with suppress(EmbenchError, ImportError):  # of a reader that cannot be loaded the rest is shown
            card = registry.load("dataset", entry.full_name).card
            document["rates"] = recipes.rate_facts(card, protocol)
    if entry.kind not in recipes.WITH_RECIPES or entry.broken:
        return document
    try:
        plugin = registry.load(entry.kind, entry.full_name)
    except (EmbenchError, ImportError) as error:
        return {**document, "not_loaded": str(error).partition("\n")[0]}
    if entry.kind != "pretrainer":
        document["time_context"] = context_of(recipe.view for recipe in plugin.recipes.values())
    document["recipes"] = recipes.recipe_facts(entry.kind, plugin.recipes, dataset)
    if entry.kind == "encoder" and (known := plugin.known_weights()):
        document["weights"] = [_facts_of_weights(name, data) for name, data in known.items()]
    if dataset and entry.kind == "encoder":
        preset = "small" if "small" in plugin.recipes else next(iter(plugin.recipes))
        document["reading"] = recipes.reading_facts(plugin, preset, dataset, data_root, protocol)
    return document


def _print_plugin(entry: Entry, document: dict[str, Any], dataset: str | None) -> None:
    from embench.cli import recipes

    apart = ("recipes", "weights", "reading", "not_loaded")
    facts = {key: value for key, value in document.items() if key not in apart}
    _print_facts(facts, entry.full_name)
    if "not_loaded" in document:
        console.note(f"recipes cannot be shown: {document['not_loaded']}")
    if "recipes" in document:
        recipes.print_recipes(entry.kind, registry.load(entry.kind, entry.full_name), dataset)
    if "weights" in document:
        console.echo()
        show_table(document["weights"], title="known weights, for encoder.build.weights")
    if "reading" in document:
        recipes.print_reading(document["reading"])


def _facts_of_weights(name: str, data: PretrainingData) -> dict[str, str]:
    saw = [f"{dataset} {what}" for dataset, what in data.saw.items()]
    saw.append(f"other sets {data.others}" if saw else data.others)
    declared = " (declared)" if data.declared and data.others != "undisclosed" else ""
    return {"weights": name, "licence": data.licence, "saw": ", ".join(saw) + declared, "source": data.source}


def _facts(entry: Entry) -> dict[str, object]:
    facts = {name: getattr(entry, name) for name in _FACTS}
    sites = {m: " and ".join(found) for m, found in entry.sites}
    asks = {target: f"{about.question} Labels: {about.labels}" for target, about in entry.asks}
    return {**facts, "modalities": list(entry.modalities), "asks": asks, "sites": sites, "source": str(entry.source)}


_FACTS = (
    *("kind", "name", "full_name", "package", "version", "summary", "paper", "modalities", "licence"),
    *("address", "availability", "download", "hours", "asks", "sites", "target", "revision"),
    *("broken", "source"),
)
