"""Search for settings of each fold on its validation subjects: a list of trials, and a file of the chosen ones."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from embench.errors import DataError, UsageError
from embench.files import digest, parse_json, read_text, reading
from embench.records.manifest import as_model

MOST_TRIALS = 1000
_RANGE = re.compile(r"(?P<log>log:)?(?P<low>[^.,].*?)\.\.(?P<high>.+)")
_FIXED = re.compile(r"\.(targets|view|adapt|frozen|normalise)\b")
"""Settings that define the prediction task, which must be equal in all folds."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high` inclusive: integers if `whole`, drawn on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool
    whole: bool

    def at(self, share: float) -> float:
        """Return the number at a proportion of the range (`share`, at least 0 and below 1)."""
        top = self.high + self.whole
        value = self.low * (top / self.low) ** share if self.log else self.low + share * (top - self.low)
        return min(int(value // 1), int(self.high)) if self.whole else value


Space = Mapping[str, Range | tuple[str, ...]]
"""Path of a setting -> its candidate values."""


def parse_space(texts: Sequence[str]) -> Space:
    """Return the search space of texts such as `encoder.lr=log:1e-4..1e-2` or `fusion.batch=16,32,64`.

    Raises:
        UsageError: a text cannot be read, names a setting that all folds share, or there is no text.

    >>> parse_space(["encoder.lr=log:1e-4..1e-2", "encoder.build.layers=1..4"])["encoder.build.layers"]
    Range(low=1, high=4, log=False, whole=True)
    """
    space: dict[str, Range | tuple[str, ...]] = {}
    for text in texts:
        path, _, values = text.partition("=")
        found = _RANGE.fullmatch(values.strip())
        choices = tuple(part.strip() for part in values.split(","))
        if not path.strip() or path.strip() in space or not all(choices) or (not found and len(choices) < 2):
            raise _make_error(text)
        if fixed := _FIXED.search(path):
            raise UsageError(
                f"`{fixed[1]}` cannot differ between folds", where=f"--search {path}", hint=f"--set {path}=.."
            )
        space[path.strip()] = _parse_range(found, text) if found else choices
    if not space:
        raise UsageError("no setting to search is named", hint="--search encoder.lr=log:1e-4..1e-2")
    return space


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Search(_Part):
    """Trials of settings: the defaults, and `trials` - 1 settings drawn from a `space` (see `parse_space`). A search
    with more trials begins with the same trials as a shorter one."""

    space: tuple[str, ...] = Field(description="Settings to search, as `--search` takes them.")
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] = Field(default=20, description="Number of trials.")
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="Seed of the drawn settings.")

    @cached_property
    def settings(self) -> tuple[tuple[str, ...], ...]:
        """Settings of each trial, as `--set` takes them; empty for the first trial.

        >>> Search(space=("fusion.build.C=log:1e-3..10",), trials=3).settings
        ((), ('fusion.build.C=1.12',), ('fusion.build.C=0.217',))
        """
        space = parse_space(self.space)
        return (
            (),
            *(
                tuple(f"{path}={_draw(values, f'{self.seed}/{k}/{path}')}" for path, values in space.items())
                for k in range(1, self.trials)
            ),
        )


class Choice(_Part):
    """The chosen trial of a seed, a fold and a target (comma-separated targets for one network with several)."""

    seed: int = Field(description="Seed.")
    fold: int = Field(description="Fold.")
    target: str = Field(description="Target, or targets with commas between.")
    subjects: tuple[str, ...] = Field(description="Validation subjects of the fold, on which the trial was chosen.")
    score: str = Field(description="Metric by which trials were compared.")
    scores: tuple[FiniteFloat | None, ...] = Field(
        description="Score of each trial, null if undefined; empty if labels are withheld."
    )
    chosen: int = Field(description="Number of the chosen trial, from 0.")

    @property
    def best(self) -> int:
        """Number of the first trial with the highest score; 0 if no trial has a score."""
        known = [float("-inf") if score is None else score for score in self.scores]
        return known.index(max(known))


