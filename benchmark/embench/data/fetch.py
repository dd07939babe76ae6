"""Datasets that are free to download: fetched and checked.

What is published as archives is unpacked, and there and whole, or not there. What is published file by file is put in
its place one by one, each when it is whole, so that some subjects can be fetched first and others later.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from embench.callbacks import BytesCallback, DownloadCallback
from embench.data.transfer import arrived, checked, transfer
from embench.data.unpack import check_room, is_archive, leads_out, unpack
from embench.errors import DataError, MachineError, PluginError, UsageError
from embench.files import folder_mode, make_folder, sha256
from embench.interfaces.dataset import Card, Download
from embench.registry.naming import did_you_mean
from embench.store.fingerprint import synthetic
from embench.system import locked


def fetch(
    card: Card, folder: Path, progress: DownloadCallback | None = None, subjects: Collection[str] | None = None
) -> list[str]:
    """Gets a dataset into `folder`; returns notes on it.

    What was downloaded before goes on where it stopped, also after this process was killed. An archive that was put
    into `folder` by hand under its own name is used, if its hash is right, and stays there. So is a file of a dataset
    that is published file by file.

    Args:
        subjects: those whose files are fetched, with the files that are no one subject's; None: all.

    Raises:
        DataError: access to the dataset must be requested; what arrived, or lies in the folder, is not what its
            publisher published; there is no such file on the server.
        UsageError: the folder holds other files already; there is no such subject.
        MachineError: no network, no room, or the folder cannot be written.
    """
    if not card.downloads:
        raise DataError(
            f"{card.title} cannot be downloaded: you must request access",
            where=str(folder),
            expected="files that you put there yourself",
            hint=f"{card.obtain}. To try embench with synthetic recordings in the same format: embench data "
            f"synthesize {card.name} --out demo/{card.name}",
        )
    downloads, folder = chosen(card, subjects), folder.resolve()
    get = _fetch_archives if any(is_archive(download.name) for download in downloads) else _fetch_files
    with _machine(folder, card):
        get(card, downloads, folder, progress)
    unchecked = [download.name for download in downloads if download.sha256 is None]
    return [f"{name}: the publisher provides no checksum, so the file could not be verified" for name in unchecked]


def chosen(card: Card, subjects: Collection[str] | None) -> tuple[Download, ...]:
    """The downloads of some subjects, with those that are no one subject's; all of them where `subjects` is None.

    Raises:
        UsageError: there is no such subject, or the dataset is not published by subject.
        PluginError: a file's name on the card leads out of the dataset's folder.
    """
    for download in card.downloads:
        if leads_out(download.name):
            raise PluginError(
                f"the path of `{download.name}` leaves the folder of the dataset", where=f"card of {card.name}"
            )
    if subjects is None:
        return card.downloads
    known = {download.subject for download in card.downloads if download.subject}
    for subject in subjects:
        if not known:
            raise UsageError(f"{card.title} is not published by subject", where="--subjects", hint="leave it out")
        if subject not in known:
            raise UsageError(
                f"no files of subject `{subject}` are published",
                where="--subjects",
                expected=f"names such as {', '.join(sorted(known)[:2])}, separated by commas",
                hint=did_you_mean(subject, known),
            )
    return tuple(download for download in card.downloads if download.subject in (None, *subjects))


def _fetch_archives(card: Card, downloads: Sequence[Download], folder: Path, progress: DownloadCallback | None) -> None:
    """Makes the whole folder aside, and moves it to its place in one step."""
    by_hand = _by_hand(card, folder)
    with _aside(folder) as aside:
        archives = []
        for download in downloads:
            if download.name in by_hand:
                archives.append(checked(download, folder / download.name, progress, kept=True))
            else:
                archives.append(transfer(download, aside / download.name, folder, progress))
        unpacked = aside / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        make_folder(unpacked, folder_mode(card.labels_public))
        for download, archive in zip(downloads, archives, strict=True):
            try:
                unpack(archive, unpacked / download.unpack, _step(progress, f"unpacking {download.name}"))
            except DataError:
                if archive.parent == aside:  # whatever it is, it would be no better the next time
                    archive.unlink()
                raise
        for name in by_hand:
            (folder / name).replace(unpacked / name)
        if folder.exists():
            folder.rmdir()  # it is empty now; Windows renames onto nothing that is there
        unpacked.rename(folder)
        shutil.rmtree(aside)


def _by_hand(card: Card, folder: Path) -> list[str]:
    """Names of archives that were put into `folder`, which must hold nothing else."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    ours = {download.name for download in card.downloads}
    if (folder.exists() and not folder.is_dir()) or names - ours:
        raise _in_use(card, folder)
    return sorted(names)


