"""`embench data`: what data there are, whether they are whole, and how they are made ready."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json, Workers
from embench.errors import CheckFailed, EmbenchError, UsageError

if TYPE_CHECKING:
    from embench.interfaces.dataset import Card
    from embench.protocols import Protocol
    from embench.registry import Entry
    from embench.store import Store

app = typer.Typer(help="Look at data, generate them, check them, prepare them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="DATASET", help="`embench list dataset`.")]
ProtocolName = Annotated[str, typer.Option("--protocol", help="Name of a protocol, or its file.")]
_MARK = "EMBENCH_SYNTHETIC.json"


@app.command("status")
def status(
    dataset: Annotated[str | None, typer.Argument(metavar="[DATASET]")] = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Tell which datasets are there, where they are looked for, and how to get the others."""
    with console.stdout_kept(as_json):
        from embench import registry
        from embench.planning.locate import open_dataset

        if dataset:
            facts = [_status(registry.find("dataset", dataset), data_root)]
            facts[0]["people"] = len(open_dataset(dataset, data_root).subjects())
        else:
            facts = [_status_or_fault(entry, data_root) for entry in registry.entries("dataset") if not entry.alias_of]
    if as_json:
        console.document(facts)
        return
    said = {(True, True): "generated", (True, False): "found", (False, False): "missing"}
    states = ["broken" if f["broken"] else said[bool(f["found"]), bool(f["generated"])] for f in facts]
    rows = [[str(f["dataset"]), state, str(f["folder"])] for f, state in zip(facts, states, strict=True)]
    console.table(["dataset", "state", "folder"], rows)
    if dataset:
        shown = ("title", "targets", "modalities", "licence", "citation", "doi", "obtain", "verified_on_real")
        console.table(["card", ""], [[key.replace("_", " "), facts[0][key]] for key in shown])
        console.say(f"{facts[0]['people']} people")
    for fact in facts:
        if fact["broken"]:
            console.note(f"{fact['dataset']}: {fact['broken']}")
        elif not fact["found"]:
            console.say(f"{fact['dataset']}: {fact['obtain']}")


def _status(entry: Entry, data_root: Path | None) -> dict[str, Any]:
    """Where a dataset is looked for, and what its card says that a newcomer asks."""
    from embench import registry
    from embench.locations import data_folder

    folder = data_folder(entry, data_root)
    card: Card = registry.load("dataset", entry.full_name).card
    read = card.verified_on_real
    return {
        "dataset": entry.name,
        "title": card.title,
        "folder": str(folder),
        "found": folder.is_dir(),
        "generated": (folder / _MARK).is_file(),
        "broken": None,
        "modalities": ", ".join(card.default_modalities),
        "targets": ", ".join(target.name for target in card.targets),
        "licence": card.licence,
        "citation": card.citation,
        "doi": card.doi,
        "obtain": card.obtain,
        "verified_on_real": read if isinstance(read, str) else f"{read['date']}, by {read['by']}",
    }


def _status_or_fault(entry: Entry, data_root: Path | None) -> dict[str, Any]:
    """`_status`, or under `broken` why there is none: one faulty plugin must not hide the others."""
    from embench.locations import data_folder

    try:
        return _status(entry, data_root)
    except (EmbenchError, AttributeError) as error:  # an AttributeError: the class has no card, or one of other fields
        folder, fault = data_folder(entry, data_root), str(error).partition("\n")[0]
        return {"dataset": entry.name, "folder": str(folder), "found": False, "generated": False, "broken": fault}


@app.command("synthesize")
def synthesize(
    dataset: Name,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; it must be empty or not be there.")],
    subjects: Annotated[int, typer.Option("--subjects", min=1, help="People to make up.")] = 8,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all that is drawn.")] = 0,
    effect: Annotated[
        float, typer.Option("--effect", min=0.0, max=1.0, help="Strength of the planted effect; 0 is none.")
    ] = 1.0,
) -> None:
    """Write generated files in a dataset's exact format; whatever is computed from them says so."""
    from embench import registry

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty", where="--out", hint="name a new folder")
    entry = registry.find("dataset", dataset)
    registry.load("dataset", entry.full_name).synthesize(out, subjects=subjects, seed=seed, effect=effect)
    console.say(f"{out}: {subjects} made-up people in the format of {entry.name}, effect {effect:g}, seed {seed}")
    if out.name == entry.name.partition("/")[0]:
        console.say(f"use them with --data-root {out.parent}")


