"""Archives unpacked as untrusted files: nothing lands outside the folder, no links, no more than there is room for."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from embench.callbacks import BytesCallback
from embench.errors import DataError, MachineError

ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz")
_CHUNK = 1 << 20


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
            f"cannot be unpacked: {error}", where=str(archive), expected="a whole zip or tar archive without password"
        ) from error


def _unzip(archive: Path, folder: Path, progress: BytesCallback | None) -> None:
    with zipfile.ZipFile(archive) as source:
        members = source.infolist()
        for member in members:
            _inside(archive, member.filename)
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
        members = source.getmembers()
        for member in members:
            _inside(archive, member.name)
            if not (member.isfile() or member.isdir()):
                raise _refused(archive, member.name, "a link or a device")
        total, done = sum(member.size for member in members), 0
        check_room(folder, total)
        for member in members:
            source.extract(member, folder, filter="data")
            done += member.size
            if progress:
                progress(done, total)


def _inside(archive: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name.partition("/")[0] or "\0" in name:
        raise _refused(archive, name, "a name that leads out of the folder")


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(
        f"`{name}` in the archive is {why}; nothing was unpacked",
        where=str(archive),
        expected="plain files and folders",
        hint="this is not the publisher's archive: do not use it",
    )


def check_room(folder: Path, needed: int) -> None:
    """Raises MachineError where `needed` bytes are more than the disk of `folder` has free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MachineError(
            f"not enough disk space: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free",
            where=str(folder),
            hint="free some space, or name a larger disk with --data-root",
        )
