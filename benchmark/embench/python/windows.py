"""`embench.load_windows`, `embench.compute_features` and `embench.make_splitter`: inputs and folds of a run,
for the user's own code.

>>> import embench
>>> windows = embench.load_windows("amigos", modalities="eda", target="arousal", rate_hz=16)
>>> windows.X.shape[1:], len(windows.meta) == len(windows.y) == len(windows.X)
((1, 160), True)
>>> fold = windows.list_folds(seed=0)[0]
>>> x, mask, y = windows.load_arrays(fold, "train")
>>> len(x) == len(fold.train)
True
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from embench.data.cohort import Cohort, build_cohort, choose_targets
from embench.engine.assemble import StoredWindows, assemble, stored_windows, training_level
from embench.engine.feed import FeatureFeed
from embench.engine.rows import Grid, StoreSource, anchors, load_encoder
from embench.engine.stage import Part
from embench.errors import CheckFailed, UsageError
from embench.interfaces.units import Target, View
from embench.planning.compatibility import check_length
from embench.planning.graph import locate_data, make_all_units, make_source_spec
from embench.planning.method import choose_modalities, resolve_method
from embench.planning.plan import default_workers, resolve_rules
from embench.planning.request import Request, make_request
from embench.protocols import Fold, Protocol
from embench.python.networks import make_encoder, view_of_lengths
from embench.python.records import from_python, score_options
from embench.python.running import plugin_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame

    from embench.statistics.result import Result

    Texts: TypeAlias = str | Sequence[str]

Role = Literal["train", "validation", "test"]
Samples: TypeAlias = "np.ndarray | dict[str, np.ndarray]"


class _Parts(NamedTuple):
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


class FoldRows(_Parts):
    """Positions of the windows of a fold: labelled windows for `train` and `validation`, and all windows for `test`."""

    units: np.ndarray
    """Positions of the training units in the cohort."""


class Arrays(NamedTuple):
    """Windows of a role in a fold: `x` (n, C, T) float32, `mask` (n, T) bool and `y` (n,) float32. For several
    modalities, `x` and `mask` are mappings from modality to array."""

    x: Samples
    mask: Samples
    y: np.ndarray


@dataclass(frozen=True)
class _Study:
    """A dataset under a protocol, with the units and labels of one target."""

    request: Request
    protocol: Protocol
    cohort: Cohort
    target: Target

    @property
    def positions(self) -> np.ndarray:
        return np.asarray(self.cohort.positions, np.int64)

    @cached_property
    def source(self) -> StoreSource:
        cohort = self.cohort
        return StoreSource.from_spec(
            make_source_spec(self.protocol, cohort), locate_data(cohort), make_all_units(cohort)
        )

    def labels(self, train: np.ndarray) -> np.ndarray:
        """Return the labels of all units; some targets have a threshold that depends on the training units `train`."""
        return self.cohort.labels(self.target, train)

    @property
    def has_fixed_labels(self) -> bool:
        """True if labels are the same in all folds: their threshold does not depend on training units."""
        return self.target.rule.cut != "training_mean"

    def units(self, fold: Fold) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the positions of the units of a fold for training, validation and test."""
        train, val, test = (self.cohort.find_positions(ids) for ids in (fold.train, fold.val, fold.test))
        known = np.isfinite(self.labels(train))
        return train[known[train]], val[known[val]], test

    def meta(self, unit: np.ndarray, start: np.ndarray) -> DataFrame:
        import pandas as pd

        units = [self.cohort.units[i] for i in unit]
        columns = {name: [getattr(u, name) for u in units] for name in ("subject", "recording")}
        columns |= {"unit": [u.id for u in units]}
        groups = [self.cohort.groups[u.subject] for u in units]
        return pd.DataFrame({**columns, "start_s": start, "stimulus": [u.stimulus for u in units], "group": groups})


