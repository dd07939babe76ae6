"""Reading of videos: a file's properties, and the frames at given times, as in a full decode.

The clock of a file begins at its first frame. A file is read packet by packet, without seeking, because containers are
often wrong about where a seek lands. Groups of pictures without a requested frame are skipped, not decoded."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench.reasons import Reason

FRAMES_REVISION = 1
"""Increased when decoded pixels change; part of the address of stored frames, and of stages that read them."""

TOLERANCE_S = 1e-6
"""A frame counts as shown from this many seconds before its time, so that rounding never selects the previous one."""

_TRIAL = 32
"""Number of frames that are decoded to check whether their times equal the times of the file's packets."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A readable video file: mean frames per second, and seconds from its first frame to the end of its last."""

    fps: float
    duration_s: float


@dataclass(frozen=True)
class _Timeline:
    """Times of the frames of a file.

    Args:
        stamps: (n,) times in the stream's own unit, ascending. `seconds`: (n,) the same in s from the first frame on.
        end_s: when the last frame ends.
        starts: (n,) number of the packet from which each frame can be decoded. `landing`: (n,) stamp of that packet.
        orderly: whether decoded frames carry these stamps, in order. If not (AVI has no room for them), stamps are
            assigned to decoded frames in order."""

    stamps: np.ndarray
    seconds: np.ndarray
    end_s: float
    starts: np.ndarray
    landing: np.ndarray
    orderly: bool


_CONTAINERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,h264,hevc,m4v,wav,mp3"


class _MistakenError(Exception):
    """Raised if decoding from the middle of the file differs from a full decode."""


def probe(path: Path) -> Probe:
    """Return the rate and duration of a video file, measured on all of its packets and its first decoded frames.

    Raises:
        DataError: the file is missing, or has no frame that can be decoded."""
    line = _timeline(path)
    return Probe(len(line.seconds) / line.end_s, line.end_s)


def frame_times(path: Path) -> np.ndarray:
    """Return (n,) seconds at which the frames are shown, from the first one on. Raises DataError as `probe` does."""
    return _timeline(path).seconds


def frames(path: Path, times_s: Iterable[float]) -> Iterator[np.ndarray]:
    """Yield the upright frame (height, width, 3) uint8 RGB that is shown at each of `times_s`, ascending seconds from
    the file's first frame. A time before the first frame gets the first frame.

    Raises:
        DataError: the file cannot be decoded up to the last of these times."""
    times = np.asarray([*times_s], np.float64)
    yielded, rgb = 0, converter(path)
    for count, frame in pictures(path, times):
        picture = rgb(frame)
        for _ in range(count):
            yield picture
        yielded += count
    if yielded < len(times):
        why = Reason.make("undecodable_from", seconds=float(times[yielded]))
        raise DataError(why, where=str(path), expected="a whole video file")


def pictures(path: Path, times_s: np.ndarray) -> Iterator[tuple[int, Any]]:
    """Yield decoded frames, each with the number of consecutive `times_s` (ascending) at which it is shown. Fewer times
    are covered if the file's end cannot be decoded.

    Raises:
        DataError: no frame can be decoded.
        ValueError: the times do not ascend."""
    if (np.diff(times_s) < 0).any():
        raise ValueError("times must ascend")
    line = _timeline(path)
    frame_of_time = np.maximum(np.searchsorted(line.seconds, times_s + TOLERANCE_S, "right") - 1, 0)
    wanted = [(int(position), len([*rows])) for position, rows in groupby(frame_of_time)]
    done = 0
    if line.orderly:
        try:
            for frame in _decode_from_key_frames(path, line, [position for position, _ in wanted]):
                yield wanted[done][1], frame
                done += 1
        except _MistakenError:
            pass
    for frame in _decode_all(path, line, [position for position, _ in wanted[done:]]):
        yield wanted[done][1], frame
        done += 1


