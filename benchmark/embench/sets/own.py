"""One's own methods beside the rows of a set: plugins by name or in files, predictions, and finished runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from embench import registry
from embench.callbacks import EventCallback
from embench.data import find
from embench.errors import CheckFailed, UsageError
from embench.interfaces.fusion import Estimator, Fusion
from embench.records.record import RUN_FILE
from embench.registry.catalogue import is_object, object_facts, shown_name
from embench.registry.loading import classes_in
from embench.registry.naming import did_you_mean
from embench.runs import external, guards
from embench.sets.files import ALL_TOGETHER, EACH_ALONE, RowRule
from embench.sets.forecast import RowForecast
from embench.sets.rows import BaselineRow, rows_of_rules
from embench.statistics.result import Result

WHERE = "--with"
_EXPECTED = "the name of an encoder, fusion or estimator, FILE.py:Class, a CSV file of predictions, or a run's folder"
_FEATURES, _NETWORK = "handcrafted", "cnn_tf"
"""The encoders below one's own estimator, and below one's own fusion."""


def own_rows(names: Sequence[str], dataset: str, options: Mapping[str, Any]) -> list[BaselineRow]:
    """The rows of one's own methods, which are plugins, files or objects; see `own_rules`.

    Raises:
        UsageError: there is no such method, or it fits nothing of this dataset. PluginError: it cannot be imported.
    """
    rows = []
    for name in names:
        found = rows_of_rules([("own", rule) for rule in own_rules(name)], dataset, options)
        if not any(not row.reason for row in found):
            reasons = "; ".join(dict.fromkeys(row.reason for row in found))
            raise UsageError(f"{shown_name(name)} fits no part of {dataset}: {reasons}", where=f"{WHERE} {name}")
        rows += found
    return rows


def own_rules(name: str) -> list[RowRule]:
    """The rows that one's own method has, as a set would write them.

    An estimator stands on handcrafted features, as those of the sets do, of each modality and of all together. An
    encoder reads each modality by itself, and all together: with linear estimators where it computes features, else as
    a network, with the fusion `late` for all. A fusion joins the networks that `embench run` has by default.
    """
    kind, plugin = _method(name)
    both, late = (EACH_ALONE, ALL_TOGETHER), (ALL_TOGETHER,)
    if kind == "fusion":
        if issubclass(plugin, Estimator) and plugin.reads == "features":
            return [RowRule(encoder=(_FEATURES,), fusion=(name,), modalities=both)]
        return [RowRule(encoder=(_NETWORK,), fusion=(name,), modalities=late)]
    if "features" in plugin.offers:
        return [
            RowRule(encoder=(name,), fusion=("logreg",), modalities=both, targets="classes"),
            RowRule(encoder=(name,), fusion=("ridge",), modalities=both, targets="values"),
        ]
    return [RowRule(encoder=(name,)), RowRule(encoder=(name,), fusion=("late",), modalities=late)]


def is_scored(text: str) -> bool:
    """True if a text names predictions or a finished run, which nothing has to be trained for."""
    return text.endswith((".csv", ".csv.gz")) or Path(text, RUN_FILE).is_file()


def own_result(given: str | Result, dataset: str, options: Mapping[str, Any]) -> Result:
    """A finished run, or that in a folder; or predictions in a CSV file, scored as by `embench score` under these
    options.

    Raises:
        UsageError: the run is one on another dataset. UsageError, DataError, CheckFailed: as `embench.score` and
            `embench.open`.
    """
    if isinstance(given, str) and not Path(given, RUN_FILE).is_file():
        if options.get("dev"):
            what = "predictions of other code cover test subjects only, so validation subjects cannot be scored"
            raise UsageError(what, where=f"{WHERE} {given}", expected="no --dev")
        fields = {name: options[name] for name in ("protocol", "targets", "data_root", "runs") if options.get(name)}
        return external.score(Path(given), dataset, **fields)
    result = given if isinstance(given, Result) else Result.read(Path(given))
    named, wanted = result.manifest["dataset"]["name"], find.full_name(dataset, options.get("data_root"))
    if named != wanted:
        raise UsageError(
            f"{result.id} is a run on {named}", where=f"{WHERE} {result.folder}", expected=f"one on {wanted}"
        )
    return result


def check_own(rows: Sequence[RowForecast], progress: EventCallback) -> None:
    """Tries the conformance of one's own methods, before anything is trained.

    Raises:
        CheckFailed: one does not conform; says which check it failed.
    """
    for row in rows:
        if row.row.level == "own":
            for part, found in guards.conformance(row.plan, progress).items():
                if found != guards.PASSED and not part.startswith("dataset"):
                    raise CheckFailed(
                        f"{row.row.title}: its {part} {found.removeprefix('failed: ')}",
                        where=WHERE,
                        expected="a method that passes its checks, before hours of training its baselines",
                        hint="for details: embench plugin check; embench.run runs the method without this check",
                    )


def _method(name: str) -> tuple[str, type[Any]]:
    """Kind and class of a plugin that is an encoder, a fusion or an estimator."""
    file, _, cls = name.rpartition(":")
    if is_object(name):
        kinds = [str(object_facts(name)["kind"])]
    elif file.endswith(".py"):
        if not Path(file).expanduser().is_file():
            raise UsageError(f"the file {file} does not exist", where=f"{WHERE} {name}", expected=_EXPECTED)
        found = next((each for each in classes_in(Path(file)) if each.__name__ == cls), object)
        kinds = ["fusion"] if issubclass(found, Fusion | Estimator) else ["encoder"]
    else:
        kinds = [kind for kind in ("encoder", "fusion") if _known(kind, name)]
    if not kinds:
        known = [each for kind in ("encoder", "fusion") for each in registry.names(kind)]
        raise UsageError(
            f"no method has the name `{name}`",
            where=f"{WHERE} {name}",
            expected=_EXPECTED,
            hint=did_you_mean(name, known) or "to list the methods: embench list encoder; embench list fusion",
        )
    return kinds[0], registry.load(kinds[0], name)


def _known(kind: str, name: str) -> bool:
    with suppress(UsageError):
        registry.find(kind, name)
        return True
    return False
