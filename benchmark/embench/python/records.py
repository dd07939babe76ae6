"""Open runs, entries, leaderboards and datasets from Python, with error messages for Python."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from embench.errors import DataError, EmbenchError, MachineError, UsageError
from embench.files import PRIVATE, make_folder, write_text, write_whole
from embench.planning.request import Request
from embench.records import TimeContext
from embench.registry.catalogue import get_object_file, make_object_name, register_object
from embench.registry.contents import PYTHON, inspect_object
from embench.statistics.result import Result
from embench.system import KEPT, hearing_interrupts
from embench.vocabulary import did_you_mean

if TYPE_CHECKING:
    from pandas import DataFrame

    from embench.interfaces.dataset import Dataset
    from embench.records.audit import Audit


# Errors of all Python functions: messages name Python's arguments, and suggest similar names.

_P = ParamSpec("_P")
_R = TypeVar("_R")
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)(?: (?=[^\s,;:.]))?")
_SETTING = re.compile(r"(?<![\w-])--set ([\w.+\[\]]+)=([^\s,;:]+)")

_METHODS = ("model", "classifier", "clf", "estimator", "network")
"""Arguments of other libraries for which embench has two arguments: encoder and fusion."""
_TWO_ARGUMENTS = (
    'a network is an `encoder`, a classifier a `fusion`: embench.{}(dataset=.., encoder="handcrafted", '
    'fusion="logreg"); or embench.benchmark(model, dataset)'
)


def from_python(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Wrap a function so that its error messages name arguments instead of command-line options."""
    known = [p.name for p in signature(function).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]

    @wraps(function)
    def called(*arguments: _P.args, **named: _P.kwargs) -> _R:
        for name in named:
            if name not in known:
                is_method = name in _METHODS and "encoder" in known
                what = f"embench.{function.__name__} has no argument `{name}`"
                hint = _TWO_ARGUMENTS.format(function.__name__) if is_method else did_you_mean(name, known)
                raise UsageError(what, expected=", ".join(known), hint=hint)
        try:
            with hearing_interrupts():
                return function(*arguments, **named)
        except EmbenchError as error:
            for each in (error, *error.faults):
                each.what = str(in_python(each.what))
                each.where, each.expected, each.hint = map(in_python, (each.where, each.expected, each.hint))
            raise
        except KeyboardInterrupt:
            raise _make_interrupt() from None

    return called