def converter(path: Path) -> Callable[[Any], np.ndarray]:
    """Return a function that converts a decoded frame to a picture (height, width, 3) uint8 RGB, turned upright as the
    file declares. The function raises DataError if the conversion fails."""
    import av
    from av.sidedata.sidedata import Type as SideData
    from av.video.reformatter import VideoReformatter

    shared = VideoReformatter()  # a new one for each frame would take longer than the conversion

    def convert(frame: Any) -> np.ndarray:
        try:
            picture = shared.reformat(frame, format="rgb24").to_ndarray()
        except (av.FFmpegError, ValueError) as error:
            raise DataError(Reason.make("not_rgb", error=str(error)), where=str(path)) from error
        turned = next((side for side in frame.side_data if side.type == SideData.DISPLAYMATRIX), None)
        return picture if turned is None else _upright(picture, np.frombuffer(bytes(turned), np.int32))

    return convert


def _upright(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the picture turned or mirrored as a display matrix (9,) says; only quarter turns are supported."""
    across, down, across_of_down, down_of_down = matrix[[0, 1, 3, 4]].tolist()
    if abs(down) > abs(across):  # rows become columns
        picture, across, down_of_down = picture.transpose(1, 0, 2), across_of_down, down
    picture = picture[:, ::-1] if across < 0 else picture
    return np.ascontiguousarray(picture[::-1] if down_of_down < 0 else picture)


def _decode_from_key_frames(path: Path, line: _Timeline, wanted: list[int]) -> Iterator[Any]:
    """Yield the frames at these ascending positions, each decoded from the last key frame before it.

    Raises:
        _MistakenError: a full decode would give another frame; raised before the wrong frame is yielded."""
    if not wanted:
        return
    todo = iter(wanted)
    position = next(todo)
    start, landing = int(line.starts[position]), line.landing[position]
    with _opened(path) as (container, stream):
        for place, packet in enumerate(_packets(container, stream)):
            if place < start and packet is not None:
                continue
            for frame in _decoded(stream, packet):
                stamp = frame.pts
                if stamp is None:
                    raise _MistakenError
                if start and stamp >= landing:  # the first frame after packets were passed over
                    if stamp != landing or not frame.key_frame:
                        raise _MistakenError
                    start = 0
                if stamp < line.stamps[position]:
                    continue
                if stamp != line.stamps[position] or frame.is_corrupt or start:
                    raise _MistakenError
                yield frame
                following = next(todo, None)
                if following is None:
                    return
                position = following
                if line.starts[position] > place:
                    start, landing = int(line.starts[position]), line.landing[position]
                    stream.codec_context.flush_buffers()
                    break
    raise _MistakenError


def _decode_all(path: Path, line: _Timeline, wanted: list[int]) -> Iterator[Any]:
    """Yield the frames at these ascending positions from a full decode. A missing frame is replaced by the previous."""
    todo, before = list(reversed(wanted)), None
    if not todo:
        return
    with _opened(path) as (container, stream):
        count = 0
        for packet in _packets(container, stream):
            for frame in _decoded(stream, packet):
                stamp = frame.pts if line.orderly else None
                if stamp is None:
                    stamp = line.stamps[min(count, len(line.stamps) - 1)]
                count += 1
                while todo and stamp >= line.stamps[todo[-1]]:
                    yield frame if stamp == line.stamps[todo[-1]] or before is None else before
                    todo.pop()
                if not todo:
                    return
                before = frame


def _timeline(path: Path) -> _Timeline:
    """Return the times of a file's frames. Raises DataError if no frame can be decoded."""
    table, has_times, unit, usual_rate = _packet_table(path)
    first = _first_stamps(path)
    table = table[table[:, _STAMP] != _NONE]
    table = table[np.argsort(table[:, _STAMP], kind="stable")]
    visible, keys = table[table[:, _HIDDEN] == 0], table[table[:, _KEY] == 1]
    orderly = has_times and bool((np.diff(first) > 0).all()) and bool(np.isin(first, visible[:, _STAMP]).all())
    if orderly and len(first):
        visible = visible[visible[:, _STAMP] >= first[0]]  # earlier frames can never be decoded
    if len(visible) == 0 or len(first) == 0:
        raise DataError(Reason.make("undecodable"), where=str(path), expected="a whole video file")
    stamps = visible[:, _STAMP]
    seconds = (stamps - stamps[0]) * unit
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1 / usual_rate
    end_s = max(float((stamps + visible[:, _LASTS]).max() - stamps[0]) * unit, float(seconds[-1]) + step)
    last_key = np.searchsorted(keys[:, _STAMP], stamps, "right") - 1
    # Frames before the first key frame are decoded from the file's start.
    starts, landing = (np.where(last_key < 0, 0, np.append(keys[:, k], 0)[last_key]) for k in (_PLACE, _STAMP))
    return _Timeline(stamps, seconds, end_s, starts, landing, orderly)


_STAMP, _LASTS, _PLACE, _KEY, _HIDDEN = range(5)
_NONE = np.iinfo(np.int64).min
"""Placeholder for a missing stamp of a packet."""


def _packet_table(path: Path) -> tuple[np.ndarray, bool, float, float]:
    """Return a table of packets (n, 5), True if its stamps are presentation times, seconds per unit of stamps, and the
    usual frame rate. Columns: stamp, duration, number of the packet, 1 for a key frame, 1 if never shown.

    Some containers have no room for presentation times. Decoding times are then used as stamps; frames take them in the
    order of presentation."""
    read = array("q")
    with _opened(path) as (container, stream):
        unit, usual_rate = float(stream.time_base), float(stream.average_rate or 1)
        for place, packet in enumerate(_packets(container, stream)):
            if packet is not None and packet.size:
                stamps = (_NONE if stamp is None else stamp for stamp in (packet.dts, packet.pts))
                read.extend((*stamps, packet.duration or 0, place, packet.is_keyframe, packet.is_discard))
    table = np.array(read, np.int64).reshape(-1, 6)
    has_times = len(np.unique(table[:, 1])) == len(table) and bool((table[:, 1] != _NONE).all())
    return np.delete(table, 0 if has_times else 1, 1), has_times, unit, usual_rate


def _first_stamps(path: Path) -> np.ndarray:
    """Return the stamps of the first decodable frames."""
    stamps: list[int] = []
    with _opened(path) as (container, stream):
        for packet in _packets(container, stream):
            stamps += [_NONE if frame.pts is None else frame.pts for frame in _decoded(stream, packet)]
            if len(stamps) >= _TRIAL:
                break
    return np.array(stamps, np.int64)


def open_container(path: Path) -> Any:
    """Open a video file with PyAV; use it in a `with`. Only containers that hold pictures are opened, never lists of
    files or addresses, whatever the file's name.

    Raises:
        DataError: the file is a pipe or a device, which might never end. av.FFmpegError: it is not a video."""
    import av

    if path.exists() and not path.is_file():
        raise DataError(Reason.make("not_a_file"), where=str(path), expected="a video file")
    return av.open(str(path), container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"})


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Yield an opened container and its first video stream, which is decoded on this thread only.

    Raises:
        DataError: the file contains no video."""
    import av

    try:
        with open_container(path) as container:
            films = [stream for stream in container.streams.video if not _is_cover(stream)]
            if not films:
                held = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
                raise DataError(Reason.make("no_video", streams=held), where=str(path), expected="a video file")
            films[0].codec_context.thread_count = 1
            yield container, films[0]
    except av.FFmpegError as error:
        why = Reason.make("not_a_video", error=str(error.strerror))
        raise DataError(why, where=str(path), expected="a whole video file") from error


def _is_cover(stream: Any) -> bool:
    """Return True if a stream is a still picture of a sound file."""
    import av

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the stream's readable packets in file order, then None."""
    import av

    try:
        for packet in container.demux(stream):
            if packet.size or packet.pts is not None:  # the last one is empty: the decoder then returns what it holds
                yield packet
    except av.FFmpegError:
        pass  # truncated: only earlier packets exist
    yield None


def _decoded(stream: Any, packet: Any) -> list[Any]:
    """Return the decoded frames that a packet completes; empty if the packet is damaged."""
    import av

    try:
        frames: list[Any] = stream.codec_context.decode(packet)
    except av.FFmpegError:
        return []
    return frames
