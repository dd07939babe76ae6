"""Delivery of a stage's events to observers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embench.callbacks import EventCallback
from embench.engine.executors import Outcome
from embench.engine.specs import Params
from embench.engine.stage import Folder, Stage


class Events:
    """Hands on what happens in a stage: called directly in this process, or read from the stage's folder."""

    def __init__(self, stage: Stage[Params], root: Path, on_event: EventCallback) -> None:
        self.stage, self.on_event = stage, on_event
        self.path = Folder(root, stage.id).file("events.jsonl")
        self.at = self.path.stat().st_size if self.path.is_file() else 0
        self.begun = False

    def begin(self) -> None:
        """Reports, the first time it is called, that the stage has started."""
        if not self.begun:
            self.begun = True
            self.on_event({"event": "stage_started", "stage": self.stage.facts})

    def emit(self, event: Mapping[str, Any]) -> None:
        """Reports an event with the stage it is of."""
        self.on_event({**event, "stage": self.stage.facts})

    def poll(self) -> None:
        """Reports the events that a worker appended since the last call, and first that the stage has started."""
        self.begin()
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    event = json.loads(line)
                except ValueError:  # on a shared disk, the length of a line may be seen before its content
                    break
                self.at += len(line)
                self.emit(event)

    def end(self, outcome: Outcome, done: int, total: int) -> None:
        """Reports that the stage has ended, with its figures, or has failed, with the reason; `done` of `total` stages
        are over."""
        if self.stage.id in outcome.errors:
            told: dict[str, Any] = {"event": "stage_failed", "error": outcome.errors[self.stage.id].what}
        else:
            told = {"event": "stage_ended", "figures": outcome.results[self.stage.id]}
        self.emit({**told, "done": done, "total": total})
