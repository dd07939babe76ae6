"""Mutated studies of one's own: no traceback, and no sample or label that moves without an error or a warning."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shutil
import traceback
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from embench.cli import main
from embench.errors import DataError
from embench.interfaces.recording import Recording
from embench_plugins.datasets.own.reader import Own

from .mutations import MUTATIONS, TEXTS, Mutation
from .studies import STUDIES

NOT_READ = ("Protokoll.txt", "dataset_description.json", "codes.csv", "tags.csv")
Contents = dict[tuple[str, str], Recording]
CLOSE = 2e-3
"""So much of how far a signal spans may a sample differ: its last digit."""


class Outcome(NamedTuple):
    """A mutated study: what was done to it, how it was taken (`read`, `told`, `refused`), and what is wrong, if
    something is."""

    seed: int
    done: str
    how: str
    fault: str | None


def contents(root: Path) -> Contents:
    """Subject and stimulus -> recording; a second one of both has a number behind the stimulus."""
    found: Contents = {}
    reader = Own(root)
    for subject in reader.subjects():
        for r in reader.recordings(subject):
            key, k = (r.subject, r.stimulus), 1
            while key in found:
                k, key = k + 1, (r.subject, f"{r.stimulus} ({k + 1})")
            found[key] = r
    return found


@cache
def _made(name: str, place: Path) -> tuple[Path, Contents]:
    root = place / re.sub(r"\W", "-", name)
    root.mkdir()
    STUDIES[name](root)
    return root, contents(root)


def fuzz(seeds: Iterator[int] | range, keep: Path | None = None) -> Iterator[Outcome]:
    """Mutates a study for each seed and judges what is read of it; failures are kept in a folder."""
    with TemporaryDirectory(prefix="embench-own-") as name, _cache(Path(name)):
        place = Path(name)
        for seed in seeds:
            yield _one(seed, place, keep)
    _made.cache_clear()


@contextlib.contextmanager
def _cache(place: Path) -> Iterator[None]:
    before = os.environ.get("EMBENCH_CACHE")
    os.environ["EMBENCH_CACHE"] = str(place / "cache")
    try:
        yield
    finally:
        if before is None:
            del os.environ["EMBENCH_CACHE"]
        else:
            os.environ["EMBENCH_CACHE"] = before


def _one(seed: int, place: Path, keep: Path | None) -> Outcome:
    rng = random.Random(seed)
    name = rng.choice(sorted(STUDIES))
    base, truth = _made(name, place)
    for _ in range(100):
        root = place / f"study-{seed}"
        shutil.copytree(base, root)
        path, mutation = _drawn(rng, root)
        done = mutation.change(rng, path)
        if done:
            break
        shutil.rmtree(root)
    told, fault = _told(root)
    how, silent = "read", None
    try:
        found = contents(root)
    except DataError as error:
        how = "refused"
        if not error.where:
            silent = f"the error names no place: {error.what}"
    except Exception:  # noqa: BLE001 - whatever comes out is a fault
        silent = traceback.format_exc()
    else:
        how = "told" if told else "read"
        silent = None if told else differences(truth, found, mutation.silent)
    case = f"{name}, {path.relative_to(root)}: {mutation.name}: {done}"
    fault = fault or silent or ("refused when read, but not by verify" if how == "refused" and not told else None)
    if fault and keep:
        shutil.copytree(root, keep / f"{seed}", dirs_exist_ok=True)
    shutil.rmtree(root)
    return Outcome(seed, case, how, fault)


def _drawn(rng: random.Random, root: Path) -> tuple[Path, Mutation]:
    """A mutation, and a file for which it is."""
    mutation = rng.choice(MUTATIONS)
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and p.name not in NOT_READ and ".embench" not in p.parts]
    text = (root / "dataset.yaml").read_text("utf-8")

    def kind(path: Path) -> set[str]:
        if path.name == "dataset.yaml":
            return {"yaml"}
        is_text = path.suffix.lower() in TEXTS and not path.name.endswith(".gz")
        own = {"file"} | ({"text"} if is_text else set())
        own |= {"marks"} if path.suffix in (".edf", ".xdf") and "sub-" not in path.name else set()
        tables = "rating" in path.name or path.name in re.findall(r"table: \"?([\w.]+)", text)
        tables = (
            tables
            or re.search(r"stages|esm|events|participants|ratings|Bewert|films.csv|question", str(path)) is not None
        )
        return own | ({"table" if tables else "signal"} if is_text else set())

    fitting = [path for path in files if mutation.of in kind(path)]
    return (rng.choice(fitting), mutation) if fitting else _drawn(rng, root)


def _told(root: Path) -> tuple[list[str], str | None]:
    """The errors and warnings that `embench data verify` prints, and what is wrong with how it ends."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["data", "verify", str(root), "--json"])
    except BaseException:  # noqa: BLE001 - whatever comes out is a fault
        return [], traceback.format_exc()
    if code not in (0, 1, 2, 3) or "Traceback" in err.getvalue():
        return [], f"data verify ended with {code}: {err.getvalue()[-500:]}"
    if code in (2, 3):
        return [err.getvalue()], None
    try:
        found = json.loads(out.getvalue())["findings"]
    except (ValueError, KeyError):
        return [], f"data verify printed no findings: {out.getvalue()[:300]} {err.getvalue()[:300]}"
    return [f"{f['where']}: {f['what']}" for f in found if f["severity"] in ("error", "warning")], None


