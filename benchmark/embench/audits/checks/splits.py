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
from embench.reasons import Reason
from embench.records.audit import AuditFinding, CheckResult
from embench.records.findings import Severity
from embench.records.record import TUNING_FILE, strip_variant
from embench.store import Store
from embench.store.store import cache_array
from embench.system import installed_version


def check_shared_subjects(e: RecordEvidence) -> CheckResult | Undefined:
    """Check that no subject is tested by a network that learned from it, or from a subject recorded together with it.

    Folds list the training subjects. A subject (or group) whose units are tested in several folds of a seed was also
    trained on, unless the protocol trains on calibration data. Subjects of another dataset are different ones, whatever
    their names; `copies` and `pretraining` compare signals."""
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
    several = _tested_twice(e)
    if several:
        findings.append(AuditFinding(severity, "several_folds", {"n": len(several), "subjects": first_names(several)}))
    return CheckResult({"folds": len(sides), "subjects": len({p for _, _, p in rows})}, tuple(findings))


def _tested_twice(e: RecordEvidence) -> set[str]:
    """Return subjects and groups that are tested in more than one fold of a seed, although the split is by them
    alone."""
    if e.protocol.split.by == "group+stimulus":
        return set()
    folds: dict[tuple[int, str], set[int]] = defaultdict(set)
    for seed, fold, subject in e.tested:
        for name in {subject, e.groups.get(subject, subject)}:
            folds[seed, name].add(fold)
    return {name for (_, name), found in folds.items() if len(found) > 1}


def check_partition(e: Evidence) -> CheckResult | Undefined:
    """Check that folds are those into which the protocol deals these subjects."""
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
    """Check that each predicted unit exists in the data, with its own subject and recording, and is predicted once per
    seed. No sample may lie in units of two folds of a seed, and stimuli must be kept apart as the protocol says."""
    findings = []
    rows = e.predictions
    predicted = rows.texts("unit").names.tolist()
    unknown = {u for u in predicted if u not in e.units}
    if unknown:
        findings.append(AuditFinding("severe", "unknown_units", _units_evidence(unknown)))
    given = set(predicted) & e.untested
    if given:
        findings.append(AuditFinding("severe", "calibration_units", _units_evidence(given)))
    wrong = {
        unit
        for unit, *about in rows.distinct("unit", "subject", "recording", "stimulus")
        if unit in e.units and about != [e.units[unit].subject, e.units[unit].recording, e.units[unit].stimulus]
    }
    if wrong:
        findings.append(AuditFinding("severe", "other_units", _units_evidence(wrong)))
    overlapping = _overlapping_units(e)
    if overlapping:
        severity: Severity = "note" if e.protocol.leaks else "severe"
        findings.append(AuditFinding(severity, "shared_samples", _units_evidence(overlapping)))
    if "stimulus" in e.protocol.split.by:
        findings += _shared_stimuli(e)
    return CheckResult({"units": len(predicted)}, tuple(findings))


def _units_evidence(names: set[str]) -> dict[str, Any]:
    return {"n": len(names), "units": first_names(names)}


def _overlapping_units(e: Evidence) -> set[str]:
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


def _shared_stimuli(e: Evidence) -> list[AuditFinding]:
    """Return the findings for a split by stimuli: a fold must not train on the stimuli that it tests, nor on any that
    the protocol keeps apart from them."""
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


# Copies of signals under several names, also scaled, shifted, cropped, resampled or filtered ones. A window's
# fingerprint is its log power spectrum less the local trend and less what all windows share (hum, filters). Moving,
# scaling or filtering keeps this fine structure, which no two recordings have in common. Windows whose fingerprints
# correlate are aligned by phase correlation (Kuglin and Hines 1975), which is near 1 for the same signal and near 0 for
# different ones. Regular pulses of one rate also align by chance, but a copy continues before or after the window, at
# the same shift. Copies stretched in time are not found.

BINS, FEWEST = 512, 100
MAX_WINDOWS = 4000
CANDIDATES, CANDIDATES_PER_PAIR = 800, 12
SIMILAR, COPIED_PEAK = 0.25, 0.5
"""Correlation of fingerprints from which on windows are aligned; phase correlation from which on they are copies."""
POWER_FLOOR = 1e-3
"""Proportion of a window's strongest power below which a bin is filtered noise."""
MIN_COPIED_WINDOWS = 3
"""Number of non-overlapping copied windows from which on two subjects count as having the same signals."""
COPIED_SHARE, CERTAIN = 0.75, 0.8
"""Copies below `CERTAIN` count only if they are this proportion of all aligned windows, from the most similar down to
the last copy. Two regular pulses of one rate sometimes align by chance, with up to .7 in real recordings."""
SHIFTED_S = 0.1
"""Seconds by which the shifts of neighbouring windows of a copy may differ, a fraction of a heart beat."""


