"""`embench list`, `embench info` and `embench plugin`: registered plugins, and the user's own packages."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from embench import registry
from embench.cli import console
from embench.cli.console import show_table
from embench.cli.options import DataRoot, Json, complete
from embench.errors import CheckFailed, EmbenchError, UsageError
from embench.planning.request import Request
from embench.records import find_time_context
from embench.records.wording import format_value, grouped
from embench.screen import TableColumn, field, fields
from embench.vocabulary import did_you_mean

if TYPE_CHECKING:
    from embench.authoring import PluginCheck
    from embench.interfaces.dataset import Card, ModalityCard
    from embench.interfaces.encoder import Encoder
    from embench.interfaces.pretraining_data import PretrainingData
    from embench.interfaces.recipe import Recipe
    from embench.protocols import Protocol
    from embench.registry import Entry, ModalityDefinition


# `embench list`, which reads registry files and imports nothing, and `embench info`.

_KINDS = (*registry.PLUGIN_KINDS, registry.MODALITY, "protocol", "baselines")


def list_kinds(
    kind: Annotated[
        str | None,
        Argument(metavar="[KIND]", help=f"Kind: {', '.join(_KINDS)}."),
    ] = None,
    matrix: Annotated[
        bool, Option("--matrix", help="Show which datasets, encoders, pretrainers and fusions fit together.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the plugins, modalities, protocols and baseline sets; name the faults of broken plugins."""
    if matrix:
        _print_matrix(kind, as_json)
        return
    if kind == "protocol":
        from embench.cli import show

        console.answer(as_json, show.list_protocols() if as_json else None, show.print_protocols)
        return
    if kind == "baselines":
        from embench.cli import studies

        console.answer(as_json, studies.list_sets() if as_json else None, studies.print_sets)
        return
    if kind is not None and kind not in _KINDS:
        what = f"`{kind}` is not a kind of plugin"
        raise UsageError(what, expected=f"one of {', '.join(_KINDS)}", hint=did_you_mean(kind, _KINDS))
    found = registry.entries(kind)
    modalities = registry.modalities() if kind in (None, registry.MODALITY) else []
    if kind is not None:  # a package that can't be read may have offered some
        found += [entry for entry in registry.entries() if entry.kind == registry.BROKEN_PACKAGE]
    if as_json:
        console.document([*map(_get_facts, found), *map(_modality_facts, modalities)])
        return
    if not found and not modalities:
        console.echo(f"no {kind or 'plugin'} is installed")
    # A single package is named once, below the table; its column would take room from the summaries.
    homes = {entry.home for entry in found if not entry.broken} | {modality.home for modality in modalities}
    package = [field("home", "package")] if len(homes) > 1 else []
    names = TableColumn("name", registry.written_name, whole=True)
    for group, entries in grouped((entry.kind, entry) for entry in found if not entry.broken).items():
        read = [field("modalities")] if any(entry.modalities for entry in entries) else []
        show_table(entries, [names, field("description", "summary"), *read, *package], title=group)
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
            autocompletion=complete(None),
        ),
    ],
    dataset: Annotated[
        str | None, Option(autocompletion=complete("dataset"), help="Also show how an encoder reads this dataset.")
    ] = None,
    protocol: Annotated[
        str, Option(autocompletion=complete("protocol"), help="Protocol whose filters apply.")
    ] = Request.protocol,
    data_root: DataRoot = None,
    as_yaml: Annotated[
        bool, Option("--yaml", help="Print a protocol as the YAML file from which one of your own can start.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Describe a plugin: paper, licence, source, recipes, settings; or the rules of a protocol."""
    if as_yaml:
        from embench.protocols import load_protocol

        console.echo(load_protocol(name).yaml().rstrip())
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
    documents = [_describe(entry, dataset, protocol, data_root) for entry in found]
    if as_json:
        console.document([*documents, *map(_modality_facts, defined)])
        return
    for entry, document in zip(found, documents, strict=True):
        _print_plugin(entry, document, dataset)
    for modality in defined:
        _print_facts(_modality_facts(modality), modality.name)


def _print_folder(name: str, *, as_json: bool) -> bool:
    """Print the card of the user's own recordings in words; return False if `name` is not their folder."""
    from embench.data.find import find_source, is_folder

    if not is_folder(name):
        return False
    card = find_source(name, None).card
    modalities = {m: f"{', '.join(own.channels)}; {own.unit}" for m, own in card.modalities.items()}
    labels = {"targets": {t.name: f"{t.kind} from `{t.label}`" for t in card.targets}}
    silent = ("obtain", "downloads", "verified_on_real", "raters", "targets", "modalities")
    rest = {key: value for key, value in asdict(card).items() if key not in silent and value not in ("", (), None)}
    rates = rate_facts(card, Request.protocol)
    facts = {"kind": "dataset", **rest, "modalities": modalities, "rates": rates, **labels}
    console.answer(as_json, [facts], lambda: _print_facts({k: format_value(v, "g") for k, v in facts.items()}, name))
    return True


def _print_protocol(name: str, *, as_json: bool) -> bool:
    """Print the rules of a protocol; return False if no protocol has this name."""
    from embench.cli import show
    from embench.protocols import protocol_names

    if name not in protocol_names() and not name.endswith((".yaml", ".yml")):
        return False
    facts = show.describe_protocol(name)
    console.answer(
        as_json, [facts], lambda: _print_facts({show.DISPLAY_NAMES.get(k, k): v for k, v in facts.items()}, name)
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


def _modality_facts(modality: ModalityDefinition) -> dict[str, object]:
    about = {name: getattr(modality, name) for name in ("name", "package", "version", "summary")}
    return {"kind": "modality", **about, **modality.definition(), "source": str(modality.source)}


def _describe(entry: Entry, dataset: str | None, protocol: str, data_root: Path | None) -> dict[str, Any]:
    """Return the facts that `embench info` prints of a plugin, from its registry file and its class."""
    document: dict[str, Any] = {**_get_facts(entry), "origin": registry.origin(entry)}
    if entry.kind == "dataset" and not entry.broken:
        with suppress(EmbenchError, ImportError):  # of a reader that cannot be loaded the rest is shown
            card = registry.load_plugin("dataset", entry.full_name).card
            document["rates"] = rate_facts(card, protocol)
    if entry.kind not in WITH_RECIPES or entry.broken:
        return document
    try:
        plugin = registry.load_plugin(entry.kind, entry.full_name)
    except (EmbenchError, ImportError) as error:
        return {**document, "not_loaded": str(error).partition("\n")[0]}
    if entry.kind != "pretrainer":
        document["time_context"] = find_time_context(recipe.view for recipe in plugin.recipes.values())
    document["recipes"] = recipe_facts(entry.kind, plugin.recipes, dataset)
    if entry.kind == "encoder" and (weights := plugin.known_weights()):
        document["weights"] = [_weights_facts(name, data) for name, data in weights.items()]
    if dataset and entry.kind == "encoder":
        preset = "small" if "small" in plugin.recipes else next(iter(plugin.recipes))
        document["reading"] = reading_facts(plugin, preset, dataset, data_root, protocol)
    return document


def _print_plugin(entry: Entry, document: dict[str, Any], dataset: str | None) -> None:
    apart = ("recipes", "weights", "reading", "not_loaded")
    facts = {key: value for key, value in document.items() if key not in apart}
    _print_facts(facts, entry.full_name)
    if "not_loaded" in document:
        console.note(f"recipes cannot be shown: {document['not_loaded']}")
    if "recipes" in document:
        print_recipes(entry.kind, registry.load_plugin(entry.kind, entry.full_name), dataset)
    if "weights" in document:
        console.echo()
        show_table(document["weights"], title="known weights, for encoder.build.weights")
    if "reading" in document:
        print_reading(document["reading"])


def _weights_facts(name: str, data: PretrainingData) -> dict[str, str]:
    saw = [f"{dataset} {what}" for dataset, what in data.saw.items()]
    saw.append(f"other sets {data.others}" if saw else data.others)
    declared = " (declared)" if data.declared and data.others != "undisclosed" else ""
    return {"weights": name, "licence": data.licence, "saw": ", ".join(saw) + declared, "source": data.source}


def _get_facts(entry: Entry) -> dict[str, object]:
    facts = {name: getattr(entry, name) for name in _FACTS}
    sites = {m: " and ".join(found) for m, found in entry.sites}
    asks = {target: f"{about.question} Labels: {about.labels}" for target, about in entry.asks}
    return {**facts, "modalities": list(entry.modalities), "asks": asks, "sites": sites, "source": str(entry.source)}


_FACTS = (
    *("kind", "name", "full_name", "package", "version", "summary", "experimental", "paper", "modalities", "licence"),
    *("address", "availability", "download", "hours", "asks", "sites", "target", "revision"),
    *("broken", "source"),
)


# Facts of a plugin's class for `embench info`, which imports it: its recipes as paths of `--set`, and how an encoder
# reads a dataset.

WITH_RECIPES = ("encoder", "pretrainer", "fusion")
_NOT_SET = ("assumed", "datasets")


def recipe_facts(kind: str, recipes: Mapping[str, Recipe], dataset: str | None = None) -> dict[str, dict[str, Any]]:
    """Return preset -> path of a setting, as in `--set` -> value. Include the changes for `dataset`, if it is named."""
    known = {preset: recipe.apply_dataset(dataset) if dataset else recipe for preset, recipe in recipes.items()}
    return {preset: dict(_iterate_settings(kind, vars(recipe))) for preset, recipe in known.items()}


def print_recipes(kind: str, plugin: Any, dataset: str | None) -> None:
    """Print a table of the settings that differ from the defaults. For plugins other than estimators, also print a
    sentence with the default settings."""
    from embench.interfaces.fusion import Estimator
    from embench.interfaces.recipe import Recipe

    facts = recipe_facts(kind, plugin.recipes, dataset)
    usual = dict(_iterate_settings(kind, vars(Recipe())))
    paths = list(dict.fromkeys(path for settings in facts.values() for path in settings))
    changed = [p for p in paths if p not in usual or any(settings.get(p) != usual[p] for settings in facts.values())]
    rows = [{"--set": path, **{name: _format_setting(facts[name], path) for name in facts}} for path in changed]
    where = f" on {dataset}" if dataset else ""
    show_table(rows, title=f"recipes{where}")
    if not issubclass(plugin, Estimator) and (rest := [path for path in paths if path not in changed]):
        same = ", ".join(f"{path}={_format_setting(usual, path)}" for path in rest)
        console.wrapped(f"The settings {same} are equal in {'all' if len(facts) > 2 else 'these'} recipes.")
    elif not rows:
        console.wrapped("recipes: none changes a setting")
    if rows:
        example = next((path for path in changed if path.endswith((".lr", ".epochs"))), changed[0])
        value = _format_setting(next(settings for settings in facts.values() if example in settings), example)
        name = example.partition(".")[2]
        for_modality = f" {kind}[eda].{name} changes the setting for eda only." if kind == "encoder" else ""
        console.wrapped(f"To change a setting: embench run ... --set {example}={value}.{for_modality}")
    for preset, recipe in {} if dataset else plugin.recipes.items():
        for name, changes in recipe.datasets.items():
            values = ", ".join(f"{path}={_text(value)}" for path, value in _iterate_settings(kind, changes))
            console.wrapped(f"{preset} on {name}: {values}")
    console.echo()


def reading_facts(encoder: type[Encoder], preset: str, dataset: str, data_root: Path | None, protocol: str) -> Any:
    """Return the facts of how an encoder reads a dataset: rates, band and channels of each modality that it accepts,
    and the modalities that the dataset lacks or the encoder does not read."""
    from embench.data.find import find_source
    from embench.protocols import load_protocol

    rules, card = load_protocol(protocol), find_source(dataset, data_root).card
    recipe = encoder.recipes[preset].apply_dataset(card.name)
    read = [m for m in card.modalities if m in encoder.accepts]
    wired = {m: _get_wiring(m, card.modalities[m].channels, encoder(recipe)) for m in read}
    return {
        "dataset": card.name,
        "protocol": rules.name,
        "recipe": preset,
        "modalities": {m: _describe_reading(m, card.modalities[m], encoder(recipe), rules) for m in read},
        "channels": {m: known for m, known in wired.items() if known},
        "lacking": sorted(encoder.accepts - set(card.modalities)),
        "not_read": [m for m in card.modalities if m not in encoder.accepts],
    }


def rate_facts(card: Card, protocol: str) -> dict[str, str]:
    """Return modality -> text with its recorded rate, and the rate at which encoders read it by default."""
    from embench.protocols import load_protocol

    rules = load_protocol(protocol)
    signals = [(m, own) for m, own in card.modalities.items() if m != "video"]
    return {m: f"{_describe_recorded(own)} (read at {_prepared_hz(m, rules):g} Hz)" for m, own in signals}


def print_reading(facts: Mapping[str, Any]) -> None:
    """Print the result of `reading_facts`."""
    title = f"how the encoder reads {facts['dataset']}, {facts['protocol']}, recipe {facts['recipe']}"
    show_table(({"modality": m, **row} for m, row in facts["modalities"].items()), title=title)
    if not facts["modalities"]:
        console.wrapped(f"{title}: the encoder accepts no modality of {facts['dataset']}", bold=True, colour="red")
    for m, wired in facts["channels"].items():
        if "refused" in wired:
            console.wrapped(f"the encoder cannot read {m}: {wired['refused']}", colour="red")
            continue
        made = [name if source == name else f"{name} ({source})" for name, source in wired["read"].items()]
        left = f"; not used: {', '.join(wired['left_out'])}" if wired["left_out"] else ""
        console.wrapped(f"channels of {m} in the order of the network: {', '.join(made)}{left}")
    texts = {
        "not_read": f"modalities of {facts['dataset']} that the encoder does not read",
        "lacking": f"modalities that the encoder accepts and {facts['dataset']} lacks",
    }
    for key in (key for key in texts if facts[key]):
        console.wrapped(f"{texts[key]}: {', '.join(facts[key])}")
    console.echo()


def _get_wiring(modality: str, channels: tuple[str, ...], encoder: Encoder) -> dict[str, Any]:
    """Return how channels of a dataset become inputs of an encoder's network: `read` (input -> channels) and `left_out`
    (unused channels), or `refused` (the reason). Empty if the inputs are the channels themselves."""
    try:
        wired = encoder.network_channels(modality, channels)
    except UsageError as error:
        return {"refused": error.what}
    if list(wired) == list(channels):
        return {}
    used = {name for sources in wired.values() for name in sources}
    return {
        "read": {name: "-".join(sources) for name, sources in wired.items()},
        "left_out": [name for name in channels if name not in used],
    }


def _describe_reading(modality: str, card: ModalityCard, encoder: Encoder, protocol: Protocol) -> dict[str, str]:
    from embench.signals.preprocess import LINEAR, band_after

    count = len(card.channels)
    channels = ", ".join(card.channels) if count <= 4 else f"{count}: {card.channels[0]} to {card.channels[-1]}"
    facts = {"channels": channels, "recorded": _describe_recorded(card)}
    if modality == "video":
        frames = encoder.recipe.prepare.get("frames_hz")
        return {**facts, "read": f"{frames:g} frames/s" if frames else "", "band": ""}
    prepared = _prepared_hz(modality, protocol)
    recipe_hz = encoder.recipe.prepare.get("rate_hz") if encoder.reads == "stream" and modality != "face_au" else None
    read = "features of " if encoder.reads == "features" else ""
    rates = (card.rate, prepared, recipe_hz or prepared)
    high, low = band_after(modality, rates, card.applied, protocol.preprocess)
    high = max(high, float(encoder.recipe.prepare.get("high_hz", 0.0)))
    band = f"{high:g} to {low:g} Hz" if modality not in LINEAR else "not filtered"
    return {**facts, "read": f"{read}{recipe_hz or prepared:g} Hz", "band": band}


def _describe_recorded(card: ModalityCard) -> str:
    return "varies" if math.isnan(card.rate) else f"{card.rate:g} Hz"


def _prepared_hz(modality: str, protocol: Protocol) -> float:
    """Return the rate of a prepared signal in Hz; encoders read it unless their recipe sets another rate."""
    from embench.signals.preprocess import VIDEO_FEATURES_HZ

    return VIDEO_FEATURES_HZ if modality == "face_au" else protocol.rate_hz


def _iterate_settings(kind: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of each field of a recipe, as `--set` names it: `encoder.lr`, `encoder.build.layers`."""
    from embench.planning.parts import list_fields

    named = {name: value for name, value in fields.items() if name not in _NOT_SET}
    return ((f"{kind}.{path}", value) for path, value in list_fields(named))


def _format_setting(settings: Mapping[str, Any], path: str) -> str:
    return _text(settings[path]) if path in settings else "-"


def _text(value: Any) -> str:
    """Format a value as YAML without spaces, so that a shell does not split it."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


# `embench plugin`: create and check the user's own package.

plugin_app = typer.Typer(help="Create and check your own plugin packages.", no_args_is_help=True)


@plugin_app.command("new")
def new_plugin(
    kind: Annotated[
        str,
        Argument(
            metavar="KIND", help="dataset, encoder, pretrainer, fusion, estimator (a fusion), metric or observer."
        ),
    ],
    name: Annotated[str, Argument(metavar="NAME", help="Name of the plugin, as users type it.")],
    out: Annotated[Path | None, Option(help="Folder to write; default: embench-NAME.")] = None,
    author: Annotated[str | None, Option(help="Your name, for the licence; default: the git user name.")] = None,
) -> None:
    """Create a package with one working plugin and its tests, as a starting point."""
    from embench.authoring import NO_AUTHOR, write_package

    package = write_package(kind, name, out, author)
    console.echo(f"{package.folder}: written")
    for path in package.files:
        console.echo(f"  {path}")
    if NO_AUTHOR in (package.folder / "LICENSE").read_text(encoding="utf-8"):
        console.note(f"replace `{NO_AUTHOR}` by your name in LICENSE and pyproject.toml")
    place = package.folder.as_posix()
    path = shlex.quote(place if package.folder.is_absolute() else f"./{place}")
    console.echo(f"next:\n  pip install -e {path}")
    for line in (f"embench plugin check {package.package}", *package.try_it):
        console.command(line)


@plugin_app.command("check")
def check_packages(
    target: Annotated[
        str,
        Argument(
            metavar="PACKAGE",
            help="An installed package, the name of a plugin, PACKAGE/NAME, FILE.py or FILE.py:CLASS.",
        ),
    ],
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Check plugins: registry entry, import and conformance; exit with 1 on a failure."""
    from embench.authoring import check_plugins

    found = list(check_plugins(target, data_root))
    failed = [one for one in found if one.fault]
    if as_json:
        console.document({"target": target, "passed": not failed, "checks": [asdict(one) for one in found]})
    else:
        check = TableColumn("check", lambda one: one.check, whole=True)
        show_table(found, [field("plugin"), check, TableColumn("result", _get_result)], title=f"checks of {target}")
    if failed:
        names = ", ".join(dict.fromkeys(one.plugin for one in failed))
        traces = "".join(f"\n{one.trace}" for one in failed if one.trace)  # which --debug prints
        raise CheckFailed(f"{len(failed)} of {len(found)} checks failed: {names}") from RuntimeError(traces)


def _get_result(one: PluginCheck) -> str:
    if one.skipped:
        return f"not checked: {one.skipped}"
    if not one.fault:
        return f"passed ({one.seconds:.1f} s)" if one.seconds else "passed"
    where = f" Where: {one.where}." if one.where else ""
    remedy = f" What to do: {one.remedy}." if one.remedy else ""
    return f"FAILED: {one.fault}.{where}{remedy}"
