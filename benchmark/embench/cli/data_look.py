"""`embench data look`: a dataset's signals, faults, labels and controls on one page, before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Option

from embench.cli import console
from embench.cli.options import DataRoot, DatasetName, ProtocolName
from embench.cli.tables import show_parts
from embench.errors import UsageError
from embench.planning.request import Request
from embench.registry.naming import did_you_mean
from embench.screen.plan import unanswerable_parts
from embench.screen.progress import Steps


def look(
    dataset: DatasetName,
    target: Annotated[
        str | None, Option(help="Targets, comma-separated; default: the targets of the dataset card.")
    ] = None,
    data_root: DataRoot = None,
    protocol: ProtocolName = Request.protocol,
    out: Annotated[Path, Option(help="File to write; an existing file is replaced.")] = Path("look.html"),
    subjects: Annotated[
        str | None,
        Option(help="Plot signals of these subjects only, such as S02,S07; everything else covers all subjects."),
    ] = None,
) -> None:
    """Write a page about a dataset: signals, faults, labels, units, confound-only models, statistical power."""
    from embench.data.cohort import card_for_protocol, choose_targets
    from embench.data.find import CORPUS, OWN, card_of, open_dataset, place, prepared
    from embench.protocols import load_protocol
    from embench.report.look import LookedAt, write_look
    from embench.statistics.answerable import find_unanswerable, without_repeats

    if not out.absolute().parent.is_dir():
        raise UsageError(f"the folder {out.parent} does not exist", where="--out")
    rules = load_protocol(protocol)
    card = card_for_protocol(rules, card_of(dataset, data_root))
    chosen = choose_targets(card, target) if card.targets or target else ()
    with Steps("subjects", "prepared") as steps:
        store = prepared(dataset, data_root, rules, 1, steps)
        people = (
            list(store.subjects)
            if subjects is None
            else list(dict.fromkeys(name.strip() for name in subjects.split(",")))
        )
        for name in people:
            if name not in store.subjects:
                hint = did_you_mean(name, list(store.subjects))
                raise UsageError(f"subject `{name}` does not exist in this dataset", where="--subjects", hint=hint)
        own = place(dataset, data_root)[0].name in (OWN, CORPUS)
        of = LookedAt(open_dataset(dataset, data_root), store, card, rules, chosen, people, own)
        cannot_answer = without_repeats(find_unanswerable(store, card, chosen, rules))
        path = write_look(replace(of, cannot_answer=cannot_answer), out, steps.part)
    console.echo(f"{path}: signals of {len(people)} subjects; {path.stat().st_size / 1e6:.1f} MB")
    show_parts(unanswerable_parts(cannot_answer))
    if own or card.labels_public != "yes":
        console.note("the page contains participants' signals: do not share it")
