"""Datasets that are free to download: fetched, checked, unpacked; there and whole, or not there.

Libraries for this start over when the connection breaks. For archives of gigabytes that is not good enough, so the
transfer is made here: what has arrived is kept in a `.part` file, and the rest is requested by HTTP's `Range`, within
one call and in the next.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from embench.callbacks import BytesCallback, DownloadCallback
from embench.data.unpack import check_room, unpack
from embench.errors import DataError, MachineError, UsageError
from embench.files import folder_mode, make_folder, sha256
from embench.interfaces.dataset import Card, Download
from embench.system import locked

TRIES = 5
"""Connections that may break one after another without a byte gained."""

WAIT_S = 2.0
TIMEOUT_S = 60.0
_CHUNK = 1 << 14
"""Bytes written at once; what is left of a chunk when a connection breaks is lost."""


def fetch(card: Card, folder: Path, progress: DownloadCallback | None = None) -> list[str]:
    """Gets a dataset into `folder`; returns notes on it.

    What was downloaded before goes on where it stopped, also after this process was killed. An archive that was put
    into `folder` by hand under its own name is used, if its hash is right, and stays there.

    Raises:
        DataError: access to the dataset must be requested; what arrived is not what its publisher published; there is
            no such file on the server.
        UsageError: the folder holds other files already.
        MachineError: no network, no room, or the folder cannot be written.
    """
    if not card.downloads:
        raise DataError(
            f"{card.title} cannot be downloaded: access must be requested",
            where=str(folder),
            expected="files that were put there by hand",
            hint=card.obtain,
        )
    folder = folder.resolve()
    by_hand = _by_hand(card, folder)
    with _machine(folder, card), _aside(folder) as aside:
        notes, archives = [], []
        for download in card.downloads:
            if download.name in by_hand:
                archives.append(_checked(download, folder / download.name, progress, kept=True))
            else:
                archives.append(_download(download, aside / download.name, folder, progress))
            if download.sha256 is None:
                notes.append(f"{download.name}: its publisher gives no checksum, so it could not be verified")
        made = aside / "unpacked"
        shutil.rmtree(made, ignore_errors=True)
        make_folder(made, folder_mode(card.labels_public))
        for download, archive in zip(card.downloads, archives, strict=True):
            try:
                unpack(archive, made / download.unpack, _step(progress, f"unpacking {download.name}"))
            except DataError:
                if archive.parent == aside:  # whatever it is, it would be no better the next time
                    archive.unlink()
                raise
        for name in by_hand:
            (folder / name).replace(made / name)
        if folder.exists():
            folder.rmdir()  # it is empty now; Windows renames onto nothing that is there
        made.rename(folder)
        shutil.rmtree(aside)
    return notes


def _by_hand(card: Card, folder: Path) -> list[str]:
    """Names of archives that were put into `folder`, which must hold nothing else."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    ours = {download.name for download in card.downloads}
    if (folder.exists() and not folder.is_dir()) or there - ours:
        raise UsageError(
            "this folder already has files; nothing was downloaded",
            where=str(folder),
            expected="an empty folder, or none",
            hint=f"check them with `embench data verify {card.name}`, or move the folder away",
        )
    return sorted(there)


def _download(download: Download, path: Path, folder: Path, progress: DownloadCallback | None) -> Path:
    """`path`, whole and checked. What has arrived of it lies beside it as `.part` until then."""
    if path.exists():
        return _checked(download, path, progress)
    part = path.with_name(f"{path.name}.part")
    most, failures = _size(part), 0
    while True:
        try:
            if _transfer(download, part, progress):
                break
            fault = f"the connection ended after {_size(part):,} bytes"
        except OSError as error:
            if not _is_network(error):
                raise
            fault = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        failures = 1 if _size(part) > most else failures + 1
        most = max(most, _size(part))
        if failures >= TRIES:
            raise MachineError(
                f"{download.name} cannot be downloaded: {fault}",
                where=download.url,
                expected="a connection to this address",
                hint="run the command again to resume; or obtain the file another way, "
                f"put it into {folder} as {download.name}, and run the command again",
            )
        time.sleep(WAIT_S * failures)
    part.replace(path)
    return _checked(download, path, progress)


