"""Download freely available datasets, check and unpack their files."""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from embench.errors import DataError, MachineError, PluginError, UsageError
from embench.files import folder_mode, make_folder, sha256
from embench.interfaces.dataset import Card, Download
from embench.store.fingerprint import synthetic
from embench.system import BytesCallback, DownloadCallback, locked
from embench.vocabulary import did_you_mean, escape_control, has_control

if TYPE_CHECKING:
    import requests


# Archives are unpacked as untrusted files: nothing outside the folder, no links, not more than fits.

ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz")
_CHUNK = 1 << 20
MOST_MEMBERS = 20_000
"""Largest accepted number of files in an archive; published datasets have hundreds."""
_LONGEST_NAME, _LONGEST_PATH = 255, 1024


def is_archive(name: str) -> bool:
    """Return True if `unpack` unpacks files with this name."""
    return name.lower().endswith(ZIP + TAR)


def unpack(archive: Path, folder: Path, progress: BytesCallback | None = None) -> None:
    """Write the content of `archive` below `folder`; a file that is not an archive is copied under its own name.

    Args:
        progress: called with (bytes written, bytes in all).

    Raises:
        DataError: the archive is damaged, or holds links, devices or names that lead outside of the folder.
        MachineError: there is not enough space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = archive.name.lower()
    try:
        if name.endswith(ZIP):
            _unzip(archive, folder, progress)
        elif name.endswith(TAR):
            _untar(archive, folder, progress)
        else:
            shutil.copyfile(archive, folder / archive.name)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"cannot unpack the archive: {error}",
            where=str(archive),
            expected="a complete zip or tar archive without a password",
        ) from error


def _unzip(archive: Path, folder: Path, progress: BytesCallback | None) -> None:
    with zipfile.ZipFile(archive) as source:
        members = source.infolist()
        kinds = (stat.S_IFMT(member.external_attr >> 16) for member in members)
        plain = [kind in (0, stat.S_IFREG, stat.S_IFDIR) for kind in kinds]
        _check_members(archive, [(member.filename, member.is_dir()) for member in members], plain)
        total, done = sum(member.file_size for member in members), 0
        check_room(folder, total)
        for member in members:
            target = folder / member.filename
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            # ZipFile returns at most the member's stated size, and compares its checksum at the end.
            with source.open(member) as content, target.open("wb") as file:
                while chunk := content.read(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, total)


def _untar(archive: Path, folder: Path, progress: BytesCallback | None) -> None:
    with tarfile.open(archive) as source:
        members = list(islice(source, MOST_MEMBERS + 1))
        plain = [member.isfile() or member.isdir() for member in members]
        _check_members(archive, [(member.name, member.isdir()) for member in members], plain)
        total, done = sum(member.size for member in members), 0
        check_room(folder, total)
        for member in members:
            source.extract(member, folder, filter="data")
            done += member.size
            if progress:
                progress(done, total)


def _check_members(archive: Path, members: Sequence[tuple[str, bool]], plain: Sequence[bool]) -> None:
    """Raise DataError if the members of an archive cannot all be written below one folder.

    Args:
        members: (name, True for a folder) of each member. `plain`: True for files and folders, False for links.
    """
    if len(members) > MOST_MEMBERS:
        raise DataError(
            "the archive contains too many files", where=str(archive), expected=f"at most {MOST_MEMBERS:,} files"
        )
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for name, is_folder in members:
        path = _check_member(archive, name)
        folders.update(path.parents, (path,) if is_folder else ())
        if not is_folder:
            files.add(path)
    if clash := files & folders:
        raise _make_refusal(archive, str(min(clash)), "both a file and a folder")
    for (name, _), is_plain in zip(members, plain, strict=True):
        if not is_plain:
            raise _make_refusal(archive, name, "a link or a device")


def _check_member(archive: Path, name: str) -> PurePosixPath:
    """Return the member's path. Raises DataError if it leads out of the folder, or is not a valid file name."""
    if has_control(name) or "\n" in name or "\t" in name:
        raise _make_refusal(archive, escape_control(repr(name)[1:-1]), "a name with control characters")
    parts = _split_path(name)
    if len(name) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in parts.parts):
        raise _make_refusal(archive, f"{name[:40]}..", "a name that is too long")
    if leads_out(name):
        raise _make_refusal(archive, name, "a name that leaves the folder")
    return parts


