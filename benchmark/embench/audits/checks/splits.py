"""Checks of splits: subjects, stimuli, samples or copied signals on both sides, and tuned settings."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import get_window

from embench.audits.checks.records import Evidence, RecordEvidence, first_names, overlap_findings
from embench.errors import EmbenchError
from embench.files import sha256
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import split_modality
from embench.planning.tuning import Choice, Tuning, read_tuning
from embench.protocols.partition import GIVES
from embench.records.audit import AuditFinding, CheckResult
from embench.records.findings import Severity
from embench.records.record import TUNING_FILE, strip_variant
from embench.store import Store
from embench.store.store import cache_array
from embench.system import installed_version

# Subjects, groups, stimuli or samples on both sides of a split, by the folds and by the data.


def check_shared_subjects(e: RecordEvidence) -> CheckResult | Undefined:
    """No subject is tested by a network that learned from it, or from a subject recorded together with it.

    Folds list the training subjects; a subject (or group) whose units are tested in several folds of a seed was
    trained on too, unless the protocol trains on what it gives. Subjects of another dataset are others, whatever their
    names; `copies` and `pretraining` compare signals.
    """
    if e.manifest.dev:
        return Undefined("dev_run")
    severity: Severity = "note" if e.protocol.leaks else "severe"
    findings = []
    sides: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    source = e.record.run["config"].get("train_dataset")
    elsewhere = bool(source) and strip_variant(source) != strip_variant(e.manifest.dataset.name)
    for row in e.record.folds:
        if row["role"] == GIVES and e.protocol.trains_on_calibration:
            continue
        if row["role"] and not (elsewhere and row["role"] != "test"):
            part = "test" if row["role"] == "test" else "learned"
            sides[str(row["seed"]), str(row["fold"])][part].add(row["subject"])
    shared = {p for fold in sides.values() for p in fold["test"] & fold["learned"]}
    if shared and not e.protocol.trains_on_calibration:
        findings.append(AuditFinding(severity, "shared_subjects", {"n": len(shared), "subjects": first_names(shared)}))
    bound = {
        p
        for fold in sides.values()
        for p in fold["test"] - fold["learned"]
        if e.groups.get(p, p) in {e.groups.get(q, q) for q in fold["learned"] - fold["test"]}
    }
    if bound:
        groups = {e.groups.get(p, p) for p in bound}
        evidence = {"n": len(bound), "subjects": first_names(bound), "groups": first_names(groups)}
        findings.append(AuditFinding(severity, "shared_groups", evidence))
    rows = [(str(s), str(f), p) for s, f, p in e.tested]
    strangers = {p for s, f, p in rows if p not in sides[s, f]["test"]}
    if strangers:
        evidence = {"n": len(strangers), "subjects": first_names(strangers)}
        findings.append(AuditFinding("severe", "untested_subjects", evidence))
    several = _several(e)
    if several:
        findings.append(AuditFinding(severity, "several_folds", {"n": len(several), "subjects": first_names(several)}))
    return CheckResult({"folds": len(sides), "subjects": len({p for _, _, p in rows})}, tuple(findings))


def _several(e: RecordEvidence) -> set[str]:
    """Subjects and groups who are tested in more than one fold of a seed, though the split is by them alone."""
    if e.protocol.split.by == "group+stimulus":
        return set()
    folds: dict[tuple[int, str], set[int]] = defaultdict(set)
    for seed, fold, subject in e.tested:
        for name in {subject, e.groups.get(subject, subject)}:
            folds[seed, name].add(fold)
    return {name for (_, name), found in folds.items() if len(found) > 1}


def check_partition(e: Evidence) -> CheckResult | Undefined:
    """Folds are those that the protocol deals these subjects into."""
    if not e.dealt:
        return Undefined("folds_not_determined")
    tested = {
        (seed, fold.index, e.units[u].subject)
        for seed, folds in e.dealt.items()
        for fold in folds
        for u in (fold.val if e.manifest.dev else fold.test)
        if u in e.units
    }
    ours = {row for row in e.tested if row[0] in e.dealt}
    odd = {subject for _, _, subject in ours - tested}
    if not odd:
        return CheckResult({"seeds": len(e.dealt)})
    evidence = {"n": len(odd), "protocol": e.protocol.name, "subjects": first_names(odd)}
    return CheckResult({"seeds": len(e.dealt)}, (AuditFinding("warning", "other_folds", evidence),))


def check_samples(e: Evidence) -> CheckResult:
    """Each unit is one of the data's, with its own subject and recording, predicted once a seed; no
    sample lies in units of two folds of a seed; stimuli are kept apart where the protocol says so."""
    findings = []
    rows = e.predictions
    predicted = rows.texts("unit").names.tolist()
    unknown = {u for u in predicted if u not in e.units}
    if unknown:
        findings.append(AuditFinding("severe", "unknown_units", _units(unknown)))
    given = set(predicted) & e.untested
    if given:
        findings.append(AuditFinding("severe", "calibration_units", _units(given)))
    wrong = {
        unit
        for unit, *about in rows.distinct("unit", "subject", "recording", "stimulus")
        if unit in e.units and about != [e.units[unit].subject, e.units[unit].recording, e.units[unit].stimulus]
    }
    if wrong:
        findings.append(AuditFinding("severe", "other_units", _units(wrong)))
    overlapping = _overlapping(e)
    if overlapping:
        severity: Severity = "note" if e.protocol.leaks else "severe"
        findings.append(AuditFinding(severity, "shared_samples", _units(overlapping)))
    if "stimulus" in e.protocol.split.by:
        findings += _stimuli(e)
    return CheckResult({"units": len(predicted)}, tuple(findings))


def _units(names: set[str]) -> dict[str, Any]:
    return {"n": len(names), "units": first_names(names)}


def _overlapping(e: Evidence) -> set[str]:
    if e.protocol.split.by == "group+stimulus":
        return set()
    placed: dict[tuple[int, str], set[tuple[float, float, int, str]]] = defaultdict(set)
    for seed, fold, unit in e.predictions.distinct("seed", "fold", "unit"):
        if unit in e.units:
            u = e.units[unit]
            placed[seed, u.recording].add((u.start, u.stop, fold, unit))
    found = set()
    for spans in placed.values():
        ordered = sorted(spans)
        for (_, stop, fold, _), (start, _, other, unit) in pairwise(ordered):
            if start < stop - 1e-9 and fold != other:
                found.add(unit)
    return found


def _stimuli(e: Evidence) -> list[AuditFinding]:
    """A fold of a split by stimuli tests stimuli that the fold, by the protocol, does not train on, nor on any that are
    kept apart from them."""
    rules = e.protocol.stimulus_rules(e.card.name)
    apart = rules.separated_stimuli() if rules else {}
    learned = {
        (seed, fold.index): {e.units[u].stimulus for u in (*fold.train, *fold.val) if u in e.units}
        for seed, folds in e.dealt.items()
        for fold in folds
    }
    tested = e.predictions.distinct("seed", "fold", "stimulus")
    both = {
        stimulus
        for seed, fold, stimulus in tested
        if apart.get(stimulus, {stimulus}) & learned.get((seed, fold), set())
    }
    if not both:
        return []
    return [AuditFinding("severe", "shared_stimuli", {"n": len(both), "stimuli": first_names(both)})]


# Copies of signals under several names, also scaled, shifted, cropped, resampled or filtered ones.
#
# A window's fingerprint is its log power spectrum less the local trend and less what all windows share (hum, filters):
# the fine structure that no two recordings have in common, and that moving, scaling or filtering keeps. Pairs of
# windows whose fingerprints correlate are then aligned by phase correlation (Kuglin and Hines 1975), which is near 1
# for the same signal and near 0 for two of one kind. Regular pulses of one rate align by chance as well, but no
# further: a copy goes on before or after the window, at the same shift. Copies stretched in time are not found.

BINS, FEWEST = 512, 100
MAX_WINDOWS = 4000
CANDIDATES, EACH = 800, 12
ALIKE, SAME = 0.25, 0.5
"""Correlation of fingerprints from which on windows are aligned; phase correlation from which on they are copies."""
POWER_FLOOR = 1e-3
"""Share of a window's strongest power below which a bin is filtered noise."""
MIN_COPIED_WINDOWS = 3
"""Non-overlapping windows that must be copies before two subjects count as having the same signals."""
COPIED_SHARE, CERTAIN = 0.75, 0.8
"""Two regular pulses of one rate align by chance now and then, with up to .7 in real recordings. Copies below `CERTAIN`
therefore count only if they are this share of all that were aligned, from the most alike down to the last copy."""
SHIFTED_S = 0.1
"""Seconds by which the shift of neighbouring windows of a copy may differ, a fraction of a heart beat."""