class Splitter:
    """Folds of a protocol for scikit-learn, as `cv=`: `split` yields the training and the test rows of each fold.

    Validation subjects are in neither part, so that training rows equal those of a run. Rows whose label in
    `y` is missing are excluded.
    """

    def __init__(self, study: _Study, seed: int, rows: np.ndarray | None = None) -> None:
        self._study, self._seed, self._rows = study, seed, rows

    def __repr__(self) -> str:
        return f"Splitter({self._study.protocol.name}, seed={self._seed})"

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds; the arguments are not used."""
        return len(self._study.cohort.folds(self._study.protocol, self._seed))

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the training and test positions of each fold.

        Args:
            X: the rows; only their number is used.
            y: their labels; rows with NaN are excluded.
            groups: the unit of each row, as in `meta["unit"]`; not needed for a splitter of `Windows`.

        Raises:
            UsageError: units are missing or unknown.
        """
        study, count = self._study, len(X)
        unit = self._rows if groups is None else self._positions(groups)
        if unit is None or len(unit) != count:
            what = f"{count} rows, but {'no units' if unit is None else f'{len(unit)} units'}"
            raise UsageError(what, where="groups=", expected='the unit of each row, such as `windows.meta["unit"]`')
        labelled = np.ones(count, bool) if y is None else ~np.isnan(np.asarray(y, np.float64))
        for fold in study.cohort.folds(study.protocol, self._seed):
            train, _, test = study.units(fold)
            yield tuple(np.flatnonzero(np.isin(unit, part) & labelled) for part in (train, test))  # type: ignore[misc]

    def _positions(self, groups: Any) -> np.ndarray:
        known = {unit.id: i for i, unit in enumerate(self._study.cohort.units)}
        names = [str(name) for name in np.asarray(groups).tolist()]
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            expected = f"units such as {next(iter(known))}"
            raise UsageError(f"there is no unit `{unknown}`", where="groups=", expected=expected)
        return np.array([known[name] for name in names], np.int64)