@dataclass(frozen=True)
class CutWindows:
    """Windows of one modality, all `length_s` long.

    Args:
        x: (n, samples) as cut. `start`: (n,) in s. `subject`, `recording`: (n,).
        print_: (n, bins) fingerprints as unit vectors. `used`: (n, bins) the bins with power.
        rich: (n,) whether these bins are enough for a fingerprint; other fingerprints are 0."""

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
        """Samples per second."""
        return self.x.shape[1] / self.length_s


@dataclass(frozen=True)
class Match:
    """Two subjects who share some windows of the same signal."""

    one: str
    other: str
    modality: str
    windows: int
    peak: float


def check_copies(e: Evidence) -> CheckResult | Undefined:
    """Check that no two subjects of the dataset have the same signals."""
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
    """Check that pretraining data contain no test subjects, according to the record and to the available signals."""
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
    """Return modality -> number of compared windows, and the subjects with the same signals, within a store or between
    two.

    Args:
        rates: modality -> recording rate in Hz: frequencies above half of it carry no information."""
    n_compared, found = {}, []
    libraries = [installed_version(name) for name in ("numpy", "scipy")]
    for m in (m for m in modalities if m != "video"):  # frames are no signal, and decoded only where a run needs them
        rate = rates.get(m, np.inf)
        key = ["copies", sha256(Path(__file__)), libraries, None if other is None else other.key, m, rate]
        windows, matches = json.loads(str(cache_array(store, key, partial(_compare_windows, store, other, m, rate))))
        if windows is not None:
            n_compared[m] = windows
            found += [Match(**match) for match in matches]
    return n_compared, found


def _compare_windows(store: Store, other: Store | None, m: str, rate: float) -> np.ndarray:
    """Return JSON, as an array of one text: the number of compared windows of a modality, null if none could be
    compared, and the matches."""
    length = _window_length(store, m, rate)
    if length is None or (other is not None and other.modalities[m].rate != store.modalities[m].rate):
        return np.array("[null, []]")
    band = 0.45 * min(store.modalities[m].rate, rate)
    ours = cut_windows(store, m, length, band)
    theirs = ours if other is None else cut_windows(other, m, length, band)
    if ours is None or theirs is None:
        return np.array("[null, []]")
    windows = int(ours.rich.sum() if other is None else ours.rich.sum() + theirs.rich.sum())
    return np.array(json.dumps([windows, [vars(match) for match in _matches(ours, theirs, m, inside=other is None)]]))


def _window_length(store: Store, m: str, rate: float) -> float | None:
    """Return the length of a window in s: long enough for many bins and not too many windows, short enough for most
    recordings. None if recordings are too short."""
    own = store.modalities[m].rate
    band = 0.45 * min(own, rate)
    seconds = np.array([e.spans[m].samples / own for e in store.recordings if m in e.spans])
    if not len(seconds):
        return None
    wanted = max(16.0, BINS / band, 2 * seconds.sum() / MAX_WINDOWS)
    length = min(wanted, 0.95 * float(np.median(seconds)))
    return length if length * band >= FEWEST else None


def cut_windows(store: Store, m: str, length_s: float, band_hz: float) -> CutWindows | None:
    """Return half-overlapping windows of the first channel of a modality, without flat ones. None if no window has
    enough power for a fingerprint."""
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
        x = _clipped_differences(array[0, first : first + n])
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
    """Return unit vectors of log power (n, bins), NaN if a bin has none, after subtraction of what all windows
    share."""
    counts = np.isfinite(table).sum(0)
    table = table - np.where(counts > 0, np.nansum(table, 0) / np.maximum(counts, 1), 0)
    table = np.nan_to_num(table - np.nanmean(table, 1, keepdims=True))
    return np.asarray(table / (np.linalg.norm(table, axis=1, keepdims=True) + 1e-12))