@dataclass(frozen=True)
class CutWindows:
    """Windows of one modality: `x` (n, samples) as cut, `print_` (n, bins) unit vectors, `used` (n, bins) the bins with
    power in them, `rich` (n,) whether these are enough for a fingerprint, which is 0 elsewhere, `subject`, `recording`
    and `start` (n,), which is in seconds; all are `length_s` long."""

    x: np.ndarray
    print_: np.ndarray
    used: np.ndarray
    rich: np.ndarray
    subject: np.ndarray
    recording: np.ndarray
    start: np.ndarray
    length_s: float

    @property
    def rate(self) -> float:
        """Samples a second."""
        return self.x.shape[1] / self.length_s


@dataclass(frozen=True)
class Match:
    """Two subjects some of whose windows are the same signal."""

    one: str
    other: str
    modality: str
    windows: int
    peak: float


def check_copies(e: Evidence) -> CheckResult | Undefined:
    """No two subjects of the dataset have the same signals."""
    rates = {m: card.rate for m, card in e.card.modalities.items()}
    wanted = e.manifest.method.modalities or list(e.store.modalities)
    modalities = list(dict.fromkeys(part for m in wanted for part in split_modality(m) if part in e.store.modalities))
    n_compared, found = find_matches(e.store, None, modalities, rates)
    if not n_compared:
        return Undefined("indistinct_recordings")
    figures = {"windows": n_compared, "n_pairs": len({(m.one, m.other) for m in found})}
    if not found:
        return CheckResult(figures)
    pairs = sorted({f"{m.one} and {m.other}" for m in found})
    evidence = {**figures, "pairs": pairs[:5], "matches": [vars(m) for m in found[:8]]}
    return CheckResult(figures, (AuditFinding("note" if e.protocol.leaks else "severe", "copied_signals", evidence),))


