"""Archives unpacked as untrusted files: nothing lands outside the folder, no links, no more than there is room for."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from embench.callbacks import BytesCallback
from embench.errors import DataError, MachineError
from embench.texts import has_control, visible

ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz")
_CHUNK = 1 << 20
MOST_MEMBERS = 20_000
"""Files in an archive; the datasets have hundreds."""
_LONGEST_NAME, _LONGEST_PATH = 255, 1024


def is_archive(name: str) -> bool:
    """True if `unpack` unpacks files with this name."""
    return name.lower().endswith(ZIP + TAR)


def unpack(archive: Path, folder: Path, progress: BytesCallback | None = None) -> None:
    """Writes what `archive` holds below `folder`; a file that is no archive is copied there under its own name.

    Args:
        progress: called with (bytes written, bytes in all).

    Raises:
        DataError: the file is no such archive or damaged, or holds links, devices or names that lead elsewhere.
        MachineError: there is no room for what it holds.
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
        _check_names(archive, [(member.filename, member.is_dir()) for member in members])
        for member in members:
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, member.filename, "a link or a device")
        total, done = sum(member.file_size for member in members), 0
        check_room(folder, total)
        for member in members:
            target = folder / member.filename
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            # ZipFile hands out no more than the member's stated size, and compares its checksum at the end.
            with source.open(member) as content, target.open("wb") as file:
                while chunk := content.read(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, total)


def _untar(archive: Path, folder: Path, progress: BytesCallback | None) -> None:
    with tarfile.open(archive) as source:
        members = list(islice(source, MOST_MEMBERS + 1))
        _check_names(archive, [(member.name, member.isdir()) for member in members])
        for member in members:
            if not (member.isfile() or member.isdir()):
                raise _refused(archive, member.name, "a link or a device")
        total, done = sum(member.size for member in members), 0
        check_room(folder, total)
        for member in members:
            source.extract(member, folder, filter="data")
            done += member.size
            if progress:
                progress(done, total)


def _check_names(archive: Path, members: Sequence[tuple[str, bool]]) -> None:
    """Refuses names (each with whether it is a folder's) that cannot all be written below one folder."""
    if len(members) > MOST_MEMBERS:
        raise DataError(
            "the archive contains too many files", where=str(archive), expected=f"at most {MOST_MEMBERS:,} files"
        )
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for name, is_folder in members:
        path = _inside(archive, name)
        folders.update(path.parents, (path,) if is_folder else ())
        if not is_folder:
            files.add(path)
    if clash := files & folders:
        raise _refused(archive, str(min(clash)), "both a file and a folder")


def _inside(archive: Path, name: str) -> PurePosixPath:
    """The member's path. Raises DataError where it leads out of the folder, or no file can have it."""
    if has_control(name) or "\n" in name or "\t" in name:
        raise _refused(archive, visible(repr(name)[1:-1]), "a name with control characters")
    parts = _parts(name)
    if len(name) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in parts.parts):
        raise _refused(archive, f"{name[:40]}..", "a name that is too long")
    if leads_out(name):
        raise _refused(archive, name, "a name that leaves the folder")
    return parts


def leads_out(name: str) -> bool:
    """True if a file's name, with `/` or `\\` between its parts, does not lie below the folder that it is to be in.

    >>> leads_out("sub-01/eeg.bdf"), leads_out("../eeg.bdf"), leads_out("/eeg.bdf"), leads_out("C:\\\\eeg.bdf")
    (False, True, True, True)
    """
    parts = _parts(name)
    return parts.is_absolute() or ".." in parts.parts or ":" in name.partition("/")[0] or "\0" in name


def _parts(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(
        f"`{name}` in the archive is {why}; nothing was unpacked",
        where=str(archive),
        expected="plain files and folders",
        hint="do not use this archive: it is not the publisher's archive",
    )


def check_room(folder: Path, needed: int) -> None:
    """Raises MachineError where `needed` bytes are more than the disk of `folder` has free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MachineError(
            f"not enough disk space: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free",
            where=str(folder),
            hint="free some disk space, or choose a larger disk with --data-root",
        )
