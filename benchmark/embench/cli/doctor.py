"""`embench doctor`: the state of this machine, and its faults."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import embench
from embench import registry
from embench.cli import console
from embench.cli.options import DataRoot, Json
from embench.cli.tables import TableColumn, field, show_table
from embench.data.locations import data_folder, data_root, wrong_root
from embench.errors import CheckFailed, EmbenchError, MachineError
from embench.system import INSTALL_TRAINING, cores, lacking, processor_name, version_of

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "pydantic", "soxr")
_TRAINING_LIBRARIES = ("torch", "torchvision", "transformers", "neurokit2")
_LITTLE = 1 << 30  # bytes; less free space than this will not hold prepared data


class Diagnosis(NamedTuple):
    """One line of the report: the subject, the finding, and the remedy."""

    what: str
    detail: str
    broken: bool = False


def doctor(data_root: DataRoot = None, as_json: Json = False) -> None:
    """Check versions, device, disk, data and plugins; exit with 1 on a fault."""
    light = _light()
    training = [] if light else [*_device(), *_networks()]
    found = [*_versions(light), *training, *_disk(), *_data(data_root), *_plugins(light)]
    if as_json:
        console.document([f._asdict() for f in found])
    else:
        state = TableColumn("state", lambda diagnosis: "BROKEN" if diagnosis.broken else "ok")
        show_table(found, [field("what"), state, field("detail")])
    broken = [f.what for f in found if f.broken]
    if broken:
        raise CheckFailed(f"{len(broken)} broken: {', '.join(broken)}", where="embench doctor")


def _light() -> bool:
    """True of the light installation, without torch; one in which torch is broken is none."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        return lacking(error) is not None
    except (ImportError, OSError):
        pass
    return False


def _versions(light: bool) -> Iterator[Diagnosis]:
    from importlib.metadata import PackageNotFoundError, version

    yield Diagnosis("embench", embench.__version__)
    kind = f"light, without training; to install training: {INSTALL_TRAINING}" if light else "full"
    yield Diagnosis("installation", kind)
    yield Diagnosis("Python", f"{platform.python_version()} on {platform.platform()}")
    for library in _LIBRARIES if light else (*_TRAINING_LIBRARIES, *_LIBRARIES):
        try:
            yield Diagnosis(library, f"{version(library)}, {_megabytes(_size(library))}")
        except PackageNotFoundError:
            yield Diagnosis(library, "not installed", broken=True)


def _device() -> Iterator[Diagnosis]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Diagnosis("device", f"cannot import torch: {error}", broken=True)
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(number)
            yield Diagnosis("device", f"cuda:{number}: {card.name}, {card.total_memory / 2**30:.0f} GB")
    elif torch.backends.mps.is_available():
        yield Diagnosis("device", "cpu; MPS is available but untested: --device mps")
    else:
        yield Diagnosis("device", "cpu; no CUDA device")

    threads = f"{cores()} processors ({processor_name()}); torch uses {torch.get_num_threads()} threads"
    yield Diagnosis("threads", threads)


def _networks() -> Iterator[Diagnosis]:
    """The encoders that need further libraries, each built once: most import these only then."""
    from embench.testing import samples

    for entry in registry.entries("encoder"):
        try:
            plugin = registry.load("encoder", entry.full_name)
            libraries = plugin.libraries
            absent = [name for name in libraries if version_of(name) == "absent"]
            if not libraries or absent:
                continue
            encoder = plugin(plugin.recipes["quick"])
            rows = samples.rows(encoder, min(encoder.accepts))
            if encoder.reads != "features":
                encoder.build(rows.spec)
        except EmbenchError:
            continue  # `_plugins` tells what cannot be loaded, and a run which weights are missing
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            text = f"cannot be built with {', '.join(libraries)}: {' '.join(str(error).split())[:200]}"
            yield Diagnosis(f"encoder {entry.name}", text, broken=True)
        else:
            yield Diagnosis(f"encoder {entry.name}", f"can be built with {', '.join(libraries)}")


def _size(library: str) -> int:
    """Bytes of an installed library's files."""
    from importlib.metadata import files

    paths = (Path(str(file.locate())) for file in files(library) or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _disk() -> Iterator[Diagnosis]:
    from embench.store import cache_root
    from embench.store.folders import damaged_folders

    cache = cache_root()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        yield Diagnosis("cache folder", f"cannot write to {cache}: {error.strerror}", broken=True)
        return
    free = shutil.disk_usage(cache).free
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    yield Diagnosis("cache folder", f"{cache}, {_megabytes(size)}")
    damaged = [f"{fault.where}: {fault.what}; delete its folder" for fault in damaged_folders(cache)]
    yield Diagnosis("prepared data", "; ".join(damaged) or "intact", broken=bool(damaged))
    yield Diagnosis("disk space", f"{free / 2**30:.1f} GB free for the cache", broken=free < _LITTLE)


def _data(chosen: Path | None) -> Iterator[Diagnosis]:
    datasets = [e for e in registry.entries("dataset") if data_folder(e, chosen).is_dir()]
    names = ", ".join(e.name for e in datasets) or "none found"
    wrong = wrong_root(chosen)
    yield Diagnosis("data", wrong or f"{data_root(chosen)}: {names}", broken=wrong is not None)


def _plugins(light: bool) -> Iterator[Diagnosis]:
    working = training = 0
    for entry in registry.entries():
        try:
            if entry.broken:
                yield Diagnosis(f"{entry.kind} {entry.full_name}", f"{entry.broken} ({entry.source})", broken=True)
                continue
            registry.load(entry.kind, entry.full_name)
            working += 1
        except EmbenchError as error:
            if light and isinstance(error, MachineError):  # what it imports is not installed
                training += 1
            else:
                yield Diagnosis(f"{entry.kind} {entry.full_name}", " ".join(str(error).split()), broken=True)
    yield Diagnosis(
        "plugins", f"{working} usable" + (f", {training} require the training installation" if training else "")
    )