@app.command("verify")
def verify(dataset: Name, data_root: DataRoot = None, as_json: Json = False) -> None:
    """Read a dataset from end to end and tell what is missing, damaged or odd; exit 1 when something can't be used."""
    with console.stdout_kept(as_json):
        from embench.planning.locate import open_dataset

        reader = open_dataset(dataset, data_root)
        findings = reader.verify()
    if as_json:
        console.document([{"severity": f.severity, "where": f.where, "what": f.what} for f in findings])
    elif findings:
        console.table(["severity", "where", "what"], [[f.severity, f.where, f.what] for f in findings])
    else:
        console.say(f"{reader.root}: nothing to say, everything can be used")
    errors = [f for f in findings if f.severity == "error"]
    if errors:
        raise CheckFailed(f"{len(errors)} of {len(findings)} findings are errors", where=str(reader.root))


@app.command("prepare")
def prepare(
    dataset: Name,
    data_root: DataRoot = None,
    protocol: ProtocolName = "subject-independent-v1",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Filter, resample and store a dataset's signals; what was prepared before is not done again."""
    with console.stdout_kept(as_json):
        from embench.protocols import load

        store = _prepare(dataset, data_root, load(protocol), workers or 1)
    if as_json:
        console.document({
            "dataset": store.name,
            "folder": str(store.path),
            "key": store.key,
            "synthetic": store.synthetic is not None,
            "people": len(store.subjects),
            "recordings": len(store.recordings),
            "modalities": {name: {"channels": m.channels, "rate": m.rate} for name, m in store.modalities.items()},
            "left_out": [dict(item) for item in store.left_out],
        })  # fmt: skip
        return
    rows = [[n, str(len(m.channels)), f"{m.rate:g} Hz", m.unit] for n, m in store.modalities.items()]
    console.table(["modality", "channels", "rate", "unit"], rows, title=store.name)
    if store.left_out:
        keys = ["subject", "recording", "modality", "reason"]
        console.table(keys, [[str(item.get(k, "")) for k in keys] for item in store.left_out], title="left out")
    console.say(f"{len(store.subjects)} people, {len(store.recordings)} recordings")
    console.say(f"files: {store.path}")


@app.command("labels")
def labels(
    dataset: Name,
    data_root: DataRoot = None,
    protocol: ProtocolName = "subject-independent-v1",
    as_json: Json = False,
) -> None:
    """Tell how many units of each target have which label, by the card's rule."""
    with console.stdout_kept(as_json):
        from embench import registry
        from embench.protocols import load

        rules = load(protocol)
        store = _prepare(dataset, data_root, rules, 1)
        counts = _label_counts(store, registry.load("dataset", dataset).card, rules)
    if as_json:
        console.document(counts)
        return
    rows = [[str(value) for value in count.values()] for count in counts]
    console.table([key.replace("_", " ") for key in counts[0]], rows, title=store.name)


def _label_counts(store: Store, card: Card, protocol: Protocol) -> list[dict[str, Any]]:
    import numpy as np

    from embench.protocols import label_units, make_units

    raw_labels, counts = store.labels(), []
    for target in card.targets:
        kind: Any = store.label_kinds.get(target.label)
        units = make_units(store.recordings, card, kind, protocol) if kind else []
        _, made = label_units(units, raw_labels.get(target.label, {}), target.rule)
        there = np.isfinite(made)
        people = np.array([unit.subject for unit in units])[there]
        varied = sum(len(set(made[there][people == person])) > 1 for person in set(people.tolist()))
        values, number = np.unique(made[there], return_counts=True)
        text = ", ".join(f"{v:g}: {n}" for v, n in zip(values.tolist(), number.tolist(), strict=True))
        counts.append({
            "target": target.name,
            "kind": target.kind,
            "units": len(units),
            "without_label": int((~there).sum()),
            "people": len(set(people.tolist())),
            "people_with_several_labels": varied,
            "labels": text if target.kind != "value" else f"mean {made[there].mean():.3g}" if there.any() else "",
        })  # fmt: skip
    return counts


def _prepare(dataset: str, data_root: Path | None, protocol: Protocol, workers: int) -> Store:
    from embench.cli.progress import Progress
    from embench.planning.locate import prepared

    with Progress() as progress:

        def tell(done: int, total: int, who: str) -> None:
            if done == total or done % 5 == 0:
                progress.event({"event": "note", "text": f"prepared {done} of {total} people ({who})"})

        return prepared(dataset, data_root, protocol, workers, tell)
