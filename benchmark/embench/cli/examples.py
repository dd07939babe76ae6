"""Examples that stand below the options of each command's help."""

from __future__ import annotations

import typer

EXAMPLES = {
    "run": (
        "embench run --dataset amigos --encoder cnn_tf --fusion cross_attn --recipe quick --dry-run",
        "embench run --dataset stress_predict --encoder handcrafted --fusion logreg --modalities eda --seeds 0",
        "embench run --dataset deap --encoder eeg=tcn --encoder eda=cnn_tf --fusion late --set encoder.lr=1e-4",
        "embench run --from runs/deap/tcn-late-0123456789 --seeds 0,1,2",
    ),
    "grid": ("embench grid --dataset deap --encoder tcn --encoder cnn_tf --modalities eda --recipe quick",),
    "tune": (
        "embench tune --dataset wesad --encoder tcn --modalities eda --search encoder.lr=log:1e-4..1e-2 --trials 30",
    ),
    "pretrain": ("embench pretrain --corpus wearable_stress --encoder cnn_tf --pretrainer masked_value",),
    "list": ("embench list", "embench list encoder"),
    "info": ("embench info cnn_tf", "embench info cnn_tf --dataset stress_predict"),
    "doctor": ("embench doctor --data-root ~/data",),
    "audit": ("embench audit runs/deap/tcn-single-0123456789", "embench audit predictions.csv --dataset deap"),
    "baselines": ("embench baselines --dataset stress_predict --seeds 0",),
    "score": ("embench score predictions.csv --dataset stress_predict --name 'our method' --out scored/ours",),
    "export": (
        "embench export runs/deap/* --latex",
        "embench export runs/deap/* --methods --bibtex",
        "embench export runs/deap/tcn-single-0123456789 --reforms --out reforms.md",
        "embench export --board leaderboards/stress_predict --croissant --out croissant.json",
    ),
    "compare": ("embench compare runs/deap/*", "embench compare runs/a runs/b --metric auroc --all"),
    "claims": ("embench claims --dry-run", "embench claims vazquez2022 --recipe quick"),
    "report": ("embench report runs/deap/tcn-single-0123456789 --out report.html",),
    "data status": ("embench data status", "embench data status deap --data-root ~/data"),
    "data fetch": ("embench data fetch stress_predict --data-root ~/data",),
    "data verify": ("embench data verify deap --data-root ~/data",),
    "data labels": ("embench data labels deap --target arousal", "embench data labels deap --units units.csv"),
    "data controls": ("embench data controls stress_predict",),
    "data synthesize": ("embench data synthesize amigos --out demo/amigos --subjects 18",),
    "data new": ("embench data new ./study",),
    "data prepare": ("embench data prepare deap --workers 4",),
    "weights convert": ("embench weights convert best_model.pth --out weights/case",),
    "plugin new": ("embench plugin new encoder my_net",),
    "plugin check": ("embench plugin check embench_my_net", "embench plugin check ./my_net.py:MyNet"),
    "leaderboard show": (
        "embench leaderboard show",
        "embench leaderboard show stress_predict --filter modalities~eda --sort -auroc_within",
        "embench leaderboard show --target stress --format csv",
    ),
    "leaderboard build": ("embench leaderboard build --from runs",),
    "leaderboard site": ("embench leaderboard site --out pages",),
    "leaderboard submit": ("embench leaderboard submit runs/deap/tcn-single-0123456789",),
    "leaderboard supersede": (
        "embench leaderboard supersede leaderboards/eegmat/ENTRY --by NEW_ENTRY --why 'a bug in its encoder'",
    ),
    "leaderboard verify": ("embench leaderboard verify",),
    "leaderboard reproduce": ("embench leaderboard reproduce leaderboards/eegmat/ENTRY --stages 2",),
}
"""Command -> lines that can be typed."""


def add_examples(app: typer.Typer, group: str = "") -> None:
    """Puts the examples below the help of each command of an app and of its groups."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        if lines := EXAMPLES.get(f"{group}{name}"):
            command.epilog = "\n\n".join([f"Example{'s' * (len(lines) > 1)}:", *lines])  # a blank line: a new line
    for inner in app.registered_groups:
        if inner.typer_instance is not None:
            add_examples(inner.typer_instance, f"{inner.name} ")
