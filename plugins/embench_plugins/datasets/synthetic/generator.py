"""Base of the generators of synthetic files: it checks arguments, draws each subject's truth and marks the folder.

The mark, `EMBENCH_SYNTHETIC.json`, is written before anything else. An incomplete folder is thus never mistaken for a
real dataset.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import UsageError

MARK = "EMBENCH_SYNTHETIC.json"


@dataclass(frozen=True)
class Generator:
    """Writes synthetic files in the format of a release. The same arguments give the same bytes.

    A subject's truth (the planted values) depends on seed, effect, length and subject, not on the number of subjects.

    Args:
        module: the generator's `__name__`.
        dataset: name of the dataset; files of an earlier call for it are replaced.
        people: the subjects of the release; smaller sets have the first of them.
        default_s: default length of the longest recording in s; None for the release's lengths.
        limits_s: least and greatest length.
        refused: start of the error for other lengths, such as `sessions of {} s`.
        truth: function from subject, seed, effect and length to the planted values, mostly a structured array with the
            field `person`.
        write: function that writes files from a folder, the truth of each subject, seed, length and the options.
        about: further content of the mark.
    """

    module: str
    dataset: str
    people: Sequence[Any]
    default_s: float | None
    limits_s: tuple[float, float]
    refused: str
    truth: Callable[[Any, int, float, Any], Any]
    write: Callable[..., None]
    about: Mapping[str, Any] = field(default_factory=dict)

    def synthesize(self, out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None) -> None:
        """Write the files of some subjects below `out`; see `embench.interfaces.dataset.Synthesizer`.

        Raises:
            UsageError: an argument is out of range, or `out` holds files that no generator of the dataset wrote.
        """
        self.make(out, subjects, seed, effect, length_s)

    def synthesize_with_videos(
        self, out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, videos: bool = False
    ) -> None:
        """Write the files as `synthesize`. With `videos`, also write videos of faces and OpenFace's tables of them."""
        self.make(out, subjects, seed, effect, length_s, **({"videos": True} if videos else {}))

    def make(self, out: Path, subjects: int, seed: int, effect: float, length_s: float | None, **options: Any) -> None:
        """Write the files as `synthesize`. The generator's own `options` go to `write` and become part of the mark."""
        people, length_s = self.truths(subjects, seed, effect, length_s), self._length(length_s)
        made = {"seed": seed, "subjects": subjects, "effect": effect, "length_s": length_s, **options}
        self.write(claim(out, self.module, self.dataset, **self.about, **made), people, seed, length_s, **options)

    def draw(self, subjects: int, seed: int, effect: float, length_s: float | None = None) -> np.ndarray:
        """Return the truth of all subjects, without files: a structured array (n,). Raises as `synthesize`."""
        return np.concatenate(self.truths(subjects, seed, effect, length_s))

    def truths(self, subjects: int, seed: int, effect: float, length_s: float | None = None) -> list[Any]:
        """Return the truth of each subject, without files. Raises UsageError as `synthesize`."""
        check_arguments(subjects, len(self.people), seed, effect)
        length_s = self._length(length_s)
        return [self.truth(person, seed, effect, length_s) for person in self.people[:subjects]]

    def _length(self, length_s: float | None) -> float | None:
        length_s = self.default_s if length_s is None else length_s
        return None if length_s is None else check_length(length_s, *self.limits_s, self.refused)


def claim(out: Path, generator: str, dataset: str, *, version: int = 1, **made: Any) -> Path:
    """Mark the folder `out` as generated, remove what an earlier call for the dataset wrote there, and return `out`.

    Args:
        made: arguments of the generator (seed, effect and so on), which the mark states.

    Raises:
        UsageError: `out` is a file, or has anything but synthetic files of this dataset; nothing is changed then.
    """
    out = Path(out)
    mark = out / MARK
    if out.exists() and not out.is_dir():
        raise UsageError("this is a file", where=str(out), expected="a folder to write into")
    if out.exists() and any(out.iterdir()):
        try:
            is_same_dataset = json.loads(mark.read_text("utf-8")).get("dataset") == dataset
        except (OSError, ValueError, AttributeError):
            is_same_dataset = False
        if not is_same_dataset:
            raise UsageError(
                f"there are files in the folder that are not generated {dataset} files; nothing was written",
                where=str(out),
                expected="a new or empty folder, or one that was written by this command before",
            )
        for path in out.iterdir():
            if path != mark:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    content = {"generator": generator, "version": version, "dataset": dataset, **made}
    mark.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return out


def check_arguments(subjects: int, most: int, seed: int, effect: float) -> None:
    """Raise UsageError if the number of subjects, the seed or the effect is out of range."""
    if not 1 <= subjects <= most:
        raise UsageError(f"{subjects} people", expected=f"1 to {most}, as many as the release has")
    if not 0 <= effect <= 1 or seed < 0:
        raise UsageError(f"effect {effect}, seed {seed}", expected="an effect from 0 to 1 and a seed of 0 or more")


def check_length(length_s: float, least_s: float, most_s: float, refused: str) -> float:
    """Return `length_s` if it is within the limits. Raises UsageError otherwise; `refused` begins its message."""
    if not least_s <= length_s <= most_s:
        wanted = f"{least_s:g} to {most_s:g} s" if least_s < most_s else f"{most_s:g} s, as the release has"
        raise UsageError(refused.format(length_s), expected=wanted)
    return length_s