def _transfer(download: Download, part: Path, progress: DownloadCallback | None) -> bool:
    """One connection; whether the file is whole then. Raises OSError (all of requests' errors are) where it breaks."""
    import requests

    have = _size(part)
    tag = part.with_name(f"{part.name}.tag")
    # As it is on the disk: compressed on the way, byte positions would mean something else.
    headers = {"Accept-Encoding": "identity", "User-Agent": "embench"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag.exists():
            headers["If-Range"] = tag.read_text()  # the whole file, where it is another one by now
    with requests.get(download.url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == 416:  # nothing comes after what we have: it is whole, or longer than the file
            total = _number(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
            if total == have:
                return True
            part.unlink()
            return False
        if 400 <= response.status_code < 500 and response.status_code not in (408, 429):
            raise DataError(
                f"the server refused the file ({response.status_code} {response.reason})",
                where=download.url,
                expected=download.name,
                hint="check the dataset's page for a new address, and put the file into the dataset's folder",
            )
        response.raise_for_status()
        goes_on = response.status_code == 206
        begins = _number(r"bytes (\d+)-", response.headers.get("Content-Range", "")) if goes_on else 0
        if begins != have:
            have = 0
            if goes_on:  # another range than requested
                part.unlink(missing_ok=True)
                return False
        length = _number(r"(\d+)", response.headers.get("Content-Length", ""))
        total = None if length is None else have + length
        if total is not None and download.size not in (None, total):
            part.unlink(missing_ok=True)
            raise DataError(
                f"the server offers {total:,} bytes",
                where=download.url,
                expected=f"{download.size:,} bytes",
                hint="the file was replaced, or the address shows a web page: open it in a browser",
            )
        check_room(part.parent, (total or have) - have)
        if etag := response.headers.get("ETag", ""):
            tag.write_text(etag)
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if progress:
                    progress(f"downloading {download.name}", have, total or download.size)
    return total is None or have == total


def _checked(download: Download, path: Path, progress: DownloadCallback | None, *, kept: bool = False) -> Path:
    """`path`, if it has the right size and hash; else it is removed, or left where it is the user's own."""
    size = path.stat().st_size
    if progress:
        progress(f"checking {download.name}", size, size)
    wrong = download.size is not None and size != download.size
    found, expected = f"{size:,} bytes", f"{download.size or 0:,} bytes"
    if not wrong and download.sha256 is not None:
        found, expected = f"sha256 {sha256(path)}", f"sha256 {download.sha256.lower()}"
        wrong = found != expected
    if not wrong:
        return path
    if not kept:
        path.unlink()
    raise DataError(
        f"{download.name} is not the published file: {found}",
        where=str(path) if kept else download.url,
        expected=expected,
        hint="remove it and run the command again"
        if kept
        else "it was removed and nothing was unpacked: try again later",
    )


@contextlib.contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` for what is not whole yet. It stays when something goes wrong, to go on from."""
    aside = folder.parent / f".fetch-{folder.name}"
    lock = aside.with_name(f"{aside.name}.lock")  # not inside: Windows removes no folder with an open file
    make_folder(aside)
    with locked(lock, wait=False) as ours:
        if not ours:
            raise UsageError("another process is fetching this dataset", where=str(aside))
        yield aside
    with contextlib.suppress(OSError):
        lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _machine(folder: Path, card: Card) -> Iterator[None]:
    """Turns what the operating system says against writing into a MachineError."""
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"{card.title} cannot be stored: {error.strerror or error}",
            where=str(error.filename or folder),
            hint="check the folder's permissions and space, or name another place with --data-root",
        ) from error


def _is_network(error: OSError) -> bool:
    import requests

    return isinstance(error, requests.RequestException | ConnectionError | TimeoutError)


def _step(progress: DownloadCallback | None, what: str) -> BytesCallback | None:
    return None if progress is None else lambda done, total: progress(what, done, total)


def _number(pattern: str, text: str) -> int | None:
    match = re.match(pattern, text)
    return int(match[1]) if match else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