def check_pretraining(e: Evidence) -> CheckResult | Undefined:
    """Checks that pretraining data hold no test subjects, by the record, and by the signals that are available."""
    about = e.manifest
    if not (about.method.pretrainers or about.pretraining or about.weights or about.initial_weights) and (
        about.pretraining_overlap == "none"
    ):
        return Undefined("not_pretrained")
    findings = overlap_findings(e)
    sources: dict[str, object] = {}
    rates = {m: card.rate for m, card in e.card.modalities.items()}
    tested = {subject for _, _, subject in e.tested}
    for name, source in e.sources.items():
        common = [m for m in source.modalities if m in e.store.modalities]
        n_compared, found = find_matches(e.store, source, common, rates)
        sources[name] = {"windows": n_compared, "subjects_found": len({m.one for m in found})}
        subjects = sorted({m.one for m in found} & tested)
        if subjects:
            matches = [vars(m) for m in found[:8]]
            evidence = {"n": len(subjects), "dataset": name, "subjects": subjects[:8], "matches": matches}
            findings.append(AuditFinding("severe", "pretrained_on_copies", evidence))
    figures: dict[str, object] = {"pretraining_overlap": e.manifest.pretraining_overlap, "sources": sources}
    if e.missing_sources:
        figures["missing_sources"] = list(e.missing_sources)
    return CheckResult(figures, tuple(findings))


def find_matches(
    store: Store, other: Store | None, modalities: Sequence[str], rates: Mapping[str, float]
) -> tuple[dict[str, int], list[Match]]:
    """(modality -> windows compared, subjects with the same signals) inside a store, or of one with another.

    Args:
        rates: modality -> the rate (Hz) at which it was recorded: nothing above half of it says anything.
    """
    n_compared, found = {}, []
    libraries = [installed_version(name) for name in ("numpy", "scipy")]
    for m in (m for m in modalities if m != "video"):  # frames are no signal, and decoded only where a run needs them
        rate = rates.get(m, np.inf)
        key = ["copies", sha256(Path(__file__)), libraries, None if other is None else other.key, m, rate]
        windows, matches = json.loads(str(cache_array(store, key, partial(_compared, store, other, m, rate))))
        if windows is not None:
            n_compared[m] = windows
            found += [Match(**match) for match in matches]
    return n_compared, found


