"""The video: readable whenever its writer ends, one frame for each instant, captions that say where the run is."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import psutil
import pytest

from substep_bringup.session.captions import CAPTION_HEIGHT, caption_lines, compose, frame_size
from substep_bringup.session.recorder import WAITING_INSTANTS, RunRecorder, VideoWriter
from substep_bringup.session.tracker import Progress

CAMERAS = ("agentview", "eye_in_hand")
RATE = 20
PATIENCE = 30.0  # s
UNDER_WAY = Progress(
    index=1, count=3, instruction="pick up the mug", substep_steps=7, episode_steps=52, eos_probability=0.125
)
WRITE_AND_WAIT = """
import sys, time
import numpy as np
from pathlib import Path
from substep_bringup.session.recorder import VideoWriter

writer = VideoWriter(Path(sys.argv[1]), (64, 48), 20)
for number in range(100):
    writer.write(np.full((48, 64, 3), number, np.uint8))
while writer.written < 100:
    time.sleep(0.01)
print("written", flush=True)
time.sleep(600)
"""


def picture(shade: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    return np.full((*size, 3), shade, np.uint8)


def frames_of(path: Path) -> list[np.ndarray]:
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return [np.frombuffer(data, np.uint8).reshape(height, width, 3) for data in reader]


def record(path: Path, images: list[tuple[str, int, int]]) -> list[np.ndarray]:
    """(camera, stamp, shade) -> frames of the video, without the last second that shows the end."""
    recorder = RunRecorder(path, CAMERAS, RATE, lambda: UNDER_WAY)
    for camera, stamp, shade in images:
        recorder.add(camera, stamp, picture(shade))
    stats = recorder.close()
    frames = frames_of(path)
    assert (len(frames), stats.dropped, stats.problem) == (stats.frames, 0, "")
    return frames[:-RATE]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_video_can_be_read_when_its_writer_was_ended(tmp_path, number):
    path = tmp_path / "video.mp4"
    command = [sys.executable, "-c", WRITE_AND_WAIT, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as writer:
        assert writer.stdout.readline() == "written\n"
        encoders = psutil.Process(writer.pid).children()
        writer.send_signal(number)
    assert psutil.wait_procs(encoders, PATIENCE)[1] == []
    assert len(frames_of(path)) == 100


def test_an_encoder_that_dies_is_reported_and_disturbs_nobody(tmp_path):
    path = tmp_path / "video.mp4"
    writer = VideoWriter(path, (64, 48), RATE)
    for number in range(100):
        writer.write(np.full((48, 64, 3), number, np.uint8))
    (encoder,) = (child for child in psutil.Process().children() if "ffmpeg" in child.name())
    encoder.kill()
    encoder.wait()
    for number in range(20):
        writer.write(np.full((48, 64, 3), number, np.uint8))
    assert writer.close().problem == "the encoder ended early"


def test_each_instant_is_one_frame_with_both_cameras_side_by_side(tmp_path):
    both = [(camera, stamp, shade) for stamp in (0, 50, 100) for camera, shade in zip(CAMERAS, (40, 200), strict=True)]
    frames = record(tmp_path / "video.mp4", both)
    assert len(frames) == 3
    left, right = frames[0][100, 100], frames[0][100, 384 + 100]
    assert np.allclose(left, 40, atol=6) and np.allclose(right, 200, atol=6)


def test_repeated_and_incomplete_instants_are_left_out(tmp_path):
    images = [
        ("agentview", 0, 40),
        ("eye_in_hand", 0, 200),
        ("agentview", 0, 40),  # the bridge repeats what was not answered
        ("eye_in_hand", 0, 200),
        ("agentview", 50, 40),  # its other half was lost
        ("eye_in_hand", 100, 200),  # cameras may come in any order
        ("agentview", 100, 40),
    ]
    assert len(record(tmp_path / "video.mp4", images)) == 2


@pytest.mark.parametrize("lag", [1, 5])
def test_a_camera_that_is_heard_late_loses_no_frame(tmp_path, lag: int):
    ahead = [("agentview", stamp, 40) for stamp in range(lag)]
    steps = [
        image for stamp in range(lag, 30) for image in (("agentview", stamp, 40), ("eye_in_hand", stamp - lag, 140))
    ]
    assert len(record(tmp_path / "video.mp4", ahead + steps)) == 30 - lag


def test_images_of_a_camera_whose_partner_is_silent_do_not_pile_up(tmp_path):
    waiting = [("agentview", stamp, 40) for stamp in range(WAITING_INSTANTS + 2)]
    late = [("eye_in_hand", stamp, 140) for stamp in range(WAITING_INSTANTS + 2)]
    assert len(record(tmp_path / "video.mp4", waiting + late)) == WAITING_INSTANTS


def test_no_picture_no_video(tmp_path):
    assert RunRecorder(tmp_path / "video.mp4", CAMERAS, RATE, Progress).close() is None
    assert not (tmp_path / "video.mp4").exists()


def test_a_folder_that_is_gone_is_reported_and_disturbs_nobody(tmp_path):
    writer = VideoWriter(tmp_path / "nowhere" / "video.mp4", (64, 48), RATE)
    for number in range(300):
        writer.write(np.full((48, 64, 3), number % 256, np.uint8))
    assert "nowhere" in writer.close().problem


@pytest.mark.parametrize(("height", "width"), [(128, 128), (240, 321), (97, 31), (480, 640)])
def test_frames_have_even_sizes_for_any_camera(height, width):
    images = [picture(10, (height, width)), picture(20, (height, width))]
    size = frame_size(images)
    assert compose(images, UNDER_WAY).shape == (size[1], size[0], 3)
    assert size[0] % 2 == size[1] % 2 == 0


def test_captions_say_where_the_run_is():
    title, figures = caption_lines(UNDER_WAY)
    assert title == "2/3  pick up the mug"
    assert "step 52" in figures and "EOS 0.12" in figures
    assert "EOS -" in caption_lines(Progress(count=1, instruction="x"))[1]
    assert caption_lines(Progress(success=True))[0].startswith("success")
    assert caption_lines(Progress(hold_reason="waiting for a chunk"))[0] == "waiting for a chunk"


def test_captions_are_drawn_and_fit_however_long_they_are():
    images = [picture(0), picture(0)]
    for text in ("put", "put " * 60):
        strip = compose(images, Progress(count=1, instruction=text))[-CAPTION_HEIGHT:]
        assert (strip > 200).any()
        assert not (strip[:, -4:] > 200).any()
