"""Hooks of a run for observers, and their calls: observers see copies, and can't stop or change a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal

import pluggy

from embench.errors import EmbenchError, PluginError
from embench.registry.catalogue import find
from embench.registry.loading import load_entry, origin

PROJECT = "embench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an observer's methods: `@embench.hookimpl`. A method may leave out arguments that it does not need."""


Event = Literal["run_started", "stage_started", "epoch_ended", "stage_ended", "run_ended"]


class LifecycleSpec:
    """The events of a run, in the order they come. Mappings hold plain values: text, numbers, lists, mappings.

    >>> class Losses:
    ...     @hookimpl
    ...     def epoch_ended(self, epoch, figures):
    ...         print(epoch, figures["loss"])
    >>> Observers([Losses()]).tell("epoch_ended", stage={"kind": "fit"}, epoch=1, figures={"loss": 0.7})
    1 0.7
    """

    @hookspec
    def run_started(self, run: Mapping[str, Any]) -> None:
        """A run begins; `run` is its resolved configuration."""

    @hookspec
    def stage_started(self, stage: Mapping[str, Any]) -> None:
        """A stage begins; `stage` has `id`, `kind`, `runs` (the ids of the runs that need it: in a grid, runs share
        stages) and, where they apply, `fold`, `seed`, `modality`, `target`."""

    @hookspec
    def epoch_ended(self, stage: Mapping[str, Any], epoch: int, figures: Mapping[str, Any]) -> None:
        """An epoch (from 1) of a stage is over; `figures` has the losses and what else the method reports."""

    @hookspec
    def stage_ended(self, stage: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        """A stage is done; `figures` has its cost."""

    @hookspec
    def run_ended(self, run: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """The run is over and its record is written; `scores` is what `scores.json` holds;
        `embench.Scores(scores)` reads it as objects."""


class Observers:
    """Calls observers one after the other; one that raises is disabled with a warning, the others go on.

    Args:
        observers: objects with methods marked by `hookimpl`.

    Raises:
        PluginError: an observer watches nothing, or something that there is not.
    """

    def __init__(self, observers: Iterable[object] = ()) -> None:
        self._active = [(_title(observer), _manager(observer)) for observer in observers]

    @classmethod
    def named(cls, names: Sequence[str]) -> Observers:
        """The observers that these names mean, each made without arguments.

        Raises:
            UsageError: there is no such observer.
            PluginError: an observer cannot be imported or made, or watches nothing.
        """
        observers = []
        for name in names:
            entry = find("observer", name)
            try:
                observers.append(load_entry(entry)())
            except EmbenchError:
                raise
            except Exception as error:  # the plugin boundary
                problem = f"cannot create observer `{entry.name}` of {entry.home}: {type(error).__name__}: {error}"
                raise PluginError(problem, where=origin(entry)) from error
        return cls(observers)

    def tell(self, hook: Event, **event: Any) -> None:
        """Passes an event to every observer, with the arguments that its hook has."""
        for title, manager in list(self._active):
            own = {key: plain(value) for key, value in event.items()}  # a copy each: none can reach another's or ours
            try:
                getattr(manager.hook, hook)(**own)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # the plugin boundary
                self._active.remove((title, manager))
                problem = f"{type(error).__name__}: {error}"
                warnings.warn(f"observer {title} is disabled, because it raised in {hook}: {problem}", stacklevel=2)


def plain(value: Any) -> Any:
    """A deep copy of plain values. Raises TypeError for anything else: no array or model gets out by mistake.

    >>> plain({"targets": ("arousal", "valence")})
    {'targets': ['arousal', 'valence']}
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # one number of numpy or torch
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(item) for item in value]
        return items if isinstance(value, list | tuple) else sorted(items, key=str)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"an event must contain plain values only, not {type(value).__name__}")


def _title(observer: object) -> str:
    return f"{type(observer).__module__}.{type(observer).__qualname__}"


def _manager(observer: object) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(LifecycleSpec)
    try:
        manager.register(observer)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = ", ".join(name for name in vars(LifecycleSpec) if not name.startswith("_"))
        raise PluginError(
            f"observer {_title(observer)} does not match the hooks: {error}", expected=f"hooks {known}"
        ) from error
    if not manager.get_hookcallers(observer):
        hint = "mark its methods with @embench.hookimpl"
        raise PluginError(f"observer {_title(observer)} implements no hook", hint=hint)
    return manager
