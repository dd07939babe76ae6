"""`embench tune`: settings of a method, chosen by the scores of validation subjects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from embench.cli import console
from embench.cli.options import Json, with_options
from embench.cli.progress import Progress
from embench.cli.tables import show_table
from embench.planning.request import request_of
from embench.records.wording import score_or_reason

if TYPE_CHECKING:
    from embench.runs.tuning import Trial, Tuned


@with_options(
    *("dataset", "encoder", "pretrainer", "fusion", "modalities", "target", "protocol", "recipe", "seeds", "set"),
    *("device", "data-root", "runs", "train-dataset", "workers"),
    help_texts={"target": "The target by which settings are compared.", "set": "A setting that all trials have."},
    before={"search": "seeds", "trials": "seeds", "metric": "seeds"},
)
def tune(
    *,
    search: Annotated[
        list[str],
        Option(
            metavar="PATH=VALUES",
            help="What to search: encoder.lr=log:1e-4..1e-2, encoder.build.layers=1..4, fusion.batch=16,32; "
            "repeatable.",
        ),
    ],
    trials: Annotated[int, Option(min=1, help="Number of settings to try.")] = 20,
    metric: Annotated[str | None, Option(help="Score that decides; default: the headline.")] = None,
    sampler_seed: Annotated[int, Option(min=0, help="Seed of the choice of settings.")] = 0,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Search settings of a method with Optuna, on validation subjects only; each trial is counted as a look."""
    from embench.runs import tuning

    space = tuning.space_of(search)
    with Progress() as progress:
        found = tuning.tune(
            request_of(**options), space, trials, metric=metric, seed=sampler_seed, progress=progress.event
        )
    console.answer(as_json, _json(found), lambda: _show(found))


def _show(found: Tuned) -> None:
    ranked = found.ranked()
    rows = [
        {
            **dict(setting.split("=", 1) for setting in trial.settings),
            found.metric: score_or_reason(trial.result.scores.of(found.target)[found.metric]),
            "run": trial.result.id,
        }
        for trial in ranked
        if trial.result
    ]
    show_table(rows, title=f"{found.target}, validation subjects")
    for settings, error in {trial.settings: trial.error for trial in found.trials if trial.error}.items():
        console.note(f"{', '.join(settings)} failed: {error.what}")
    console.wrapped(
        f"The first of {len(ranked)} settings owes part of its score to being chosen. It is a result once it is "
        "tested, which opens the test labels:"
    )
    console.command(found.command)


def _json(found: Tuned) -> dict[str, Any]:
    def row(trial: Trial) -> dict[str, Any]:
        run = {"run": trial.result.id, "folder": str(trial.result.folder)} if trial.result else {}
        failed = {"error": str(trial.error)} if trial.error else {}
        return {"settings": list(trial.settings), "value": trial.value, **run, **failed}

    return {
        "target": found.target,
        "metric": found.metric,
        "trials": [row(trial) for trial in found.trials],
        "best": row(found.ranked()[0]),
        "command": found.command,
    }
