"""Settings of a method that a sampler chooses by the scores of validation subjects; the test labels stay closed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from embench.callbacks import EventCallback
from embench.data import find
from embench.data.cohort import card_for_protocol
from embench.engine.device import resolve_device
from embench.errors import DataError, EmbenchError, Unfinished, UsageError
from embench.planning.method import resolve_method
from embench.planning.request import Request, command_of
from embench.protocols import load_protocol
from embench.runs import run as runner
from embench.statistics.metrics import metric_facts
from embench.statistics.result import Result
from embench.system import not_installed

_RANGE = re.compile(r"(?P<log>log:)?(?P<low>[^.,].*?)\.\.(?P<high>.+)")
_DIGITS = 3
"""Significant digits of a number that is tried: more would look as if they mattered."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: integers, or any; by their logarithm where `log`."""

    low: float
    high: float
    log: bool
    whole: bool


Space = Mapping[str, Range | tuple[str, ...]]
"""Path of a setting -> where its values come from."""


@dataclass(frozen=True)
class Trial:
    """Settings that were tried: their score `value` and the run `result`, both None where it failed with `error`."""

    settings: tuple[str, ...]
    result: Result | None = None
    value: float | None = None
    error: EmbenchError | None = None


@dataclass(frozen=True)
class Tuned:
    """The trials of a search in their order, compared by `metric` of `target`."""

    request: Request
    target: str
    metric: str
    trials: tuple[Trial, ...]

    def ranked(self) -> list[Trial]:
        """The trials that have a score, each settings once, best first; of equal ones the first tried."""
        sign = -1 if metric_facts(self.metric).higher else 1
        scored = {trial.settings: trial for trial in reversed(self.trials) if trial.value is not None}
        order = {trial.settings: number for number, trial in reversed(list(enumerate(self.trials)))}
        return sorted(scored.values(), key=lambda t: (sign * (t.value or 0.0), order[t.settings]))

    @property
    def command(self) -> str:
        """The command that tests the best settings, in the same folders: it opens the test labels."""
        best = replace(self.request, dev=False, settings=(*self.request.settings, *self.ranked()[0].settings))
        folders = {"--data-root": best.data_root, "--runs": best.runs}
        words = [word for name, folder in folders.items() if folder is not None for word in (name, str(folder))]
        return " ".join([command_of(asdict(best)), *([shlex.join(words)] if words else [])])


def space_of(texts: Sequence[str]) -> Space:
    """The search space of texts such as `encoder.lr=log:1e-4..1e-2`, `encoder.build.layers=1..4` or
    `fusion.batch=16,32,64`.

    Raises:
        UsageError: a text cannot be read, or there is none.

    >>> space_of(["encoder.lr=log:1e-4..1e-2", "encoder.build.layers=1..4"])["encoder.build.layers"]
    Range(low=1, high=4, log=False, whole=True)
    """
    space: dict[str, Range | tuple[str, ...]] = {}
    for text in texts:
        path, _, values = text.partition("=")
        found = _RANGE.fullmatch(values.strip())
        choices = tuple(part.strip() for part in values.split(","))
        if not path.strip() or path.strip() in space or not all(choices) or (not found and len(choices) < 2):
            raise _unreadable(text)
        space[path.strip()] = _range(found, text) if found else choices
    if not space:
        raise UsageError("there is nothing to search", hint="--search encoder.lr=log:1e-4..1e-2")
    return space