def _compared(store: Store, other: Store | None, m: str, rate: float) -> np.ndarray:
    """JSON, as an array of one text: how many windows of a modality were compared, null where none could be; and the
    matches."""
    length = _length(store, m, rate)
    if length is None or (other is not None and other.modalities[m].rate != store.modalities[m].rate):
        return np.array("[null, []]")
    band = 0.45 * min(store.modalities[m].rate, rate)
    ours = cut_windows(store, m, length, band)
    theirs = ours if other is None else cut_windows(other, m, length, band)
    if ours is None or theirs is None:
        return np.array("[null, []]")
    windows = int(ours.rich.sum() if other is None else ours.rich.sum() + theirs.rich.sum())
    return np.array(json.dumps([windows, [vars(match) for match in _matches(ours, theirs, m, inside=other is None)]]))


def _length(store: Store, m: str, rate: float) -> float | None:
    """Seconds of a window: long enough for many bins and not too many windows, short enough for most recordings; None
    where recordings hold too little."""
    own = store.modalities[m].rate
    band = 0.45 * min(own, rate)
    seconds = np.array([e.spans[m].samples / own for e in store.recordings if m in e.spans])
    if not len(seconds):
        return None
    wanted = max(16.0, BINS / band, 2 * seconds.sum() / MAX_WINDOWS)
    length = min(wanted, 0.95 * float(np.median(seconds)))
    return length if length * band >= FEWEST else None