class Windows:
    """Windows of a dataset with their labels and folds, as returned by `embench.load_windows`.

    Rows are windows, sorted by recording and time. A window that was recorded for less than half of its length contains
    zeros and is in no fold, as runs do not read it.
    """

    def __init__(self, study: _Study, parts: Mapping[str, Part], grid: Grid) -> None:
        self._study, self._parts, self._grid = study, parts, grid

    def __len__(self) -> int:
        return len(self._grid)

    def __repr__(self) -> str:
        study, shapes = self._study, [f"{m} {tuple(stored.x.shape[1:])}" for m, stored in self._stored.items()]
        return f"Windows({study.cohort.card.name}, {study.target.name}; {len(self)} windows of {', '.join(shapes)})"

    @cached_property
    def _stored(self) -> dict[str, StoredWindows]:
        return {m: stored_windows(self._study.source, m, part, self._grid) for m, part in self._parts.items()}

    @property
    def X(self) -> Samples:  # noqa: N802  as scikit-learn calls it
        """(N, C, T) float32, memory-mapped; for several modalities a mapping to such arrays. Normalised by the
        protocol, except for modalities in `scaled_per_fold`, which `load_arrays` and `to_torch` scale."""
        return self._unwrap_single({m: stored.x for m, stored in self._stored.items()})

    @property
    def mask(self) -> Samples:
        """(N, T) bool, memory-mapped: True for recorded samples; for several modalities a mapping to such arrays."""
        return self._unwrap_single({m: stored.mask for m, stored in self._stored.items()})

    @property
    def scaled_per_fold(self) -> tuple[str, ...]:
        """Modalities that are not normalised in advance, but in each fold by its training windows."""
        return tuple(m for m, stored in self._stored.items() if stored.level)

    @cached_property
    def y(self) -> np.ndarray:
        """(N,) float32 labels of the windows' units; NaN without a label. If labels depend on the training units of a
        fold, `y` has raw ratings, and `load_arrays` returns the labels."""
        study = self._study
        values = study.labels(study.positions) if study.has_fixed_labels else study.cohort.raw[study.target.name]
        return values[self._unit].astype(np.float32)

    @cached_property
    def meta(self) -> DataFrame:
        """Subject, recording, unit, start_s (seconds in its recording), stimulus and group of each window. Subjects of
        one group are always in the same fold."""
        return self._study.meta(self._unit, self._grid.start)

    @cached_property
    def _unit(self) -> np.ndarray:
        """Position of each window's unit in the cohort, (N,)."""
        return self._study.positions[self._grid.unit]

    @cached_property
    def _present(self) -> np.ndarray:
        return np.asarray(np.stack([stored.present for stored in self._stored.values()]).any(0))

    def list_folds(self, seed: int = 0) -> list[FoldRows]:
        """Return the folds of a seed, equal to those of `embench.run(seeds=seed)`."""
        study, folds = self._study, []
        for fold in study.cohort.folds(study.protocol, seed):
            rows = FoldRows(*map(self._select_rows, study.units(fold)))
            rows.units = study.cohort.find_positions(fold.train)
            folds.append(rows)
        return folds

    def _select_rows(self, units: np.ndarray) -> np.ndarray:
        """Return the windows that runs read, in the order of `units`."""
        rows = [np.arange(*self._bounds[i]) for i in units.tolist() if i in self._bounds]
        index = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        return index[self._present[index]]

    @cached_property
    def _bounds(self) -> dict[int, tuple[int, int]]:
        """Unit -> (position of its first window, position after its last)."""
        first = np.flatnonzero(np.diff(self._unit, prepend=-1))
        last = np.append(first[1:], len(self._unit))
        return dict(zip(self._unit[first].tolist(), zip(first.tolist(), last.tolist(), strict=True), strict=True))

    def make_splitter(self, seed: int = 0) -> Splitter:
        """Return the folds of a seed for scikit-learn, as in `cross_val_score(model, x, y,
        cv=windows.make_splitter())`."""
        return Splitter(self._study, seed, np.where(self._present, self._unit, -1))

    def load_arrays(self, fold: FoldRows, role: Role) -> Arrays:
        """Return the windows of a role with labels, bit for bit as an encoder in a run receives them.

        Args:
            fold: one of `list_folds(seed)`.
            role: `train`, `validation` or `test`. Test windows get NaN as labels; `score` alone reads theirs.

        Raises:
            UsageError: the role is unknown. CheckFailed: a group is in the training and in the test part.
        """
        index, scales = self._index(fold, role), self._scales(fold)
        x, mask = {}, {}
        for m, stored in self._stored.items():
            x[m] = _apply_scale(np.array(stored.x[index]), stored.mask[index], scales.get(m))
            mask[m] = np.array(stored.mask[index])
        return Arrays(self._unwrap_single(x), self._unwrap_single(mask), self._labels(fold, role)[index])

    def to_torch(self, fold: FoldRows, role: Role) -> TorchWindows:
        """Return the windows of `load_arrays` as a torch dataset with items `(x, mask, y)`, read from disk one by one.

        Args:
            fold, role: see `load_arrays`.
        """
        index = self._index(fold, role)
        return TorchWindows(self._stored, index, self._labels(fold, role), self._scales(fold))

    def score(
        self,
        predictions: np.ndarray | Mapping[int, np.ndarray],
        *,
        seed: int = 0,
        name: str = "windows",
        time_context: Literal["unit", "causal", "offline"] = "offline",
        out: str | Path | None = None,
    ) -> Result:
        """Score predictions of test windows as `embench.run` scores its own, and write a record.

        Predictions of a unit's windows are averaged. This counts as an evaluation on the test labels. Units without any
        recorded signal of these modalities count as wrong predictions; in a run, they count half.

        Args:
            predictions: (N,) probabilities, or values of a continuous target; (N, K) for K classes; NaN at windows that
                are not tested. For several seeds, a mapping from seed to such arrays.
            seed: seed of the folds.
            name: name of the method.
            time_context, out: see `embench.score`.

        Raises:
            UsageError: the array has another shape. DataError, CheckFailed: see `embench.score`.
        """
        by_seed = predictions if isinstance(predictions, Mapping) else {seed: predictions}
        import pandas as pd

        study = self._study
        frame = pd.concat([self._by_unit(np.asarray(values, np.float64), seed_) for seed_, values in by_seed.items()])
        return score_options(
            frame, study.request.dataset, name=name, protocol=study.request.protocol, targets=study.target.name,
            time_context=time_context, data_root=study.request.data_root, out=out and Path(out), windows=True,
        )  # fmt: skip

    def _by_unit(self, values: np.ndarray, seed: int) -> DataFrame:
        """Return predictions (N,) or (N, K) of a seed as a table with a row for each tested unit."""
        columns, shape = self._study.target.columns, values.shape
        wanted = (len(self), len(columns)) if len(columns) > 1 else (len(self),)
        if shape != wanted and not (len(columns) == 1 and shape == (len(self), 1)):
            what = f"predictions have the shape {shape}"
            raise UsageError(what, where="predictions=", expected=f"{wanted}, a row for each window")
        tested = np.concatenate([fold.test for fold in self.list_folds(seed)])
        table = values.reshape(len(self), -1)
        tested = np.sort(tested[np.isfinite(table[tested]).all(1)])
        if not len(tested):
            raise UsageError("no test window has a prediction", where="predictions=", expected="numbers at `fold.test`")
        frame = self.meta.loc[tested, ["subject", "recording", "unit"]].assign(
            target=self._study.target.name, seed=seed, **{name: table[tested, k] for k, name in enumerate(columns)}
        )
        keys = ["subject", "recording", "unit", "target", "seed"]
        return frame.groupby(keys, sort=False, as_index=False)[list(columns)].mean()

    def _index(self, fold: FoldRows, role: str) -> np.ndarray:
        if role not in FoldRows._fields:
            raise UsageError(f"no role `{role}`", where="role=", expected=", ".join(FoldRows._fields))
        if not self._study.protocol.leaks:
            group = self.meta["group"].to_numpy()
            if shared := sorted(set(group[fold.train]) & set(group[fold.test])):
                what = f"{shared[0]} is in the training and in the test part"
                raise CheckFailed(what, where="fold=", expected="one of `list_folds(seed)`")
        return np.asarray(getattr(fold, role), np.int64)

    def _labels(self, fold: FoldRows, role: str) -> np.ndarray:
        if role == "test":
            return np.full(len(self), np.nan, np.float32)
        return self._study.labels(fold.units)[self._unit].astype(np.float32)

    def _scales(self, fold: FoldRows) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return modality -> (mean, gain), each (C, 1), from the training windows of a fold."""
        study, scales = self._study, {}
        for m in self.scaled_per_fold:
            units = fold.units[np.isfinite(study.labels(fold.units)[fold.units])]
            level = training_level(study.source, m, self._parts[m], self._grid, study.cohort.arrays(units))
            scales[m] = level["mean"][:, None], (1.0 / level["std"])[:, None]
        return scales

    def _unwrap_single(self, arrays: dict[str, np.ndarray]) -> Samples:
        return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _apply_scale(x: np.ndarray, mask: np.ndarray, scale: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Return (x - mean) * gain of windows `x` (..., C, T), with zeros where `mask` (..., T) is False; `x` itself
    without `scale`, which is (mean, gain)."""
    if scale is None:
        return x
    return np.where(mask[..., None, :], (x - scale[0]) * scale[1], np.float32(0))