def leads_out(name: str) -> bool:
    """Return True if a file name, with `/` or `\\` between its parts, leads out of its folder.

    >>> leads_out("sub-01/eeg.bdf"), leads_out("../eeg.bdf"), leads_out("/eeg.bdf"), leads_out("C:\\\\eeg.bdf")
    (False, True, True, True)
    """
    parts = _split_path(name)
    return parts.is_absolute() or ".." in parts.parts or ":" in name.partition("/")[0] or "\0" in name


def _split_path(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _make_refusal(archive: Path, name: str, why: str) -> DataError:
    return DataError(
        f"`{name}` in the archive is {why}; nothing was unpacked",
        where=str(archive),
        expected="plain files and folders",
        hint="do not use this archive: it is not the publisher's archive",
    )


def check_room(folder: Path, needed: int) -> None:
    """Raise MachineError if `needed` bytes exceed the free space on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MachineError(
            f"not enough disk space: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free",
            where=str(folder),
            hint="free some disk space, or choose a larger disk with --data-root",
        )


# One file over HTTP: whole and checked, or an error.
#
# Other libraries restart broken downloads, which is too slow for gigabytes. Here received data stay in a `.part` file,
# and the rest is requested by HTTP's `Range`, within one call and in the next.

TRIES = 5
"""Number of consecutive connections without any progress after which a download fails."""

WAIT_S = 2.0
TIMEOUT_S = 60.0
_DOWNLOAD_CHUNK = 1 << 14
"""Bytes written at once; the rest of a chunk is lost when a connection breaks."""


def transfer(download: Download, path: Path, folder: Path, progress: DownloadCallback | None = None) -> Path:
    """Download a file to `path`, check it, and return `path`. Partial data are kept beside it, in a `.part` file.

    Args:
        folder: the folder into which the user may put the file, for the error message.

    Raises:
        DataError: the download differs from the published file; the server does not have the file.
        MachineError: no network or no room.
    """
    if path.exists():
        return check_bytes(download, path, progress)
    part = _get_part_path(path)
    most, failures = _get_size(part), 0
    while True:
        try:
            if _connect(download, part, progress):
                break
            fault = f"the connection ended after {_get_size(part):,} bytes"
        except OSError as error:
            if not _is_network_error(error):
                raise
            fault = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        failures = 1 if _get_size(part) > most else failures + 1
        most = max(most, _get_size(part))
        if failures >= TRIES:
            raise MachineError(
                f"cannot download {download.name}: {fault}",
                where=download.url,
                expected="a connection to this address",
                hint=f"rerun the command to resume; or get the file another way, put it into {folder} as "
                f"{download.name} and rerun the command",
            )
        time.sleep(WAIT_S * failures)
    part.replace(path)
    _get_tag_path(part).unlink(missing_ok=True)
    return check_bytes(download, path, progress)


def check_bytes(
    download: Download, path: Path, progress: DownloadCallback | None = None, *, keep: bool = False
) -> Path:
    """Return `path` if its size and hash are right. Otherwise remove the file, unless `keep` is True (the user's file).

    Raises:
        DataError: it has another size or hash.
    """
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
    if not keep:
        path.unlink()
    raise DataError(
        f"{download.name} differs from the published file: {found}",
        where=str(path) if keep else download.url,
        expected=expected,
        hint="remove the file and rerun the command" if keep else "embench removed the file; rerun the command later",
    )


def count_arrived(path: Path) -> int:
    """Return the number of bytes of `path` that an earlier, incomplete transfer left in the `.part` file."""
    return _get_size(_get_part_path(path))


def _connect(download: Download, part: Path, progress: DownloadCallback | None) -> bool:
    """Append data from one connection to `part`; return True if it is complete. Raises OSError if the network fails."""
    import requests

    have, tag = _get_size(part), _get_tag_path(part)
    # Uncompressed: byte positions in compressed transfers would differ.
    headers = {"Accept-Encoding": "identity", "User-Agent": "embench"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag.exists():
            headers["If-Range"] = tag.read_text()  # the whole file, if it has changed on the server
    with requests.get(download.url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == 416:  # the server has no more bytes: the file is complete, or too long
            total = _match_number(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
            if total == have:
                return True
            part.unlink()
            return False
        if 400 <= response.status_code < 500 and response.status_code not in (408, 429):
            raise DataError(
                f"the server refused the file ({response.status_code} {response.reason})",
                where=download.url,
                expected=download.name,
                hint="find the new address on the page of the dataset, and put the file into the folder of the dataset",
            )
        response.raise_for_status()
        goes_on = response.status_code == 206
        begins = _match_number(r"bytes (\d+)-", response.headers.get("Content-Range", "")) if goes_on else 0
        if begins != have:
            have = 0
            if goes_on:  # another range than requested
                part.unlink(missing_ok=True)
                return False
        length = _match_number(r"(\d+)", response.headers.get("Content-Length", ""))
        total = None if length is None else have + length
        try:
            _check_offer(download, response, total)
        except DataError:
            part.unlink(missing_ok=True)
            raise
        check_room(part.parent, (total or have) - have)
        if etag := response.headers.get("ETag", ""):
            tag.write_text(etag)
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_content(_DOWNLOAD_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if progress:
                    progress(f"downloading {download.name}", have, total or download.size)
    return total is None or have == total


def _check_offer(download: Download, response: requests.Response, total: int | None) -> None:
    """Raise DataError if the response's headers announce another size or hash than `download`; `total` is in bytes."""
    if total is not None and download.size not in (None, total):
        raise DataError(
            f"the server offers {total:,} bytes",
            where=download.url,
            expected=f"{download.size:,} bytes",
            hint="the publisher replaced the file, or the address shows a web page: open it in a browser",
        )
    for answer in (*response.history, response):  # NEMAR's redirects carry the target's digest
        named = re.fullmatch(r'"sha256:([0-9a-f]{64})"', answer.headers.get("ETag", ""))
        if named and download.sha256 is not None and named[1] != download.sha256.lower():
            raise DataError(
                f"the server offers another file: sha256 {named[1]}",
                where=download.url,
                expected=f"sha256 {download.sha256.lower()}",
                hint="the publisher replaced the file: look for a newer version of embench",
            )


def _get_part_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _get_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _get_tag_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _is_network_error(error: OSError) -> bool:
    import requests

    return isinstance(error, requests.RequestException | ConnectionError | TimeoutError)


def _match_number(pattern: str, text: str) -> int | None:
    match = re.match(pattern, text)
    return int(match[1]) if match else None


# Datasets that are free to download: fetched and checked.
#
# Archives are unpacked aside and moved into place when complete. Files published one by one are put into place one by
# one, so that subjects can be fetched separately.


def fetch(
    card: Card, folder: Path, progress: DownloadCallback | None = None, subjects: Collection[str] | None = None
) -> list[str]:
    """Download a dataset into `folder`; return a note on each file that has no published checksum.

    An interrupted download resumes, also after the process was killed. If the user put published archives or files into
    `folder`, they are used if their hashes are right, and stay there.

    Args:
        subjects: subjects whose files are fetched, together with the files shared by all subjects; None: all.

    Raises:
        DataError: access to the dataset must be requested; a downloaded or existing file differs from the published
            one; the server lacks a file.
        UsageError: the folder contains other files; a subject does not exist.
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
    downloads, folder = select_downloads(card, subjects), folder.resolve()
    get = _fetch_archives if any(is_archive(download.name) for download in downloads) else _fetch_files
    with _convert_errors(folder, card):
        get(card, downloads, folder, progress)
    unchecked = [download.name for download in downloads if download.sha256 is None]
    return [f"{name}: the publisher provides no checksum, so the file could not be verified" for name in unchecked]


def select_downloads(card: Card, subjects: Collection[str] | None) -> tuple[Download, ...]:
    """Return the downloads of some subjects, with the files shared by all subjects. `subjects` None: all downloads.

    Raises:
        UsageError: unknown subject, or the dataset is not published by subject.
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
    """Download and unpack archives into a temporary folder, then move it into place in one step."""
    by_hand = _list_own_archives(card, folder)
    with _open_aside(folder) as aside:
        archives = []
        for download in downloads:
            if download.name in by_hand:
                archives.append(check_bytes(download, folder / download.name, progress, keep=True))
            else:
                archives.append(transfer(download, aside / download.name, folder, progress))
        unpacked = aside / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        make_folder(unpacked, folder_mode(card.labels_public))
        for download, archive in zip(downloads, archives, strict=True):
            try:
                unpack(archive, unpacked / download.unpack, _bind_step(progress, f"unpacking {download.name}"))
            except DataError:
                if archive.parent == aside:  # retrying would not help
                    archive.unlink()
                raise
        for name in by_hand:
            (folder / name).replace(unpacked / name)
        if folder.exists():
            folder.rmdir()  # it is empty now; Windows renames onto nothing that is there
        unpacked.rename(folder)
        shutil.rmtree(aside)


def _list_own_archives(card: Card, folder: Path) -> list[str]:
    """Return the names of archives that the user put into `folder`. Raises UsageError if it contains anything else."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    ours = {download.name for download in card.downloads}
    if (folder.exists() and not folder.is_dir()) or names - ours:
        raise _make_in_use_error(card, folder)
    return sorted(names)


def _fetch_files(card: Card, downloads: Sequence[Download], folder: Path, progress: DownloadCallback | None) -> None:
    """Download each missing file, and move it into place once complete. A file that fails does not stop the others."""
    with _open_aside(folder) as aside:
        missing = _list_missing(card, downloads, folder, progress)
        arriving = [aside / quote(download.name, safe="") for download in missing]
        sizes = [download.size or 0 for download in missing]
        check_room(aside, sum(sizes) - sum(count_arrived(path) for path in arriving))
        make_folder(folder, folder_mode(card.labels_public))
        refused: list[DataError] = []
        for number, (download, path) in enumerate(zip(missing, arriving, strict=True)):
            which, before = f"({number + 1} of {len(missing)})", sum(sizes[:number])
            try:
                transfer(download, path, folder, _shift(progress, which, before, sum(sizes) or None))
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


def _list_missing(
    card: Card, downloads: Sequence[Download], folder: Path, progress: DownloadCallback | None
) -> list[Download]:
    """Return the downloads that are not in `folder` yet. Raises DataError if a file there is not the published one."""
    if (folder.exists() and not folder.is_dir()) or synthetic(folder) is not None:
        raise _make_in_use_error(card, folder)
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


def _make_in_use_error(card: Card, folder: Path) -> UsageError:
    return UsageError(
        "the folder contains other files; nothing was downloaded",
        where=str(folder),
        expected="an empty folder, or no folder",
        hint=f"move the folder away and rerun the command, or check the files: embench data verify {card.name}",
    )


@contextlib.contextmanager
def _open_aside(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder` for incomplete downloads, which stay there after an error."""
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
                aside.rmdir()  # nothing to resume from
    with contextlib.suppress(OSError):
        lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _convert_errors(folder: Path, card: Card) -> Iterator[None]:
    """Turn the operating system's write errors into a MachineError."""
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"cannot store {card.title}: {error.strerror or error}",
            where=str(error.filename or folder),
            hint="check the permissions and the free space of the folder, or choose another folder with --data-root",
        ) from error


def _bind_step(progress: DownloadCallback | None, what: str) -> BytesCallback | None:
    return None if progress is None else lambda done, total: progress(what, done, total)


def _shift(progress: DownloadCallback | None, which: str, before: int, total: int | None) -> DownloadCallback | None:
    """Return a callback that adds `before` bytes, to report the progress of one of several files."""
    return None if progress is None else lambda what, done, _: progress(f"{what} {which}", before + done, total)
