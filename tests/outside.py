"""An outside package with one entry of each registry, and its installation for tests.

``install`` copies this file into a folder as the module of a distribution, where only its entry points tell of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from substep_core.chunk import Chunk
from substep_core.configuration import configuration
from substep_core.contract import initial_action, load_robot
from substep_core.plan import Plan, Substep
from substep_core.tasks import Stratum, check_suite, check_task_index, standard_splits
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.manager.switch_rules import EosSwitchRule
from training.data.readers.demonstration import Demonstration, FrameOrigin, all_taught


class StillPolicy:
    """Stays where it is."""

    name, device, dtype, requires_scene, horizon = "still", "cpu", "float32", False, 4

    def __init__(self, settings) -> None:
        self.seed = settings.seed
        self.robot = load_robot("libero_panda")
        self.cameras = self.robot.camera_names

    def start_substep(self, instruction: str, task: str) -> None: ...

    def predict(self, observation) -> Chunk:
        return Chunk(np.zeros((self.horizon, self.robot.action_width), np.float32))


class TwoStepDecomposer:
    """Knows one kind of sentence: "put the THING in the PLACE"."""

    name, wants_picture = "two_steps", False

    def __init__(self, settings) -> None: ...

    def decompose(self, request) -> SourcedPlan:
        thing, place = request.instruction.removeprefix("put ").split(" in ")
        steps = (
            Substep(f"pick up {thing}", f"{thing} is held"),
            Substep(f"place {thing} in {place}", f"it is in {place}"),
        )
        return SourcedPlan(Plan(request.instruction, steps), self.name)


class DarknessScorer:
    """Darker pictures look more as if something were done."""

    name, cameras, threshold = "darkness", ("agentview",), 0.5

    def __init__(self, settings) -> None: ...

    def begin_plan(self, substeps) -> None: ...

    def score(self, images, index) -> float:
        return 1 - images["agentview"].mean() / 255


class TrustingRule(EosSwitchRule):
    """The policy's EOS, under another name."""


@dataclass(frozen=True)
class ShelfTask:
    suite: str
    index: int
    name: str
    instruction: str
    category: str = "reach"
    difficulty: int | None = 2
    variant: str = ""
    base: None = None

    def init_states(self) -> None:
        return None


class Shelf:
    """Tasks of another world."""

    suites = default_suites = ("shelf",)
    splits = standard_splits(4)

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def names(self, suite: str) -> tuple[str, ...]:
        check_suite(suite, self.suites)
        return "take_the_box", "take_the_lid"

    def playable(self, suite: str) -> dict[int, Stratum]:
        return dict.fromkeys(range(len(self.names(suite))), Stratum("reach", 2))

    def task(self, suite: str, index: int) -> ShelfTask:
        check_task_index(suite, index, len(self.names(suite)))
        name = self.names(suite)[index]
        return ShelfTask(suite, index, name, name.replace("_", " "))


@configuration
class TextFiles:
    """Demonstrations of standing still, one a file, which says how long."""

    path: Path
    type: Literal["text_files"] = "text_files"
    collection: str = ""
    labels: Path | None = None

    def read(self, robot) -> Iterator[Demonstration]:
        for file in sorted(self.path.glob("*.txt")):
            yield self._demonstration(robot, file, int(file.read_text()))

    def _demonstration(self, robot, file: Path, length: int) -> Demonstration:
        return Demonstration(
            suite="texts",
            task=file.stem,
            episode="episode_0",
            instruction="stay where you are",
            robot=robot,
            actions=np.tile(initial_action(robot), (length, 1)),
            proprio=np.zeros((length, robot.state_width), np.float32),
            taught=all_taught(length),
            load_frames=lambda: {"agentview": np.zeros((length, 16, 16, 3), np.uint8)},
            frame_origin=FrameOrigin(),
            source=str(file),
        )


ENTRY_POINTS = """
[substep.policies]
still = outside:StillPolicy
[substep.decomposers]
two_steps = outside:TwoStepDecomposer
[substep.completion_scorers]
darkness = outside:DarknessScorer
[substep.switch_rules]
trusting = outside:TrustingRule
[substep.task_sources]
shelf = outside:Shelf
[substep.data_readers]
text_files = outside:TextFiles
"""


def install(folder: Path) -> Path:
    """Make the folder one that may be put on the path, as pip's are; -> the folder."""
    info = folder / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    shutil.copy(__file__, folder / "outside.py")
    return folder