def _clipped_differences(x: np.ndarray) -> np.ndarray:
    """Return the window's differences, limited to the range of most of them, since one spike looks like any other."""
    steps = np.diff(np.asarray(x, np.float64))
    low, high = np.quantile(steps, [0.02, 0.98])
    return np.asarray(np.clip(steps, low, high))


def _matches(ours: CutWindows, theirs: CutWindows, m: str, *, inside: bool) -> list[Match]:
    candidates: list[tuple[float, int, int]] = []
    for start in range(0, len(ours.x), 500):
        like = ours.print_[start : start + 500] @ theirs.print_.T
        if inside:
            like[ours.subject[start : start + 500, None] == theirs.subject[None]] = 0
        rows, columns = np.nonzero(like > SIMILAR)
        candidates += zip(like[rows, columns].tolist(), (rows + start).tolist(), columns.tolist(), strict=True)
    candidates = [c for c in candidates if not inside or c[1] < c[2]]
    pairs: dict[tuple[str, str], list[tuple[float, int, int, float]]] = {}
    tried: Counter[tuple[str, str]] = Counter()
    for _, i, j in sorted(candidates, reverse=True):
        pair = (str(ours.subject[i]), str(theirs.subject[j]))
        if tried[pair] == CANDIDATES_PER_PAIR or tried.total() == CANDIDATES:
            continue
        tried[pair] += 1
        peak, lag = align(ours.x[i], theirs.x[j], ours.used[i] & theirs.used[j])
        offset = float(ours.start[i] - theirs.start[j] + lag / ours.rate)
        pairs.setdefault(pair, []).append((peak, i, j, offset))
    found = []
    for (one, other), aligned in sorted(pairs.items()):
        same = [row for row in _select_copies(aligned) if _continues(ours, theirs, row)]
        apart = _count_separate(same, ours, theirs)
        if same and apart >= min(MIN_COPIED_WINDOWS, _most_separate(ours, one), _most_separate(theirs, other)):
            found.append(Match(one, other, m, apart, float(np.median([peak for peak, *_ in same]))))
    return found


def _continues(ours: CutWindows, theirs: CutWindows, row: tuple[float, int, int, float]) -> bool:
    """Return True if the signals before or after two aligned windows are also the same at the same shift, or if one of
    the two recordings has no other window."""
    _, i, j, offset = row
    around, there = _other_windows(ours, i), _other_windows(theirs, j)
    if not len(around) or not len(there):
        return True
    apart = np.abs(ours.start[around][:, None] - offset - theirs.start[there])
    met, reach = apart.min(1) <= 0.26 * ours.length_s, round(SHIFTED_S * ours.rate)  # the grid has a window each half
    pairs = np.stack([around, there[apart.argmin(1)]], axis=1)[met]
    after = np.searchsorted(ours.start[pairs[:, 0]], ours.start[i])
    for one, other in (*pairs[after - 1 : after], *pairs[after : after + 1]):
        lag = round((offset - ours.start[one] + theirs.start[other]) * ours.rate)
        common = _common_parts(ours.x[one], theirs.x[other], lag)
        heights = _phase_correlation(*common, ours.used[one] & theirs.used[other], ours.x.shape[1] - 1)
        if np.roll(heights, reach)[: 2 * reach + 1].max() > COPIED_PEAK:
            return True
    return False


def _other_windows(windows: CutWindows, k: int) -> np.ndarray:
    """Return the windows of the recording of window `k` that do not overlap with it, in order of time."""
    own = windows.recording == windows.recording[k]
    return np.flatnonzero(own & (np.abs(windows.start - windows.start[k]) > 0.99 * windows.length_s))


def _select_copies(aligned: Sequence[tuple[float, int, int, float]]) -> list[tuple[float, int, int, float]]:
    """Return the copies among aligned windows, which are given most alike first."""
    peaks = np.array([peak for peak, *_ in aligned])
    share = np.cumsum(peaks > COPIED_PEAK) / np.arange(1, len(peaks) + 1)
    most = np.flatnonzero((peaks > COPIED_PEAK) & (share >= COPIED_SHARE))
    among = np.arange(len(peaks)) <= most.max(initial=-1)
    return [
        row for row, copied in zip(aligned, (peaks > CERTAIN) | ((peaks > COPIED_PEAK) & among), strict=True) if copied
    ]


def _count_separate(same: Sequence[tuple[float, int, int, float]], ours: CutWindows, theirs: CutWindows) -> int:
    """Return the number of copied windows that do not overlap. Those of a pair of recordings count if all have the same
    shift, and a recording counts for one pair only."""
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