def _make_interrupt() -> KeyboardInterrupt:
    """Return an interrupt that scripts and notebooks print as one sentence instead of a traceback."""
    error = KeyboardInterrupt(f"interrupted; {KEPT}")
    error._render_traceback_ = lambda: [str(error)]  # type: ignore[attr-defined]  # IPython calls it
    before = sys.excepthook

    def hook(kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
        if "_render_traceback_" in vars(raised):
            sys.stderr.write(f"{raised}\n")
        else:
            before(kind, raised, trace)

    if getattr(before, "__module__", None) != __name__:
        sys.excepthook = hook
    return error


def in_python(text: str | None) -> str | None:
    """Replace command-line options in a message by Python arguments; messages with a whole command are unchanged.

    >>> in_python("--seeds 0,x"), in_python("--method mine.py:Mine"), in_python("embench run --dev")
    ('seeds=0,x', 'methods=mine.py:Mine', 'embench run --dev')
    >>> in_python("--set encoder.view.kind=context for the last 30 s")
    'set={"encoder.view.kind": "context"} for the last 30 s'
    """
    if text is None or "embench " in text:
        return text
    text = _SETTING.sub(r'set={"\1": "\2"}', text)
    text = text.replace("--method ", "--methods ")  # an option that is repeated is one argument
    return _OPTION.sub(lambda found: f"{found[1].replace('-', '_')}=", text)


# Storage of the user's classes, for example from a notebook: worker processes load them by name.

LONGEST_NAME = 48
"""Maximum number of characters of an object's name in ids and tables."""

_TITLE = re.compile(r"[^\W\d_][\w-]*")


def store_plugin(kind: str, cls: type[Any], *, text: str, source: str | None = None) -> str:
    """Store a user's class as a plugin of a kind, for worker processes; return its name.

    Args:
        text: description for the record: the `repr` of the user's object.
        source: code of the class, if known.

    Raises:
        UsageError: the class cannot be stored, or contains an existing network.
        MachineError: the cache cannot be written.
    """
    content = inspect_object(cls)
    title = re.sub(r"[^\w-]", "_", cls.__name__)
    name = make_object_name(content.digest, title if title[:1].isidentifier() else "Given")
    about: dict[str, Any] = {"kind": kind, "repr": text, "source": source, "files": list(content.files)}
    about |= {"place": _locate(cls), "python": PYTHON, "installed": content.installed}
    _store(content.digest, cls, about, content.loose)
    register_object(name, cls)
    return name


def _locate(cls: type[Any]) -> str | None:
    """Return file and line of a class, or of the function that makes its networks; None if they are unknown."""
    source = getattr(cls, "make", cls)
    try:
        return f"{inspect.getsourcefile(source)}:{inspect.getsourcelines(source)[1]}"
    except (OSError, TypeError):
        return None


def checked_name(name: str) -> str:
    """Return the user's name for an object. Raises UsageError if it is not valid in ids and tables."""
    if not _TITLE.fullmatch(name) or len(name) > LONGEST_NAME:
        expected = f"at most {LONGEST_NAME} letters, digits, `_` and `-`, with a letter first"
        raise UsageError(f"`{name}` is not a valid name", where="name=", expected=expected)
    return name


def _store(digest: str, cls: type[Any], about: dict[str, Any], uninstalled: Sequence[str]) -> None:
    path = get_object_file(digest, ".json")
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if hashlib.sha256(path.with_suffix(".pkl").read_bytes()).hexdigest() == known["sha256"]:
            if {**known, **about} != known:  # the same code is in another place now
                write_text(path, json.dumps({**known, **about}, indent=1) + "\n")
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not stored yet, or damaged
    data = _pickle(cls, uninstalled)
    text = json.dumps({**about, "sha256": hashlib.sha256(data).hexdigest()}, indent=1)
    try:
        make_folder(path.parent, PRIVATE)
        write_whole(path.with_suffix(".pkl"), lambda whole: whole.write_bytes(data))
        write_text(path, text + "\n")
    except OSError as error:
        raise MachineError(f"cannot store the object: {error.strerror}", where=str(path)) from error


def _pickle(cls: type[Any], uninstalled: Sequence[str]) -> bytes:
    import cloudpickle

    with _pickle_by_value(uninstalled):
        try:
            return bytes(cloudpickle.dumps(cls, protocol=5))
        except Exception as error:
            hint = "create parts that cannot be stored inside the functions that need them"
            raise UsageError(f"cannot store {cls.__name__} for worker processes: {error}", hint=hint) from error


@contextmanager
def _pickle_by_value(uninstalled: Sequence[str]) -> Iterator[None]:
    """Make cloudpickle store the content of these modules within the context, instead of their names. The modules are
    not installed, so their files may be changed or missing later."""
    import cloudpickle

    added = [m for m in uninstalled if m in sys.modules and m not in cloudpickle.list_registry_pickle_by_value()]
    for name in added:
        cloudpickle.register_pickle_by_value(sys.modules[name])
    try:
        yield
    finally:
        for name in added:
            cloudpickle.unregister_pickle_by_value(sys.modules[name])


# Records of runs and entries, leaderboards and datasets, opened by the functions of the commands.

_OWN: set[Path] = set()
"""Folders of records that this process wrote. The code named in them is the user's own, so it is trusted."""


def remember_own(result: Result) -> Result:
    """Return the result; from now on, the code that its record names is trusted, that is imported without asking."""
    _OWN.add(result.folder.resolve())
    return result


@from_python
def synthesize(
    dataset: str,
    out: str | Path,
    *,
    subjects: int = 8,
    seed: int = 0,
    effect: float = 1.0,
    length_s: float | None = None,
    videos: bool = False,
) -> Path:
    """Write synthetic data in a dataset's format to a folder, and return its path; results on them are marked as
    synthetic.

    A folder with the same data is left unchanged, so that a notebook can be rerun.

    Args:
        dataset: name of a dataset that has a synthesizer.
        out: the folder; `DATA/DATASET` is found with `data_root="DATA"`.
        subjects: number of subjects. With too few, the primary metric is undefined; 18 are enough for `amigos`.
        seed: random seed.
        effect: strength of the planted effect, from 0 (none) to 1.
        length_s: length of the longest recording in s; by default short, for quick trials.
        videos: also write face videos with matching OpenFace output.

    Raises:
        UsageError: the folder holds something else, or an argument does not fit the dataset.
    """
    from embench.data.find import write_synthetic

    how: dict[str, Any] = {"subjects": subjects, "seed": seed, "effect": effect, "length_s": length_s, "videos": videos}
    write_synthetic(dataset, Path(out), **how, exist_ok=True)
    return Path(out)


@from_python
def open_result(folder: str | Path) -> Result:
    """Open the result of an earlier run, of scored predictions, or of a leaderboard entry.

    Args:
        folder: the folder that `Result.folder` names, or that of an entry.

    Raises:
        DataError: the folder holds no record, or a damaged one. CheckFailed: a file was edited.
    """
    return Result.read(Path(folder))


@from_python
def score(
    file: str | Path | DataFrame,
    dataset: str,
    *,
    name: str | None = None,
    protocol: str = Request.protocol,
    target: str | None = None,
    calibration_data: str | int | None = None,
    time_context: TimeContext = "offline",
    data_root: str | Path | None = None,
    out: str | Path | None = None,
) -> Result:
    """Score predictions from other code as `embench.run` scores its own: primary metric, intervals and confound-only
    models.

    Args:
        file: a CSV file with the columns subject, recording, unit, target and score, or such a table of pandas.
        dataset: name of the predicted dataset.
        name: name of the method; by default that of the file.
        protocol: name of a protocol, or a YAML file.
        target: targets to score, separated by commas; by default all in the file.
        calibration_data: under `personalise-v1`, the calibration data, as for `embench.run`. In a file with a column
            `calibration_data`, the amount whose rows are scored; other rows are used for comparison.
        time_context: the other units of a test session that a prediction may depend on: `unit` for none, `causal` for
            earlier ones, `offline` for any.
        data_root: folder that contains the datasets; by default `$EMBENCH_DATA`, else the user's data folder.
        out: folder of the record; by default a new one in `runs`.

    Raises:
        DataError: the file cannot be read, or contains names that the dataset lacks. CheckFailed: its folds differ from
            those of the protocol. UsageError: a name does not exist.
    """
    amount = None if calibration_data is None else str(calibration_data)
    about: dict[str, Any] = {"calibration_data": amount, "time_context": time_context, "out": _as_path(out)}
    about |= {"protocol": protocol, "data_root": _as_path(data_root)}
    return score_options(file, dataset, name=name, targets=target, **about)


def score_options(file: str | Path | DataFrame, dataset: str, **about: Any) -> Result:
    """Score predictions; `about` are options of `embench.runs.external.score`."""
    from embench.runs import external

    with predictions_file(file) as path:
        return remember_own(external.score(path, dataset, **about))


@contextmanager
def predictions_file(predictions: str | Path | DataFrame) -> Iterator[Path]:
    """Yield the path of a CSV file of predictions; a DataFrame is written to a temporary file."""
    if isinstance(predictions, str | Path):
        yield Path(predictions)
        return
    with TemporaryDirectory(prefix="embench-score-") as folder:
        path = Path(folder, "predictions.csv")
        predictions.to_csv(path, index=False, float_format="%.17g")
        try:
            yield path
        except EmbenchError as error:
            if error.where:
                error.where = error.where.replace(str(path), "the table of predictions, whose first row is line 2")
            raise


@from_python
def predict(
    run: Result | str | Path, dataset: str, *, data_root: str | Path | None = None, trust_code: bool = False
) -> DataFrame:
    """Apply the trained networks or estimators of a run to new recordings, which need no labels.

    The score of a unit is the mean over all seeds and folds of the run; `sd` is the standard deviation. The training
    data of the run must be available. `attrs` contains the run's answers and limits as sentences. Your own recordings
    have pseudonyms; `embench.open_dataset(dataset).pseudonyms()` lists them.

    Args:
        run: a result, or the folder of a run.
        dataset: new recordings with the modalities of the run, such as `./FOLDER` of your own data.
        data_root: folder that contains the datasets; by default that of the run.
        trust_code: whether to import code that is named in another person's record.

    Raises:
        UsageError: the dataset is the training dataset of the run, or lacks a modality. DataError: the trained parts
            are missing.
    """
    import pandas as pd

    from embench.runs.reproduce import predict_with

    folder = _find_folder(run)
    found = predict_with(folder, dataset, _as_path(data_root), trust_code=trust_code or _is_own(folder))
    frame = pd.DataFrame(found.rows)
    frame.attrs.update(run=found.run, answers=list(found.answers), limits=list(found.limits))
    return frame


@from_python
def write_report(
    run: Result | str | Path,
    out: str | Path | None = None,
    *,
    data_root: str | Path | None = None,
    trust_code: bool = False,
) -> Path:
    """Write a run as one HTML file that works offline; return its path.

    Args:
        run: a result, or the folder of a run or of a leaderboard entry.
        out: the file; by default `RUN.html` in the working folder.
        data_root: folder of the datasets; without data, no signals are drawn.
        trust_code: whether to import code that is named in another person's record.

    Raises:
        DataError: the folder holds no record, or a damaged one. CheckFailed: the record names code.
    """
    from embench import report
    from embench.audits import audit_record

    folder = _find_folder(run)
    path = Path(out) if out is not None else Path(f"{folder.resolve().name}.html")
    trusted = trust_code or _is_own(folder)
    return report.write_report(folder, path, data_root=_as_path(data_root), trust_code=trusted, audit=audit_record)


@from_python
def audit(
    run: Result | str | Path,
    *,
    data_root: str | Path | None = None,
    retrain: int = 0,
    trust_code: bool = False,
) -> Audit:
    """Check a run, or predictions that `embench.score` scored, for faults; write `audit.json` into the folder of the
    record.

    Args:
        run: a result, or the folder of a run or of a leaderboard entry.
        data_root: folder of the datasets; by default that of the run.
        retrain: number of trainings on permuted labels; scores above chance then indicate a leak.
        trust_code: whether to import code that is named in another person's record.

    Raises:
        DataError: the record is incomplete, or the data are missing. CheckFailed: the record names code.
    """
    from embench.audits import audit_run

    folder = _find_folder(run)
    return audit_run(folder, data_root=_as_path(data_root), retrained=retrain, trust_code=trust_code or _is_own(folder))


@from_python
def read_leaderboards(
    dataset: str | None = None,
    *,
    protocol: str | None = None,
    target: str | None = None,
    leaderboards: str | Path = "leaderboards",
) -> DataFrame:
    """Return the rows of published leaderboards as a table of pandas, with the fields of `embench leaderboard show
    --columns all`.

    Args:
        dataset, protocol, target: select leaderboards; by default all.
        leaderboards: folder of published entries.

    Raises:
        UsageError: no leaderboard has that dataset, protocol or target.
    """
    import pandas as pd

    from embench.leaderboard import load_sections
    from embench.leaderboard.tables import flatten_row, select_sections

    if not Path(leaderboards).is_dir():
        expected = "a folder of published entries, such as `leaderboards` in a clone of the repository"
        raise UsageError(
            "the folder of leaderboards does not exist", where=f"leaderboards={leaderboards}", expected=expected
        )
    sections = select_sections(load_sections(Path(leaderboards)), dataset=dataset, protocol=protocol, target=target)
    return pd.DataFrame([flatten_row(section, row) for section in sections for row in section.rows])


@from_python
def open_dataset(name: str, *, data_root: str | Path | None = None) -> Dataset:
    """Return a dataset's reader on its files: `card`, `subjects()` and `recordings(subject)`.

    Args:
        name: name of a dataset, or `./FOLDER` of your own data.
        data_root: folder that contains the datasets; by default `$EMBENCH_DATA`, else the user's data folder.

    Raises:
        UsageError: the dataset does not exist. DataError: its files are not available; the message says how to obtain
            them.
    """
    from embench.data.find import find_source

    return find_source(name, _as_path(data_root)).reader


def _as_path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _find_folder(run: Result | str | Path) -> Path:
    folder = run.folder if isinstance(run, Result) else Path(run)
    if not folder.is_dir():
        raise DataError("the folder does not exist", where=str(folder), expected="the folder of a finished run")
    return folder


def _is_own(folder: Path) -> bool:
    return folder.resolve() in _OWN
