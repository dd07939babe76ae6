"""Observer `mlflow`: runs in the experiment `embench` of MLflow.

They go where `MLFLOW_TRACKING_URI` points, else into the file `mlflow.db` of the working folder, which
`mlflow ui --backend-store-uri sqlite:///mlflow.db` shows. MLflow's own reports of usage are off unless
`MLFLOW_DISABLE_TELEMETRY` is set otherwise.
"""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Mapping
from typing import Any

import embench
from embench_plugins.observers.figures import final, library, numbers, settings, stage_name

EXPERIMENT = "embench"
_PACKAGES = "mlflow-skinny sqlalchemy alembic"


class MlFlow:
    """One run of MLflow for each run; a run that does not end is marked as failed when the process does."""

    def __init__(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves this machine unasked
        mlflow = library("mlflow", "MLflow", _PACKAGES)
        for module in () if os.environ.get("MLFLOW_TRACKING_URI") else ("sqlalchemy", "alembic"):
            library(module, "MLflow's local store", _PACKAGES)
        self._client = mlflow.MlflowClient()
        self._runs: dict[str, str] = {}
        atexit.register(self._fail_open_runs)

    @embench.hookimpl
    def run_started(self, run: Mapping[str, Any]) -> None:
        """A run with its settings as parameters."""
        known = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else self._client.create_experiment(EXPERIMENT)
        made = self._client.create_run(experiment, run_name=run["id"], tags={"embench.run": run["id"]})
        self._runs[run["id"]] = made.info.run_id
        for name, value in settings(run).items():
            self._client.log_param(made.info.run_id, _allowed(name), value)

    @embench.hookimpl
    def epoch_ended(self, stage: Mapping[str, Any], epoch: int, figures: Mapping[str, Any]) -> None:
        """Figures of an epoch as `stage/figure`."""
        self._log(stage, numbers(figures), epoch)

    @embench.hookimpl
    def stage_ended(self, stage: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        """Logs the cost of a stage, as `stage/stage.figure`."""
        self._log(stage, {f"stage.{name}": value for name, value in numbers(figures).items()}, 0)

    @embench.hookimpl
    def run_ended(self, run: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Final scores as `target/metric/mean`, `low` and `high`."""
        mine = self._runs.pop(run["id"])
        for name, value in final(scores).items():
            self._client.log_metric(mine, _allowed(name), value)
        self._client.set_terminated(mine)

    def _log(self, stage: Mapping[str, Any], values: Mapping[str, float], step: int) -> None:
        for run in stage["runs"]:
            for name, value in values.items():
                self._client.log_metric(self._runs[run], _allowed(f"{stage_name(stage)}/{name}"), value, step=step)

    def _fail_open_runs(self) -> None:
        for run in self._runs.values():
            self._client.set_terminated(run, "FAILED")


def _allowed(name: str) -> str:
    """A name with only what MLflow takes.

    >>> _allowed("parts.encoder[ecg+eda].plugin")
    'parts.encoder-ecg-eda-.plugin'
    """
    return re.sub(r"[^\w. :/-]", "-", name)
