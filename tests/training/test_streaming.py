"""Of a data set larger than memory only what is being worked on is held."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.training.toy import ROBOT, ToyDemo, write_hdf5, write_lerobot, write_rlds
from training.data.readers import LeRobotSource, LiberoHdf5Source, RldsSource
from training.workers import parallel_map


@pytest.mark.parametrize("kind", ["hdf5", "rlds", "lerobot"])
def test_a_demonstration_holds_where_its_frames_are_and_not_the_frames(tmp_path: Path, kind: str):
    demo = ToyDemo(30)
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3), np.uint8)
    demo.frames = {camera: noise for camera in demo.frames}
    source = {
        "hdf5": lambda: LiberoHdf5Source(path=write_hdf5(tmp_path / "hdf5/libero_goal", [demo]).parents[1]),
        "rlds": lambda: RldsSource(path=write_rlds(tmp_path, [demo], ["open"])),
        "lerobot": lambda: LeRobotSource(path=write_lerobot(tmp_path / "set", [demo], video=False)),
    }[kind]()
    (found,) = source.read(ROBOT)
    assert len(pickle.dumps(found)) < noise.nbytes / 10
    assert pickle.loads(pickle.dumps(found)).frames()["agentview"].shape == noise.shape, "a worker can load them"


def test_few_results_of_workers_wait_to_be_taken():
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    results = parallel_map(str, items(), workers=2)
    assert next(results) == "0" and len(asked) <= 3
    assert list(results) == [str(number) for number in range(1, 100)]
