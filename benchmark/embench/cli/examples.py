"""Examples that stand below the options of each command's help."""

from __future__ import annotations

import typer

from embench.cli import console

EXAMPLES = {
    "run": (
        "embench run --dataset amigos --encoder cnn_tf --fusion cross_attn --recipe quick --dry-run",
        "embench run --dataset stress_predict --encoder handcrafted --fusion logreg --modalities eda --seeds 0",
        "embench run --dataset deap --encoder eeg=tcn --encoder eda=cnn_tf --fusion late --set encoder.lr=1e-4",
        "embench run --from leaderboards/stress_predict/subject-independent-v3/unet_se-single-5a285baaad",
    ),
    "grid": (
        "embench grid --dataset deap --encoder tcn --encoder cnn_tf --modalities eda --recipe quick",
        "embench grid status runs",
    ),
    "tune": (
        "embench tune --dataset wesad --encoder tcn --modalities eda --search encoder.lr=log:1e-4..1e-2 --trials 30",
        "embench tune --dataset wesad --encoder handcrafted --fusion logreg --search fusion.build.C=log:1e-3..10",
    ),
    "predict": (
        "embench predict runs/amigos/tcn-single-0123456789 --dataset ./study --out new.csv",
        "embench predict runs/study/handcrafted-ridge-0123456789 --dataset ./new_people",
    ),
    "pretrain": (
        "embench pretrain --corpus wearable_stress --encoder cnn_tf --pretrainer masked_value",
        "embench pretrain --corpus case --encoder tcn --pretrainer signal_transform --modalities eda --recipe quick",
    ),
    "list": ("embench list", "embench list encoder", "embench list protocol"),
    "info": (
        "embench info cnn_tf",
        "embench info cnn_tf --dataset stress_predict",
        "embench info subject-independent-v3",
    ),
    "doctor": ("embench doctor", "embench doctor --data-root ~/data"),
    "clean": ("embench clean", "embench clean data stages --yes"),
    "audit": ("embench audit runs/deap/tcn-single-0123456789", "embench audit predictions.csv --dataset deap"),
    "baselines": (
        "embench baselines --dataset stress_predict --seeds 0",
        "embench baselines --dataset amigos --modalities ecg,eda --target arousal",
        "embench baselines --dataset amigos --set standard-v1 --level extended --hours 8 --dry-run",
    ),
    "score": (
        "embench score predictions.csv --dataset stress_predict",
        "embench score predictions.csv --dataset stress_predict --name ours --out scored/ours",
    ),
    "export": (
        "embench export runs/deap/* --latex",
        "embench export runs/deap/* --methods --bibtex",
        "embench export runs/deap/* --table ratings.csv",
    ),
    "compare": ("embench compare runs/deap/*", "embench compare runs/a runs/b --metric auroc --all"),
    "claims": (
        "embench claims",
        "embench claims vazquez2022 --dry-run",
        "embench claims woo2023 --claim W1 --recipe quick --seeds 0",
    ),
    "report": (
        "embench report runs/deap/tcn-single-0123456789",
        "embench report runs/deap/tcn-single-0123456789 --share --out report.html",
    ),
    "data status": ("embench data status", "embench data status deap --data-root ~/data"),
    "data fetch": (
        "embench data fetch stress_predict --data-root ~/data",
        "embench data fetch faced --subjects sub-004,sub-036,sub-061",
    ),
    "data verify": ("embench data verify deap --data-root ~/data", "embench data verify ./study"),
    "data labels": ("embench data labels deap --target arousal", "embench data labels deap --units units.csv"),
    "data confounds": (
        "embench data confounds stress_predict",
        "embench data confounds amigos --target arousal --data-root ~/data",
    ),
    "data look": (
        "embench data look stress_predict --out look.html",
        "embench data look ./study --subjects S02,S07 --out two.html",
    ),
    "data synthesize": (
        "embench data synthesize amigos --out demo/amigos --subjects 18",
        "embench data synthesize stress_predict --out demo/stress_predict",
    ),
    "data new": ("embench data new ./study", "embench data new ~/recordings/second_study"),
    "data prepare": ("embench data prepare deap --workers 4", "embench data prepare ./study"),
    "data pseudonyms": ("embench data pseudonyms ./study", "embench data pseudonyms ./study --json"),
    "weights convert": (
        "embench weights convert best_model.pth --out weights/case",
        "embench weights convert checkpoints/encoder_last.pt --out weights/encoder --json",
    ),
    "plugin new": ("embench plugin new encoder my_net", "embench plugin new dataset my_study --out ~/my_study"),
    "plugin check": ("embench plugin check embench_my_net", "embench plugin check ./my_net.py:MyNet"),
    "leaderboard show": (
        "embench leaderboard show",
        "embench leaderboard show stress_predict --filter modalities~eda --sort -auroc_within",
        "embench leaderboard show --target stress --format csv",
    ),
    "leaderboard build": ("embench leaderboard build", "embench leaderboard build --from runs"),
    "leaderboard site": (
        "embench leaderboard site --out pages",
        "embench leaderboard site --out pages --notes docs/boards",
        "embench leaderboard site --runs runs --out pages",
    ),
    "leaderboard submit": (
        "embench leaderboard submit runs/deap/tcn-single-0123456789",
        "embench leaderboard submit runs/study/tcn-single-0123456789 --data-root . --consent --ethics 'IRB, no. 17'",
    ),
    "leaderboard supersede": (
        "embench leaderboard supersede leaderboards/eegmat/ENTRY --by NEW_ENTRY --why 'a bug in its encoder'",
        "embench leaderboard supersede leaderboards/eegmat/ENTRY --by NEW_ENTRY --why 'another recipe was meant'",
    ),
    "leaderboard verify": (
        "embench leaderboard verify leaderboards",
        "embench leaderboard verify leaderboards/eegmat/subject-independent-v3/ENTRY --data-root ~/data",
    ),
    "leaderboard reproduce": (
        "embench leaderboard reproduce leaderboards/eegmat/ENTRY --by 'A. Name' --stages 2",
        "embench leaderboard reproduce leaderboards/eegmat --by 'A. Name' --data-root ~/data",
    ),
}
"""Command -> lines that can be typed."""

_WIDTH = 78
"""Characters of a line of an example, without the margins."""


def add_examples(app: typer.Typer, group: str = "") -> None:
    """Puts the examples below the help of each command of an app and of its groups."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        if lines := EXAMPLES.get(f"{group}{name}"):
            command.epilog = "\n".join(["Examples:", *(console.folded_command(line, _WIDTH) for line in lines)])
    for inner in app.registered_groups:
        if inner.typer_instance is not None:
            add_examples(inner.typer_instance, f"{inner.name} ")