class TorchWindows(Dataset[Any]):
    """Windows of a role in a fold, as returned by `Windows.to_torch`."""

    def __init__(
        self,
        stored: Mapping[str, StoredWindows],
        index: np.ndarray,
        y: np.ndarray,
        scales: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self._stored, self._index, self._y, self._scales = stored, index, torch.from_numpy(y), scales

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, position: int) -> tuple[Any, Any, Tensor]:
        """Return `x` (C, T), `mask` (T,) and `y` of a window; `x` and `mask` are mappings for several modalities."""
        i, x, mask = self._index[position], {}, {}
        for m, stored in self._stored.items():
            recorded = np.array(stored.mask[i])
            mask[m] = torch.from_numpy(recorded)
            x[m] = torch.from_numpy(_apply_scale(np.array(stored.x[i]), recorded, self._scales.get(m)))
        (first, *others) = self._stored
        return (x, mask, self._y[i]) if others else (x[first], mask[first], self._y[i])


@from_python
def load_windows(
    dataset: str,
    *,
    modalities: Texts | None = None,
    window_s: float | None = None,
    step_s: float | None = None,
    context_s: float | None = None,
    rate_hz: float | None = None,
    target: str | None = None,
    protocol: str = Request.protocol,
    data_root: str | Path | None = None,
) -> Windows:
    """Return windows of a dataset as arrays, with labels and the folds of a protocol, for custom training code.

    `X` equals the input of a network in a run, except for modalities in `scaled_per_fold`, which each fold scales by
    its training windows: `face_au` under protocols with `normalise: recording_unlabelled`, none under the default
    protocol.

    Args:
        dataset: name of a dataset, or `./FOLDER` of your own data.
        modalities: such as `"eda,ecg"`; by default the card's. `"ecg+eda"` joins channels in one array.
        window_s, step_s: length of a window in s, by default 10, and the distance between window starts, by default the
            window length.
        context_s: instead of windows inside the unit, use the last `context_s` seconds before its end.
        rate_hz: samples per second; by default the protocol's, 128 (`face_au`: 18).
        target: by default the first of the dataset's card.
        protocol: name of a protocol, or a YAML file.
        data_root: folder that contains the datasets; by default `$EMBENCH_DATA`, else the user's data folder.

    Raises:
        UsageError: a name does not exist, a window is longer than all units, or the protocol uses calibration data.
        DataError: the data are missing or damaged.
    """
    encoder = make_encoder(
        _refuse_network, window_s=window_s, step_s=step_s, context_s=context_s, rate_hz=rate_hz, name="windows"
    )
    request = _make_request(dataset, modalities, target, protocol, data_root)
    study, parts = _plan_study(plugin_name("encoder", encoder), request)
    for m, part in parts.items():
        check_length(part, m, study.cohort)
    view, units = view_of_lengths(window_s, step_s, context_s), study.cohort.arrays(study.positions)
    return Windows(study, parts, anchors(view, units["recording"], units["start"], units["stop"]))


