"""`embench tune`: settings of a method, chosen in each fold by the scores of its validation subjects."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from embench.cli import console
from embench.cli.options import Json, with_options
from embench.cli.tables import show_table
from embench.planning.request import command_of, request_of
from embench.records.wording import format_figure
from embench.screen.progress import Progress

if TYPE_CHECKING:
    from embench.runs.tuning import Tuned


@with_options(
    *("dataset", "encoder", "pretrainer", "fusion", "modalities", "target", "protocol", "recipe", "seeds", "set"),
    *("device", "data-root", "runs", "train-dataset", "workers"),
    help_texts={"set": "A setting that all trials share."},
    before={"search": "seeds", "trials": "seeds"},
)
def tune(
    *,
    search: Annotated[
        list[str],
        Option(
            metavar="PATH=VALUES",
            help="Settings to search: encoder.lr=log:1e-4..1e-2, encoder.build.layers=1..4, fusion.batch=16,32; "
            "repeatable.",
        ),
    ],
    trials: Annotated[
        int, Option(min=1, help="Number of trials; the first trial uses the default settings of the method.")
    ] = 20,
    sampler_seed: Annotated[int, Option(min=0, help="Seed of the sampled settings.")] = 0,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Choose the settings of a method in each fold, on validation subjects only."""
    from embench.planning.tuning import Search, space_of
    from embench.runs import tuning

    space_of(search)
    with Progress() as progress:
        found = tuning.tune(
            request_of(**options), Search(space=tuple(search), trials=trials, seed=sampler_seed), progress.event
        )
    document = _json(found)
    console.answer(as_json, document, lambda: _show(found, document))


def _json(found: Tuned) -> dict[str, Any]:
    choices = found.tuning.choices
    folders = {"--data-root": found.request.data_root, "--runs": found.request.runs}
    words = [word for name, folder in folders.items() if folder is not None for word in (name, str(folder))]
    command = " ".join([command_of(asdict(found.request)), *([shlex.join(words)] if words else [])])
    scores = ", ".join(dict.fromkeys(choice.score for choice in choices))
    return {
        "score": scores,
        "choices": len(choices),
        "trials": found.trials,
        "file": str(found.file),
        "command": command,
    }


def _show(found: Tuned, document: dict[str, Any]) -> None:
    rows = [
        {
            "trial": row["trial"],
            **(dict(setting.split("=", 1) for setting in row["settings"]) or dict.fromkeys(_paths(found), "default")),
            **{target: "-" if mean is None else format_figure(mean) for target, mean in row["means"].items()},
            "chosen": f"{row['chosen']} of {document['choices']}",
        }
        for row in document["trials"]
    ]
    show_table(rows, title=f"{document['score']}, mean over the validation subjects of all folds")
    for number, error in found.errors.items():
        console.note(f"{', '.join(found.tuning.search.settings[number])} failed: {error.what}")
    console.wrapped(
        "Each fold uses the trial with the best score on its validation subjects. This score is too high because it "
        "was selected. Test the selected settings (this counts as a test-set evaluation):"
    )
    console.command(document["command"])


def _paths(found: Tuned) -> list[str]:
    return [text.partition("=")[0].strip() for text in found.tuning.search.space]