def tune(
    request: Request,
    space: Space,
    trials: int = 20,
    *,
    metric: str | None = None,
    seed: int = 0,
    progress: EventCallback | None = None,
) -> Tuned:
    """Searches a space with Optuna's tree-structured Parzen estimator (Bergstra et al., 2011), one run with `--dev`
    after the other.

    The same call tries the same settings again, so one that was interrupted goes on where it stopped, and one with more
    `trials` adds to those that were made; a finished run is read again, and is not a new look at its subjects.

    Args:
        metric: whose mean over subjects decides; by default the headline. `seed`: of the sampler.

    Raises:
        UsageError: a path is none of the method's, or several targets are requested. DataError: the metric is undefined
            on the validation subjects. MachineError: Optuna is not installed. Unfinished: all trials failed.
    """
    optuna = _optuna()
    request = replace(request, dev=True)
    _check_paths(request, space)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    where = {path: _distribution(optuna, values) for path, values in space.items()}
    scored: list[Trial] = []
    target = ""
    for number in range(1, trials + 1):
        asked = study.ask(where)
        settings = tuple(f"{path}={_text(asked.params[path])}" for path in space)
        if progress:
            progress({"event": "note", "text": f"trial {number} of {trials}: {', '.join(settings)}"})
        try:
            result = runner.run(replace(request, settings=(*request.settings, *settings)), progress)
        except UsageError:
            raise
        except EmbenchError as error:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
            scored.append(Trial(settings, error=error))
            continue
        target, metric = _decided_by(result, metric)
        value = _mean(result, target, metric)
        study.tell(asked, value if metric_facts(metric).higher else -value)
        scored.append(Trial(settings, result, value))
    if metric is None or not target:
        errors = dict.fromkeys(str(trial.error) for trial in scored)
        raise Unfinished("no trial could be scored: " + "; ".join(errors))
    return Tuned(request, target, metric, tuple(scored))


def _check_paths(request: Request, space: Space) -> None:
    """Refuses a path that the method's recipes lack, before any data are read. What else is wrong, planning says."""
    card = card_for_protocol(load_protocol(request.protocol), find.card_of(request.dataset, request.data_root))
    device = resolve_device(request.device)
    for path, values in space.items():
        setting = f"{path}={_text(values.low if isinstance(values, Range) else values[0])}"
        tried = replace(request, settings=(*request.settings, setting))
        try:
            resolve_method(tried, card, list(card.modalities), device)
        except UsageError as error:
            if error.where == f"--set {setting}":
                what, where = error.what.replace(setting, path), f"--search {path}"
                raise UsageError(what, where=where, expected=error.expected, hint=error.hint) from error


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise not_installed("optuna", "tuning") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _unreadable(text: str) -> UsageError:
    expected = "path=LOW..HIGH, path=log:LOW..HIGH, or path=VALUE,VALUE; each path once"
    return UsageError(f"cannot read `{text}`", where="--search", expected=expected)


def _range(found: re.Match[str], text: str) -> Range:
    low, high, log = found["low"].strip(), found["high"].strip(), bool(found["log"])
    whole = all(re.fullmatch(r"-?\d+", end) for end in (low, high))
    try:
        ends = (int(low), int(high)) if whole else (float(low), float(high))
    except ValueError:
        raise _unreadable(text) from None
    if not ends[0] < ends[1] or (log and ends[0] <= 0):
        raise UsageError(
            f"`{text}` is no range",
            where="--search",
            expected="a lower end above 0, and a higher one" if log else "a lower end, and a higher one",
        )
    return Range(ends[0], ends[1], log=log, whole=whole)


def _distribution(optuna: Any, values: Range | tuple[str, ...]) -> Any:
    kinds = optuna.distributions
    if not isinstance(values, Range):
        return kinds.CategoricalDistribution(values)
    if values.whole:
        return kinds.IntDistribution(int(values.low), int(values.high), log=values.log)
    return kinds.FloatDistribution(values.low, values.high, log=values.log)


def _text(value: float | str) -> str:
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value)


def _decided_by(result: Result, metric: str | None) -> tuple[str, str]:
    headlines = result.scores.headlines
    if len(headlines) > 1:
        named = ", ".join(headlines)
        raise UsageError("a search is decided by one target", where="--target", expected=f"one of {named}")
    ((target, headline),) = headlines.items()
    known = result.scores.of(target)
    if metric is not None and metric not in known:
        raise UsageError(f"{target} has no score {metric}", where="--metric", expected=", ".join(known))
    return target, metric or headline


def _mean(result: Result, target: str, metric: str) -> float:
    scores = result.scores.of(target)
    if not scores[metric].defined:
        others = [name for name, other in scores.items() if other.defined]
        raise DataError(
            f"{metric} of {target} is undefined on the validation subjects: {scores[metric].undefined}",
            hint=f"--metric with one of {', '.join(others)}" if others else None,
        )
    return scores[metric].mean
