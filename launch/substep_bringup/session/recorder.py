"""Records the run as fragmented MP4, playable even if its writer dies."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from substep_bringup.session.captions import compose, frame_size
from substep_bringup.session.tracker import Progress

WAITING_FRAMES = 120  # frames that may wait for the encoder; 120 of 768 x 448 are 124 MB
WAITING_INSTANTS = 20  # that may wait for the image of another camera
FINISHING = 10.0  # s for the encoder to write what it holds


@dataclass(frozen=True)
class VideoStats:
    """``dropped``: frames that came faster than the encoder took them. ``problem``: "" when all went well."""

    file: str
    frames: int
    dropped: int
    problem: str = ""


class RunRecorder:
    """Joins the images of all cameras that belong to one instant, captions them and writes them to a video.

    Args:
        rate: frames per second of the video; each instant of the world is one frame.
        progress: what the caption says, asked for with every frame.
    """

    def __init__(self, path: Path, cameras: Sequence[str], rate: int, progress: Callable[[], Progress]) -> None:
        self._path = path
        self._cameras = tuple(cameras)
        self._rate = rate
        self._progress = progress
        self._instants: dict[int, dict[str, np.ndarray]] = {}  # not complete yet, by stamp
        self._done = -1  # stamp of the newest frame
        self._writer: VideoWriter | None = None
        self._last: list[np.ndarray] = []

    @property
    def has_begun(self) -> bool:
        """Images of all cameras at one instant have come."""
        return self._writer is not None

    def add(self, camera: str, stamp: int, image: np.ndarray) -> None:
        """Take an image, (H, W, 3) uint8 RGB, of world time ``stamp`` (ns). Repeated instants are recorded once.

        Cameras need not keep step: a busy process hears several images of one before those of another.
        """
        if stamp <= self._done:
            return
        images = self._instants.setdefault(stamp, {})
        images[camera] = image
        if len(images) == len(self._cameras):
            self._done = stamp
            self._instants = {later: waiting for later, waiting in self._instants.items() if later > stamp}
            self._write([images[name] for name in self._cameras])
        elif len(self._instants) > WAITING_INSTANTS:
            del self._instants[min(self._instants)]

    def close(self) -> VideoStats | None:
        """Finish the video; the last picture stays for a second with the run's final caption. None: no picture came."""
        if self._writer is None:
            return None
        for _ in range(self._rate):
            self._write(self._last)
        return self._writer.close()

    def _write(self, images: list[np.ndarray]) -> None:
        if self._writer is None:
            self._writer = VideoWriter(self._path, frame_size(images), self._rate)
        self._last = images
        self._writer.write(compose(images, self._progress()))


class VideoWriter:
    """H.264 in a fragmented MP4: each second of video is complete in the file when the next one begins.

    Frames are handed over to a thread, so that callbacks do not wait for the encoder. The encoder is a process of its
    own group, which a Ctrl-C in a terminal does not reach, and ends when its input does.

    Args:
        size: (width, height) in pixels, both even.
        rate: frames per second of the video.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: int) -> None:
        self._path = path
        self._size = size
        self._frames: queue.Queue[np.ndarray | None] = queue.Queue(WAITING_FRAMES)
        self._written = 0
        self._dropped = 0
        self._problem = ""
        self._encoder = subprocess.Popen(
            _encoder_command(path, size, rate),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        self._thread = threading.Thread(target=self._encode, name="video", daemon=True)
        self._thread.start()

    def write(self, frame: np.ndarray) -> None:
        """Take one frame, (height, width, 3) uint8 RGB, contiguous and not changed afterwards; never blocks.

        Raises:
            ValueError: a frame of another size or type.
        """
        width, height = self._size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"frame is {frame.dtype} {frame.shape}, expected uint8 {(height, width, 3)}")
        try:
            self._frames.put_nowait(frame)
        except queue.Full:
            self._dropped += 1

    @property
    def written(self) -> int:
        """Frames that the encoder has been given."""
        return self._written

    def close(self) -> VideoStats:
        """Finish the file; in bounded time."""
        try:
            self._frames.put(None, timeout=FINISHING)
            self._thread.join(FINISHING)
            _, said = self._encoder.communicate(timeout=FINISHING)  # closes its input, so that it ends
        except (queue.Full, subprocess.TimeoutExpired):
            self._encoder.kill()
            _, said = self._encoder.communicate()
            self._problem = f"the encoder did not finish within {FINISHING:.0f} s"
        problem = said.decode(errors="replace").strip() or self._problem
        return VideoStats(self._path.name, self._written, self._dropped, problem)

    def _encode(self) -> None:
        while (frame := self._frames.get()) is not None:
            if self._problem:
                continue  # keep taking frames, so that the queue never blocks its writers
            try:
                self._encoder.stdin.write(frame.data)
                self._written += 1
            except BrokenPipeError:
                self._problem = "the encoder ended early"


def _encoder_command(path: Path, size: tuple[int, int], rate: int) -> list[str]:
    width, height = size
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", "-"]
    coding = ["-an", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-pix_fmt", "yuv420p", "-threads", "1"]
    fragments = ["-g", str(rate), "-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-flush_packets", "1"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *source, *coding, *fragments, str(path)]
