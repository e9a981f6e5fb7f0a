"""Demonstrations of the two arms, one .npz file each: actions and joints (T, 14), overhead (T, H, W, 3) uint8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from substep_core.configuration import configuration
from substep_core.contract import RobotContract
from training.data.readers.demonstration import Demonstration, FrameOrigin, all_taught


@configuration
class JointFiles:
    """A source of ``data.sources``: ``{type: joint_files, path: …}``."""

    path: Path
    type: Literal["joint_files"] = "joint_files"
    collection: str = ""
    labels: Path | None = None

    def read(self, robot: RobotContract) -> Iterator[Demonstration]:
        for file in sorted(self.path.glob("*.npz")):
            content = np.load(file)
            length = len(content["actions"])
            yield Demonstration(
                suite="two_arms",
                task="move_both_arms_up",
                episode=file.stem,
                instruction="move both arms up",
                robot=robot,
                actions=content["actions"],
                proprio=content["joints"],
                taught=all_taught(length),
                load_frames=lambda content=content: {"overhead": content["overhead"]},
                frame_origin=FrameOrigin(),
                source=str(file),
            )
