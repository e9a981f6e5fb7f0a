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


def test_on_a_robot_an_action_goes_with_what_was_observed_before_it_was_played():
    """The chunk came two control steps after it was asked for, and sensors have stamps of their own."""
    period, start = ROBOT.period_ns, 10_000_000_000
    key = RequestKey(start, 1, SubstepKey("plan", 0, 0))
    chunk = Chunk(np.arange(3, dtype=np.float32)[:, None] * np.ones((1, 7), np.float32))
    ended = start + 5 * period
    run = SimpleNamespace(
        robot=ROBOT, answers={key: SimpleNamespace(chunk=chunk)}, played=lambda key: 3, ended=lambda key: ended
    )
    observed = [start + step * period + jitter for step, jitter in ((0, 0), (2, 9_000_000), (3, -20_000_000))]
    steps = bag._observed(bag._played(run), observed, period)
    assert [(step.stamp, step.action[0]) for step in steps] == [(observed[1], 0.0), (observed[2], 1.0)]


def test_of_a_chunk_that_was_asked_for_ahead_the_actions_whose_time_has_passed_were_not_played():
    period, start = ROBOT.period_ns, 10_000_000_000
    first, second = (RequestKey(start + step * period, 1, SubstepKey("plan", 0, 0)) for step in (0, 2))
    chunks = [SimpleNamespace(chunk=Chunk(np.full((4, 7), 10.0 * n) + np.arange(4)[:, None])) for n in (0, 1)]
    ends = {first: start + 4 * period, second: start + 6 * period}
    run = SimpleNamespace(
        robot=ROBOT,
        answers=dict(zip((first, second), chunks, strict=True)),
        played={first: 4, second: 2}.get,
        ended=ends.get,
    )
    assert [step.action[0] for step in bag._played(run)] == [0, 1, 2, 3, 12, 13]