def _fetch_files(card: Card, downloads: Sequence[Download], folder: Path, progress: DownloadCallback | None) -> None:
    """Puts each missing file in its place when it is complete. One that is not available does not stop the others."""
    with _aside(folder) as aside:
        missing = _missing(card, downloads, folder, progress)
        arriving = [aside / quote(download.name, safe="") for download in missing]
        sizes = [download.size or 0 for download in missing]
        check_room(aside, sum(sizes) - sum(arrived(path) for path in arriving))
        make_folder(folder, folder_mode(card.labels_public))
        refused: list[DataError] = []
        for number, (download, path) in enumerate(zip(missing, arriving, strict=True)):
            which, before = f"({number + 1} of {len(missing)})", sum(sizes[:number])
            try:
                transfer(download, path, folder, _share(progress, which, before, sum(sizes) or None))
            except DataError as error:
                refused.append(error)
                continue
            place = folder / download.name
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
    if refused:
        first = refused[0]
        raise DataError(
            f"{len(refused)} of {len(missing)} files could not be downloaded; first fault: {first.what}",
            where=first.where,
            expected=first.expected,
            hint="; ".join(filter(None, (f"the other files are in {folder}", first.hint))),
        )


def _missing(
    card: Card, downloads: Sequence[Download], folder: Path, progress: DownloadCallback | None
) -> list[Download]:
    """Downloads that are not in `folder` yet; no other files there may have their names."""
    if (folder.exists() and not folder.is_dir()) or synthetic(folder) is not None:
        raise _in_use(card, folder)
    present = {download.name: download.size or 0 for download in downloads if (folder / download.name).exists()}
    others, done = [], 0
    for download in downloads:
        if download.name not in present:
            continue
        path = folder / download.name
        same = path.is_file() and download.size in (None, path.stat().st_size)
        if not same or (download.sha256 is not None and sha256(path) != download.sha256.lower()):
            others.append(download.name)
        done += present[download.name]
        if progress:
            progress("checking existing files", done, sum(present.values()))
    if others:
        more = f" and {len(others) - 3} others" if len(others) > 3 else ""
        raise DataError(
            f"the folder contains other files under the names of published files: {', '.join(others[:3])}{more}; "
            "nothing was downloaded",
            where=str(folder),
            expected="the published files under these names, or no files",
            hint="move these files away and rerun the command",
        )
    return [download for download in downloads if download.name not in present]


def _in_use(card: Card, folder: Path) -> UsageError:
    return UsageError(
        "the folder contains other files; nothing was downloaded",
        where=str(folder),
        expected="an empty folder, or no folder",
        hint=f"move the folder away and rerun the command, or check the files: embench data verify {card.name}",
    )


@contextlib.contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` for incomplete downloads. Files that have arrived stay after an error."""
    aside = folder.parent / f".fetch-{folder.name}"
    lock = aside.with_name(f"{aside.name}.lock")  # not inside: Windows removes no folder with an open file
    make_folder(aside)
    with locked(lock, wait=False) as ours:
        if not ours:
            raise UsageError("another process is downloading this dataset", where=str(aside))
        try:
            yield aside
        finally:
            with contextlib.suppress(OSError):
                aside.rmdir()  # where nothing is left to go on from
    with contextlib.suppress(OSError):
        lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _machine(folder: Path, card: Card) -> Iterator[None]:
    """Turns the operating system's errors in writing into a MachineError."""
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"cannot store {card.title}: {error.strerror or error}",
            where=str(error.filename or folder),
            hint="check the permissions and the free space of the folder, or choose another folder with --data-root",
        ) from error


def _step(progress: DownloadCallback | None, what: str) -> BytesCallback | None:
    return None if progress is None else lambda done, total: progress(what, done, total)


def _share(progress: DownloadCallback | None, which: str, before: int, total: int | None) -> DownloadCallback | None:
    """Follows one of many files as a part of them all."""
    return None if progress is None else lambda what, done, _: progress(f"{what} {which}", before + done, total)
