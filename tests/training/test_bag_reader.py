"""Bags become data: what was observed and played in a run, put together as in the run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from substep_core.chunk import Chunk
from substep_core.keys import RequestKey, SubstepKey
from tests.recorded_run import PLAN, ROBOT, TASK, write_run
from training.data.readers import DemonstrationError, ReadReport, bag, read_demonstrations
from training.data.readers.bag import BagSource
from training.rerun.recorded import RecordedPart


class Counting:
    """Chunks of four actions, the first value of which counts on; keeps what it has seen."""

    name, device, dtype, requires_scene = "counting", "cpu", "float32", False
    robot, cameras, horizon = ROBOT, ROBOT.camera_names, 4

    def __init__(self) -> None:
        self.seen = []

    def start_substep(self, instruction: str, task: str) -> None: ...

    def predict(self, observation) -> Chunk:
        self.seen.append(observation)
        actions = np.zeros((4, 7), np.float32)
        actions[:, 0] = np.arange(4) / 100 + (len(self.seen) - 1) * 0.04
        actions[:, 6] = -1
        return Chunk(actions)


def test_a_bag_is_a_demonstration_with_its_substeps(tmp_path: Path):
    policy = Counting()
    write_run(tmp_path / "runs" / "a" / "bag", policy)
    source = BagSource(path=tmp_path / "runs")
    (demo,) = read_demonstrations([source], ROBOT, ReadReport(), skip_damaged=False)
    assert (demo.suite, demo.instruction, demo.episode, len(demo)) == ("libero_object", TASK, "episode_0", 16)
    np.testing.assert_allclose(demo.actions[:, 0], np.arange(16) / 100, atol=1e-6)
    assert [item.instruction for item in demo.labels.substeps] == [words for words, _ in PLAN]
    assert demo.labels.boundaries == [7, 15]
    frames = demo.frames()
    for number, observation in enumerate(policy.seen):  # of every fourth step: what the policy saw in the run
        np.testing.assert_array_equal(demo.proprio[4 * number], observation.proprio)
        for camera, image in observation.images.items():
            np.testing.assert_array_equal(frames[camera][4 * number], image)


def test_what_is_no_bag_or_lacks_a_camera_is_named(tmp_path: Path):
    with pytest.raises(DemonstrationError, match="holds no bag"):
        list(BagSource(path=tmp_path).read(ROBOT))
    camera = f"camera/{ROBOT.camera_names[0]}/image_raw"
    write_run(tmp_path / "bag", Counting(), left_out=[camera])
    (demo,) = BagSource(path=tmp_path).read(ROBOT)
    with pytest.raises(DemonstrationError, match=f"has no message of /{camera}, which training needs"):
        demo.frames()


def played_run(*parts: RecordedPart) -> SimpleNamespace:
    """One chunk a part."""
    keys = [RequestKey(number, 1, SubstepKey("plan", 0, 0)) for number in range(len(parts))]
    return SimpleNamespace(robot=ROBOT, answers=keys, played=dict(zip(keys, parts, strict=True)).get)


def numbers(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None] * np.ones((1, 7), np.float32)


def test_on_a_robot_an_action_goes_with_what_was_observed_when_its_step_began():
    """Sensors have stamps of their own."""
    period, start = ROBOT.period_ns, 10_000_000_000
    run = played_run(RecordedPart(0, start + 2 * period, numbers(0, 1, 2)))
    observed = [start + step * period + jitter for step, jitter in ((0, 0), (2, 9_000_000), (3, -20_000_000))]
    steps = bag._observed(bag._played(run), observed, period)
    assert [(step.stamp, step.action[0]) for step in steps] == [(observed[1], 0.0), (observed[2], 1.0)]


def test_what_is_learned_is_what_the_robot_was_told_also_where_chunks_were_joined():
    period, start = ROBOT.period_ns, 10_000_000_000
    run = played_run(RecordedPart(0, start, numbers(0, 1)), RecordedPart(2, start + 2 * period, numbers(7.5, 13)))
    played = [((step.stamp - start) // period, step.action[0]) for step in bag._played(run)]
    assert played == [(0, 0.0), (1, 1.0), (2, 7.5), (3, 13.0)]
