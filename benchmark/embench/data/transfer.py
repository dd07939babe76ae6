"""One file over HTTP: whole and checked, or an error.

Libraries for this start over when the connection breaks. For files of gigabytes that is not good enough, so the
transfer is made here: what has arrived is kept in a `.part` file, and the rest is requested by HTTP's `Range`, within
one call and in the next.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from embench.callbacks import DownloadCallback
from embench.data.unpack import check_room
from embench.errors import DataError, MachineError
from embench.files import sha256
from embench.interfaces.dataset import Download

if TYPE_CHECKING:
    import requests

TRIES = 5
"""Connections that may break one after another without a byte gained."""

WAIT_S = 2.0
TIMEOUT_S = 60.0
_CHUNK = 1 << 14
"""Bytes written at once; what is left of a chunk when a connection breaks is lost."""


def transfer(download: Download, path: Path, folder: Path, progress: DownloadCallback | None = None) -> Path:
    """`path`, whole and checked. What has arrived of it lies beside it as `.part` until then.

    Args:
        folder: where the user may put the file instead.

    Raises:
        DataError: what arrived is not what was published; there is no such file on the server.
        MachineError: no network or no room.
    """
    if path.exists():
        return checked(download, path, progress)
    part = _part(path)
    most, failures = _size(part), 0
    while True:
        try:
            if _connect(download, part, progress):
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
                f"cannot download {download.name}: {fault}",
                where=download.url,
                expected="a connection to this address",
                hint=f"rerun the command to resume; or get the file another way, put it into {folder} as "
                f"{download.name} and rerun the command",
            )
        time.sleep(WAIT_S * failures)
    part.replace(path)
    _tag(part).unlink(missing_ok=True)
    return checked(download, path, progress)


def checked(download: Download, path: Path, progress: DownloadCallback | None = None, *, kept: bool = False) -> Path:
    """`path`, if it has the right size and hash; else it is removed, or left where it is the user's own (`kept`).

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
    if not kept:
        path.unlink()
    raise DataError(
        f"{download.name} differs from the published file: {found}",
        where=str(path) if kept else download.url,
        expected=expected,
        hint="remove the file and rerun the command" if kept else "embench removed the file; rerun the command later",
    )


def arrived(path: Path) -> int:
    """Number of bytes of `path` that an earlier transfer left beside it."""
    return _size(_part(path))


def _connect(download: Download, part: Path, progress: DownloadCallback | None) -> bool:
    """One connection; whether the file is whole then. Raises OSError (all of requests' errors are) where it breaks."""
    import requests

    have, tag = _size(part), _tag(part)
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
                hint="find the new address on the page of the dataset, and put the file into the folder of the dataset",
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
        try:
            _check_offer(download, response, total)
        except DataError:
            part.unlink(missing_ok=True)
            raise
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


def _check_offer(download: Download, response: requests.Response, total: int | None) -> None:
    """Raises DataError where the server says beforehand that its file is another one."""
    if total is not None and download.size not in (None, total):
        raise DataError(
            f"the server offers {total:,} bytes",
            where=download.url,
            expected=f"{download.size:,} bytes",
            hint="the publisher replaced the file, or the address shows a web page: open it in a browser",
        )
    for answer in (*response.history, response):  # NEMAR's redirects carry the digest of what they lead to
        named = re.fullmatch(r'"sha256:([0-9a-f]{64})"', answer.headers.get("ETag", ""))
        if named and download.sha256 is not None and named[1] != download.sha256.lower():
            raise DataError(
                f"the server offers another file: sha256 {named[1]}",
                where=download.url,
                expected=f"sha256 {download.sha256.lower()}",
                hint="the publisher replaced the file: look for a newer version of embench",
            )


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tag(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _is_network(error: OSError) -> bool:
    import requests

    return isinstance(error, requests.RequestException | ConnectionError | TimeoutError)


def _number(pattern: str, text: str) -> int | None:
    match = re.match(pattern, text)
    return int(match[1]) if match else None