@from_python
def compute_features(
    dataset: str,
    *,
    encoder: str = "handcrafted",
    modalities: Texts | None = None,
    target: str | None = None,
    protocol: str = Request.protocol,
    data_root: str | Path | None = None,
) -> DataFrame:
    """Return features of all units as a table of pandas, equal to the input of an estimator in a run.

    Values are normalised by the protocol, by default z-scored for each subject. Columns are `MODALITY_FEATURE`; the
    index contains subject, recording, unit and label. A run also drops features that are constant over a fold's
    training units.

    Args:
        dataset: name of a dataset, or `./FOLDER` of your own data.
        encoder: name of an encoder with features.
        modalities, target, protocol, data_root: see `embench.load_windows`.

    Raises:
        UsageError: a name does not exist, or the encoder has no features. DataError: the data are missing or damaged.
    """
    import pandas as pd

    study, parts = _plan_study(encoder, _make_request(dataset, modalities, target, protocol, data_root))
    if any(load_encoder(part).reads != "features" for part in parts.values()):
        raise UsageError(f"{encoder} computes no features", where="encoder=", expected="such as handcrafted")
    units = study.cohort.arrays(study.positions)
    grid = anchors(View("unit"), units["recording"], units["start"], units["stop"])
    data, specs = assemble(study.source, parts, grid, "cpu")
    columns: dict[str, np.ndarray] = {}
    for m, feed in data.feeds.items():
        if not isinstance(feed, FeatureFeed):
            raise TypeError(f"{m} has no features")
        values = feed.array.numpy().reshape(len(grid), -1)
        names = specs[m].channels if len(specs[m].channels) == values.shape[1] else range(values.shape[1])
        columns |= {f"{m}_{name}": values[:, k] for k, name in enumerate(names)}
    meta = study.meta(study.positions, grid.start)
    labels = study.labels(study.positions) if study.has_fixed_labels else study.cohort.raw[study.target.name]
    index = pd.MultiIndex.from_frame(meta[["subject", "recording", "unit"]].assign(label=labels[study.positions]))
    return pd.DataFrame(columns, index=index)


@from_python
def make_splitter(
    dataset: str,
    *,
    seed: int = 0,
    target: str | None = None,
    protocol: str = Request.protocol,
    data_root: str | Path | None = None,
) -> Splitter:
    """Return the folds of a protocol for scikit-learn, as `cv=`, with the unit of each row as `groups=`.

    Args:
        dataset: name of a dataset, or `./FOLDER` of your own data.
        seed: each seed has its own folds.
        target, protocol, data_root: see `embench.load_windows`.

    Raises:
        UsageError: a name does not exist. DataError: the data are missing or damaged.
    """
    return Splitter(_make_study(_make_request(dataset, None, target, protocol, data_root), None), seed)


def _refuse_network(channels: int, samples: int) -> nn.Module:  # the encoder only determines windows
    raise UsageError(f"no network is made for {channels} channels of {samples} samples")


def _make_request(
    dataset: str, modalities: Texts | None, target: str | None, protocol: str, data_root: str | Path | None
) -> Request:
    return make_request(
        dataset=dataset, modalities=modalities, target=target, protocol=protocol, data_root=data_root, recipe="small"
    )


def _plan_study(encoder: str | None, request: Request) -> tuple[_Study, dict[str, Part]]:
    """Return the study of a request, and modality -> part of a method, whose encoder determines the windows."""
    _, rules, card = resolve_rules(request)
    available = list(request.source.prepared(rules, default_workers({"cpu"})).modalities)
    parts = {}
    for m in choose_modalities(request, card, available):
        alone = make_request(**{**vars(request), "modalities": m, "encoders": (str(encoder),)})
        parts[m] = resolve_method(alone, card, available, "cpu").encoders[m]
    return _make_study(request, tuple(parts)), parts


def _make_study(request: Request, modalities: tuple[str, ...] | None) -> _Study:
    _, rules, card = resolve_rules(request)
    if rules.personal:
        what = f"test subjects give calibration data under {rules.name}"
        raise UsageError(what, where=f"--protocol {rules.name}", expected="a protocol without personalisation")
    targets = choose_targets(card, request.targets)
    if request.targets and len(targets) > 1:
        raise UsageError("windows have the labels of one target", where=f"--target {request.targets}", expected="one")
    store = request.source.prepared(rules, default_workers({"cpu"}))
    chosen = list(store.modalities) if modalities is None else modalities
    return _Study(request, rules, build_cohort(store, card, targets[:1], chosen, rules), targets[0])
