"""The frame of the generators of synthetic files: what they may be asked for, each subject's truth, the folder's mark.

The mark is written before anything else, so that half a dataset is never taken for a real one.
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

    A subject's truth depends on the seed, the effect, the length and the subject, not on how many subjects there are.

    Args:
        module: the generator's `__name__`.
        dataset: whose files an earlier call may have left in the folder.
        people: the subjects of the release; smaller sets have the first.
        default_s: seconds of the longest recording where no length is asked for; None: the release's own lengths.
        limits_s: the least and the most that may be asked for.
        refused: of what another length is refused, such as `sessions of {} s`.
        truth: makes of a subject, seed, effect and length what is planted: mostly a structured array with the field
            `person`.
        write: writes below a folder, from the truth of each subject, seed, length and the options of `make`.
        about: what the mark says besides.
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
        """Writes the files of some subjects below `out`; see `embench.interfaces.dataset.Synthesizer`.

        Raises:
            UsageError: for arguments out of range, or where `out` holds files that no generator of the dataset wrote.
        """
        self.make(out, subjects, seed, effect, length_s)

    def synthesize_with_videos(
        self, out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, videos: bool = False
    ) -> None:
        """The same of a generator that can also write films of faces, and what OpenFace would have made of them."""
        self.make(out, subjects, seed, effect, length_s, **({"videos": True} if videos else {}))

    def make(self, out: Path, subjects: int, seed: int, effect: float, length_s: float | None, **options: Any) -> None:
        """The same with a generator's own options, which the mark states."""
        people, length_s = self.truths(subjects, seed, effect, length_s), self._length(length_s)
        made = {"seed": seed, "subjects": subjects, "effect": effect, "length_s": length_s, **options}
        self.write(claim(out, self.module, self.dataset, **self.about, **made), people, seed, length_s, **options)

    def draw(self, subjects: int, seed: int, effect: float, length_s: float | None = None) -> np.ndarray:
        """The truth of all subjects, without any file: a structured array (n,). Raises UsageError as above."""
        return np.concatenate(self.truths(subjects, seed, effect, length_s))

    def truths(self, subjects: int, seed: int, effect: float, length_s: float | None = None) -> list[Any]:
        """The same by subject."""
        check_arguments(subjects, len(self.people), seed, effect)
        length_s = self._length(length_s)
        return [self.truth(person, seed, effect, length_s) for person in self.people[:subjects]]

    def _length(self, length_s: float | None) -> float | None:
        length_s = self.default_s if length_s is None else length_s
        return None if length_s is None else check_length(length_s, *self.limits_s, self.refused)


def claim(out: Path, generator: str, dataset: str, *, version: int = 1, **made: Any) -> Path:
    """Marks `out` as generated, `made` from `seed`, `effect` and so on, and removes what an earlier call for the same
    dataset wrote there. Returns it.

    Raises:
        UsageError: `out` is a file, or holds anything but synthetic files of this dataset; nothing is changed then.
    """
    out = Path(out)
    mark = out / MARK
    if out.exists() and not out.is_dir():
        raise UsageError("this is a file", where=str(out), expected="a folder to write into")
    if out.exists() and any(out.iterdir()):
        try:
            mine = json.loads(mark.read_text("utf-8")).get("dataset") == dataset
        except (OSError, ValueError, AttributeError):
            mine = False
        if not mine:
            raise UsageError(
                f"the folder holds files that are not generated {dataset} files; nothing was written",
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
    """Raises UsageError for arguments that no generator of `most` subjects can follow."""
    if not 1 <= subjects <= most:
        raise UsageError(f"{subjects} people", expected=f"1 to {most}, as many as the release has")
    if not 0 <= effect <= 1 or seed < 0:
        raise UsageError(f"effect {effect}, seed {seed}", expected="an effect from 0 to 1 and a seed of 0 or more")


def check_length(length_s: float, least_s: float, most_s: float, refused: str) -> float:
    """A length within its limits. Raises UsageError for another, which is `refused`, such as `sessions of {} s`."""
    if not least_s <= length_s <= most_s:
        wanted = f"{least_s:g} to {most_s:g} s" if least_s < most_s else f"{most_s:g} s, as the release has"
        raise UsageError(refused.format(length_s), expected=wanted)
    return length_s