def _most_separate(windows: CutWindows, subject: str) -> int:
    """Return the number of windows of a subject that do not overlap."""
    own = windows.rich & (windows.subject == subject)
    recordings = np.unique(windows.recording[own])
    spans = [np.ptp(windows.start[own & (windows.recording == r)]) for r in recordings]
    return int(sum(1 + span // (0.99 * windows.length_s) for span in spans))


def align(one: np.ndarray, other: np.ndarray, used: np.ndarray) -> tuple[float, int]:
    """Return the height of the phase correlation's peak between two windows (n,) over some bins, 1 for the same signal,
    and by how many samples the second window has it earlier. If the windows overlap by at least half, the height is
    that of their common part: in a copy, the rest is another signal."""
    n = len(one) - 1
    heights = _phase_correlation(one, other, used, n)
    at = int(heights.argmax())
    lag = at if at <= n // 2 else at - n
    if 0 < 2 * abs(lag) <= len(one):
        heights = _phase_correlation(*_common_parts(one, other, lag), used, n)
    return float(heights.max()), lag


def _common_parts(one: np.ndarray, other: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the common parts of two windows (n,), if the second has the signal `lag` samples earlier."""
    return one[max(0, lag) : len(one) + min(0, lag)], other[max(0, -lag) : len(one) - max(0, lag)]


def _phase_correlation(one: np.ndarray, other: np.ndarray, used: np.ndarray, n: int) -> np.ndarray:
    """Return (n,) the phase correlation at each lag, cyclic, of two windows of equal length, at most n + 1. `used`:
    bins of windows of length n."""
    taper = get_window("hann", len(one) - 1)
    spectra = [np.fft.rfft(_clipped_differences(x) * taper, n)[1 : len(used) + 1] for x in (one, other)]
    cross = spectra[0] * np.conj(spectra[1])
    whole = np.zeros(n // 2 + 1, complex)
    whole[1 : len(used) + 1] = np.where(used, cross / np.maximum(np.abs(cross), 1e-30), 0)
    return np.asarray(np.abs(np.fft.irfft(whole, n)) * n / (2 * max(1, used.sum())))


def check_tuning(e: RecordEvidence) -> CheckResult | Undefined:
    """Check that the settings of a tuned run are the best on the validation subjects of each fold, by the scores in its
    record. These scores are recomputed only if the run is retrained."""
    stated = e.record.run["config"].get("tuned")
    if stated is None:
        return Undefined("not_tuned")
    try:
        tuning = read_tuning(e.folder / TUNING_FILE)
    except EmbenchError as error:
        return CheckResult({}, (AuditFinding("severe", "unreadable_choices", {"reason": Reason.make(error.what)}),))
    wrong = list(_wrong_choices(e, tuning))
    if tuning.summary != stated:
        wrong.insert(0, Reason.make("other_choices"))
    figures = {"trials": tuning.search.trials, "choices_made": len(tuning.choices), "wrong": len(wrong)}
    if not wrong:
        return CheckResult(figures)
    return CheckResult(figures, (AuditFinding("severe", "wrong_choices", {**figures, "statements": wrong[:8]}),))


def _wrong_choices(e: RecordEvidence, tuning: Tuning) -> Iterator[Reason]:
    members: dict[tuple[int, int, str], set[str]] = {}
    for row in e.record.folds:
        if row["role"]:
            members.setdefault((int(row["seed"]), int(row["fold"]), row["role"]), set()).add(row["subject"])
    for choice in tuning.choices:
        train, val, test = (members.get((choice.seed, choice.fold, role), set()) for role in ("train", "val", "test"))
        if reason := _choice_fault(
            choice, val, test - train if e.record.run["config"].get("train_dataset") is None else set()
        ):
            about = {"seed": choice.seed, "fold": choice.fold, "target": choice.target}
            yield Reason.make("of_choice", **about, why=reason)


def _choice_fault(choice: Choice, val: set[str], test: set[str]) -> Reason | None:
    subjects = set(choice.subjects)
    if tested := subjects & test:
        return Reason.make("chosen_on_tested", subject=min(tested))
    if others := subjects - val:
        return Reason.make("chosen_on_other", subject=min(others))
    if choice.scores and choice.chosen != choice.best:
        return Reason.make("worse_trial", chosen=choice.chosen, best=choice.best)
    return None