def cut_windows(store: Store, m: str, length_s: float, band_hz: float) -> CutWindows | None:
    """Windows of the first channel of a modality, half overlapping; flat ones are excluded. None where none is rich."""
    array, rate = store.array(m), store.modalities[m].rate
    n = round(length_s * rate)
    at = [
        (entry.subject, entry.id, span.offset + start, span.t0 + start / rate)
        for entry in store.recordings
        if (span := entry.spans.get(m)) is not None
        for start in range(0, span.samples - n + 1, max(1, n // 2))
    ]
    if len(at) > 2 * MAX_WINDOWS:
        keep = np.sort(np.random.default_rng(0).permutation(len(at))[: 2 * MAX_WINDOWS])
        at = [at[i] for i in keep]
    if not at:
        return None
    taper = get_window("blackmanharris", n - 1)
    bins = slice(1, int(band_hz * (n - 1) / rate))
    kept, prints, used = [], [], []
    for k, (_, _, first, _) in enumerate(at):
        x = _steps(array[0, first : first + n])
        if (x == 0).mean() > 0.5 or not np.isfinite(x).all():
            continue
        power = np.abs(np.fft.rfft(x * taper)[bins]) ** 2
        local = uniform_filter1d(power, 21, mode="nearest")
        there = local > POWER_FLOOR * local.max()
        kept.append(k)
        used.append(there)
        if there.sum() >= FEWEST:
            prints.append(np.where(there, np.log(np.maximum(power, 1e-3 * local) / np.maximum(local, 1e-30)), np.nan))
    if not prints:
        return None
    rich = np.sum(used, axis=1) >= FEWEST
    table = np.zeros((len(kept), len(used[0])), np.float32)
    table[rich] = _fingerprints(np.array(prints, np.float32))
    x = np.stack([np.asarray(array[0, at[k][2] : at[k][2] + n], np.float32) for k in kept])
    subject, recording, start = (np.array([at[k][column] for k in kept]) for column in (0, 1, 3))
    return CutWindows(x, table, np.array(used), rich, subject, recording, start, length_s)


def _fingerprints(table: np.ndarray) -> np.ndarray:
    """Unit vectors of log power (n, bins), NaN where a bin has none, less what all windows share."""
    counts = np.isfinite(table).sum(0)
    table = table - np.where(counts > 0, np.nansum(table, 0) / np.maximum(counts, 1), 0)
    table = np.nan_to_num(table - np.nanmean(table, 1, keepdims=True))
    return np.asarray(table / (np.linalg.norm(table, axis=1, keepdims=True) + 1e-12))


def _steps(x: np.ndarray) -> np.ndarray:
    """The window's differences, held within what most of them span: one spike looks like any other spike."""
    steps = np.diff(np.asarray(x, np.float64))
    low, high = np.quantile(steps, [0.02, 0.98])
    return np.asarray(np.clip(steps, low, high))


def _matches(ours: CutWindows, theirs: CutWindows, m: str, *, inside: bool) -> list[Match]:
    candidates: list[tuple[float, int, int]] = []
    for start in range(0, len(ours.x), 500):
        like = ours.print_[start : start + 500] @ theirs.print_.T
        if inside:
            like[ours.subject[start : start + 500, None] == theirs.subject[None]] = 0
        rows, columns = np.nonzero(like > ALIKE)
        candidates += zip(like[rows, columns].tolist(), (rows + start).tolist(), columns.tolist(), strict=True)
    candidates = [c for c in candidates if not inside or c[1] < c[2]]
    pairs: dict[tuple[str, str], list[tuple[float, int, int, float]]] = {}
    tried: Counter[tuple[str, str]] = Counter()
    for _, i, j in sorted(candidates, reverse=True):
        pair = (str(ours.subject[i]), str(theirs.subject[j]))
        if tried[pair] == EACH or tried.total() == CANDIDATES:
            continue
        tried[pair] += 1
        peak, lag = align(ours.x[i], theirs.x[j], ours.used[i] & theirs.used[j])
        offset = float(ours.start[i] - theirs.start[j] + lag / ours.rate)
        pairs.setdefault(pair, []).append((peak, i, j, offset))
    found = []
    for (one, other), aligned in sorted(pairs.items()):
        same = [row for row in _copies_among(aligned) if _goes_on(ours, theirs, row)]
        apart = _apart(same, ours, theirs)
        if same and apart >= min(MIN_COPIED_WINDOWS, _apart_at_most(ours, one), _apart_at_most(theirs, other)):
            found.append(Match(one, other, m, apart, float(np.median([peak for peak, *_ in same]))))
    return found


def _goes_on(ours: CutWindows, theirs: CutWindows, row: tuple[float, int, int, float]) -> bool:
    """True if the signal before or after an aligned pair of windows is the same at the same shift, or if one of the two
    recordings has nothing more to compare."""
    _, i, j, offset = row
    around, there = _others(ours, i), _others(theirs, j)
    if not len(around) or not len(there):
        return True
    apart = np.abs(ours.start[around][:, None] - offset - theirs.start[there])
    met, reach = apart.min(1) <= 0.26 * ours.length_s, round(SHIFTED_S * ours.rate)  # the grid has a window each half
    pairs = np.stack([around, there[apart.argmin(1)]], axis=1)[met]
    after = np.searchsorted(ours.start[pairs[:, 0]], ours.start[i])
    for one, other in (*pairs[after - 1 : after], *pairs[after : after + 1]):
        lag = round((offset - ours.start[one] + theirs.start[other]) * ours.rate)
        common = _common(ours.x[one], theirs.x[other], lag)
        heights = _phase_correlation(*common, ours.used[one] & theirs.used[other], ours.x.shape[1] - 1)
        if np.roll(heights, reach)[: 2 * reach + 1].max() > SAME:
            return True
    return False


def _others(windows: CutWindows, k: int) -> np.ndarray:
    """The windows of the recording of window `k` that do not overlap with it, in order of time."""
    own = windows.recording == windows.recording[k]
    return np.flatnonzero(own & (np.abs(windows.start - windows.start[k]) > 0.99 * windows.length_s))


def _copies_among(aligned: Sequence[tuple[float, int, int, float]]) -> list[tuple[float, int, int, float]]:
    """The copies among aligned windows, of which the most alike come first."""
    peaks = np.array([peak for peak, *_ in aligned])
    share = np.cumsum(peaks > SAME) / np.arange(1, len(peaks) + 1)
    most = np.flatnonzero((peaks > SAME) & (share >= COPIED_SHARE))
    among = np.arange(len(peaks)) <= most.max(initial=-1)
    return [row for row, copied in zip(aligned, (peaks > CERTAIN) | ((peaks > SAME) & among), strict=True) if copied]


def _apart(same: Sequence[tuple[float, int, int, float]], ours: CutWindows, theirs: CutWindows) -> int:
    """Number of copied windows that do not overlap: those of one pair of recordings count if all are moved by the same
    time, and a recording counts for one pair."""
    of: dict[tuple[str, str], list[tuple[float, int, int, float]]] = {}
    for row in same:
        of.setdefault((str(ours.recording[row[1]]), str(theirs.recording[row[2]])), []).append(row)
    counts: dict[tuple[str, str], int] = {}
    for pair, rows in of.items():
        best = 0
        for *_, offset in rows:
            starts = sorted({float(ours.start[i]) for _, i, _, o in rows if abs(o - offset) < 0.5})
            kept: list[float] = []
            for start in starts:
                if not kept or start >= kept[-1] + 0.99 * ours.length_s:
                    kept.append(start)
            best = max(best, len(kept))
        counts[pair] = best
    total, taken = 0, set()
    for (one, other), count in sorted(counts.items(), key=lambda item: -item[1]):
        if ("ours", one) not in taken and ("theirs", other) not in taken:
            taken |= {("ours", one), ("theirs", other)}
            total += count
    return total


def _apart_at_most(windows: CutWindows, subject: str) -> int:
    """Number of windows of a subject that do not overlap."""
    own = windows.rich & (windows.subject == subject)
    recordings = np.unique(windows.recording[own])
    spans = [np.ptp(windows.start[own & (windows.recording == r)]) for r in recordings]
    return int(sum(1 + span // (0.99 * windows.length_s) for span in spans))


def align(one: np.ndarray, other: np.ndarray, used: np.ndarray) -> tuple[float, int]:
    """Phase correlation of two windows (n,) over some of their bins: the height of its peak, 1 for the same signal, and
    how many samples earlier the second one has it. Where the windows overlap by half at least, the height is that of
    what they have in common then: of a copy, the rest is something else."""
    n = len(one) - 1
    heights = _phase_correlation(one, other, used, n)
    at = int(heights.argmax())
    lag = at if at <= n // 2 else at - n
    if 0 < 2 * abs(lag) <= len(one):
        heights = _phase_correlation(*_common(one, other, lag), used, n)
    return float(heights.max()), lag


def _common(one: np.ndarray, other: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """The parts of two windows (n,) that are of one signal if the second has it `lag` samples earlier."""
    return one[max(0, lag) : len(one) + min(0, lag)], other[max(0, -lag) : len(one) - max(0, lag)]


def _phase_correlation(one: np.ndarray, other: np.ndarray, used: np.ndarray, n: int) -> np.ndarray:
    """(n,) heights at each lag, cyclic, for two windows of one length, at most n + 1; `used` are bins of windows as
    long as that."""
    taper = get_window("hann", len(one) - 1)
    spectra = [np.fft.rfft(_steps(x) * taper, n)[1 : len(used) + 1] for x in (one, other)]
    cross = spectra[0] * np.conj(spectra[1])
    whole = np.zeros(n // 2 + 1, complex)
    whole[1 : len(used) + 1] = np.where(used, cross / np.maximum(np.abs(cross), 1e-30), 0)
    return np.asarray(np.abs(np.fft.irfft(whole, n)) * n / (2 * max(1, used.sum())))


# Check of a tuned run: each fold has the trial that is best by its own record, on validation subjects alone.


def check_tuning(e: RecordEvidence) -> CheckResult | Undefined:
    """The settings of a tuned run are those that are best, by the scores in its record, on the validation subjects of
    each fold. Scores themselves are computed again where the run is retrained."""
    stated = e.record.run["config"].get("tuned")
    if stated is None:
        return Undefined("not_tuned")
    try:
        tuning = read_tuning(e.folder / TUNING_FILE)
    except EmbenchError as error:
        return CheckResult({}, (AuditFinding("severe", "unreadable_choices", {"reason": error.what}),))
    wrong = list(_wrong(e, tuning))
    if tuning.summary != stated:
        wrong.insert(0, "the choices are not those that the run was made with")
    figures = {"trials": tuning.search.trials, "choices_made": len(tuning.choices), "wrong": len(wrong)}
    if not wrong:
        return CheckResult(figures)
    return CheckResult(figures, (AuditFinding("severe", "wrong_choices", {**figures, "statements": wrong[:8]}),))


def _wrong(e: RecordEvidence, tuning: Tuning) -> Iterator[str]:
    members: dict[tuple[int, int, str], set[str]] = {}
    for row in e.record.folds:
        if row["role"]:
            members.setdefault((int(row["seed"]), int(row["fold"]), row["role"]), set()).add(row["subject"])
    for choice in tuning.choices:
        train, val, test = (members.get((choice.seed, choice.fold, role), set()) for role in ("train", "val", "test"))
        if reason := _why_wrong(
            choice, val, test - train if e.record.run["config"].get("train_dataset") is None else set()
        ):
            yield f"seed {choice.seed}, fold {choice.fold}, {choice.target}: {reason}"


def _why_wrong(choice: Choice, val: set[str], test: set[str]) -> str:
    subjects = set(choice.subjects)
    if tested := subjects & test:
        return f"the setting was chosen on {min(tested)}, who is also a test subject of that fold"
    if others := subjects - val:
        return f"the setting was chosen on {min(others)}, who is not a validation subject of that fold"
    if choice.scores and choice.chosen != choice.best:
        return f"trial {choice.chosen} was taken, but trial {choice.best} was better"
    return ""