def differences(before: Contents, after: Contents, silent: str) -> str | None:
    """What was read that is not what it was, beyond what may silently be."""
    if silent == "swapped":
        return _swapped(before, after)
    if extra := sorted(set(after) - set(before)):
        return f"recordings that were not there: {extra[:3]}"
    gone = sorted(set(before) - set(after))
    if gone and silent not in ("fewer", "lost"):
        return f"recordings are gone: {gone[:3]}"
    moved = [what for key in before if key in after and (what := _moved(before[key], after[key], silent))]
    return "; ".join(moved[:3]) or None


def _moved(before: Recording, after: Recording, silent: str) -> str | None:
    where = f"{before.subject} {before.stimulus}"
    if set(before.signals) - set(after.signals):
        return f"{where}: {sorted(set(before.signals) - set(after.signals))} are gone"
    for m, signal in before.signals.items():
        old, new = np.atleast_2d(signal.data), np.atleast_2d(after.signals[m].data)
        if abs(after.signals[m].rate - signal.rate) > 0.005 * signal.rate or after.signals[m].unit != signal.unit:
            return f"{where}: {m} at {after.signals[m].rate} Hz in {after.signals[m].unit}"
        length = min(old.shape[1], new.shape[1])
        if abs(old.shape[1] - new.shape[1]) > 1 and (silent != "lost" or new.shape[1] > old.shape[1]):
            return f"{where}: {new.shape[1]} samples of {m}, not {old.shape[1]}"
        old, new = old[:, :length], new[:, :length]
        lost = np.isnan(new) & ~np.isnan(old)
        if lost.any() and silent != "lost":
            return f"{where}: {int(lost.sum())} samples of {m} are lost"
        span = float(np.nanmax(old) - np.nanmin(old)) or 1.0
        off = np.abs(np.where(lost, old, new) - old) > CLOSE * span
        if int(off.sum()) > (silent in ("value", "lost")):  # a cut number is one sample
            return (
                f"{where}: {int(off.sum())} samples of {m} are others, the first at {int(np.argmax(off.any(axis=0)))}"
            )
    return _moved_labels(where, before, after, silent)


def _moved_labels(where: str, before: Recording, after: Recording, silent: str) -> str | None:
    for name, label in before.labels.items():
        other = after.labels.get(name)
        if other is None:
            return f"{where}: label {name} is gone"
        if label.times is None or other.times is None:
            if not np.array_equal(label.values, other.values, equal_nan=True):
                return f"{where}: label {name} is {other.values[:3]}, not {label.values[:3]}"
            continue
        now = dict(zip(np.round(other.times, 3).tolist(), other.values.tolist(), strict=True))
        then = dict(zip(np.round(label.times, 3).tolist(), label.values.tolist(), strict=True))
        for at in sorted({*now, *then}):
            a, b = then.get(at, np.nan), now.get(at, np.nan)
            if a != b and not (np.isnan(a) and np.isnan(b)) and not (silent in ("lost", "fewer") and np.isnan(b)):
                return f"{where}: label {name} at {at:g} s is {b:g}, not {a:g}"
    if set(after.labels) - set(before.labels):
        return f"{where}: labels {sorted(set(after.labels) - set(before.labels))} were not there"
    return None


def _swapped(before: Contents, after: Contents) -> str | None:
    """Signals are those of another recording of before, as a whole, and labels stay where they were."""
    for key, r in after.items():
        if key not in before:
            return f"recordings that were not there: {key}"
        same = [of for of in before.values() if all(_equal(r, of, m) for m in r.signals if m in of.signals)]
        if not same and len(r.signals) == 1:
            return f"{key}: signals are of nobody"
        if what := _moved_labels(str(key), before[key], r, "same"):
            return what
    return None


def _equal(a: Recording, b: Recording, m: str) -> bool:
    x, y = np.atleast_2d(a.signals[m].data), np.atleast_2d(b.signals[m].data)
    return x.shape == y.shape and bool(
        np.allclose(x, y, atol=CLOSE * float(np.ptp(np.nan_to_num(y)) or 1), equal_nan=True)
    )


def counted(outcomes: list[Outcome]) -> Mapping[str, int]:
    """How many studies were taken in each way."""
    return {how: sum(o.how == how for o in outcomes) for how in ("read", "told", "refused")}