class Tuning(_Part):
    """A search and its choices. `of`: digest of the method and data (`hash_tuned_method`)."""

    of: str = Field(description="Digest of the method and the data.")
    search: Search = Field(description="The search.")
    choices: tuple[Choice, ...] = Field(description="The chosen trials.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for choice in self.choices:
            if len(choice.scores) not in (0, self.search.trials) or not 0 <= choice.chosen < self.search.trials:
                raise ValueError(f"seed {choice.seed}, fold {choice.fold} does not have {self.search.trials} trials")
        return self

    @cached_property
    def _chosen(self) -> dict[tuple[int, int, str], int]:
        return {(choice.seed, choice.fold, choice.target): choice.chosen for choice in self.choices}

    def settings(self, seed: int, fold: int, target: str) -> tuple[str, ...]:
        """Return the chosen settings. Raises UsageError if no choice was made for this seed, fold and target."""
        if (seed, fold, target) not in self._chosen:
            known = sorted({choice.seed for choice in self.choices})
            raise UsageError(
                f"the tuning file has no choice for seed {seed}, fold {fold}, target {target}",
                where="--tuned",
                expected=f"seeds {', '.join(map(str, known))}, and the tuned targets",
            )
        return self.search.settings[self._chosen[seed, fold, target]]

    @property
    def summary(self) -> dict[str, Any]:
        """Number of trials, and a digest of everything except scores, for the configuration of a run."""
        content = self.model_dump(mode="json", exclude={"choices": {"__all__": {"scores"}}})
        return {"trials": self.search.trials, "choices": digest(content)}

    def text(self) -> str:
        """Return the content of the tuning file, one choice per line, with the settings of all trials."""
        head = json.dumps(
            {"of": self.of, "search": self.search.model_dump(), "settings": self.search.settings}, indent=1
        )
        lines = ",\n".join(f"  {json.dumps(choice.model_dump())}" for choice in self.choices)
        return f'{head[:-2]},\n "choices": [\n{lines}\n ]\n}}\n'


def read_tuning(path: Path) -> Tuning:
    """Read a tuning file. Raises DataError if it is missing, damaged, or breaks its schema."""
    expected = "a file that `embench tune` wrote"
    with reading(path, expected=expected):
        text = read_text(path)
    try:
        content = parse_json(text)
    except ValueError as error:
        raise DataError(f"the file is not JSON: {error}", where=str(path), expected=expected) from error
    settings = content.pop("settings", None) if isinstance(content, dict) else None
    found = as_model(Tuning, content, "a tuning", str(path), expected)
    if settings != json.loads(json.dumps(found.search.settings)):
        raise DataError("the trials of the file do not match its search", where=str(path), expected=expected)
    return found


def hash_tuned_method(config: Mapping[str, Any]) -> str:
    """Return a digest of the method and dataset of a configuration, without seeds, machine, code and prepared data."""
    other = ("seeds", "dev", "device", "threads", "data", "train_data", "tuned", "parts")
    facts = {name: value for name, value in config.items() if name not in other}
    machine = ("code", "libraries", "assets")
    parts = {name: {k: v for k, v in part.items() if k not in machine} for name, part in config["parts"].items()}
    return digest({**facts, "parts": parts})


def _draw(values: Range | tuple[str, ...], name: str) -> str:
    """Return a value drawn from `values`, as text. The draw is made from a hash of `name`, so it can be repeated."""
    share = int(hashlib.sha256(name.encode()).hexdigest()[:13], 16) / 2**52
    if not isinstance(values, Range):
        return values[int(share * len(values))]
    return format_setting(values.at(share))


def format_setting(number: float) -> str:
    """Return an integer as text, or another number with three significant digits."""
    return str(number) if isinstance(number, int) else f"{number:.3g}"


def _make_error(text: str) -> UsageError:
    """Return the error for a text that cannot be read as part of a search space."""
    expected = "path=LOW..HIGH, path=log:LOW..HIGH, or path=VALUE,VALUE; each path once"
    return UsageError(f"cannot read `{text}`", where="--search", expected=expected)


def _parse_range(found: re.Match[str], text: str) -> Range:
    """Return the range in a match of `_RANGE`. Raises UsageError that shows the whole `text` if it is not a range."""
    low, high, log = found["low"].strip(), found["high"].strip(), bool(found["log"])
    whole = all(re.fullmatch(r"-?\d+", end) for end in (low, high))
    try:
        ends = (int(low), int(high)) if whole else (float(low), float(high))
    except ValueError:
        raise _make_error(text) from None
    if not ends[0] < ends[1] or (log and ends[0] <= 0):
        raise UsageError(
            f"`{text}` is not a range",
            where="--search",
            expected="a lower end above 0 and a higher upper end" if log else "a lower end and a higher upper end",
        )
    return Range(ends[0], ends[1], log=log, whole=whole)
