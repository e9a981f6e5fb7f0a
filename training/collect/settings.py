"""Settings of a collection of demonstrations; the options of ``./substep data collect`` are these fields."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from pydantic import Field

from libero_bridge.tasks import LIBERO
from substep_core.configuration import configuration
from substep_core.tasks import SplitName, TaskSource, task_source


@configuration
class Variation:
    """How episodes are varied.

    Attributes:
        widened: share of episodes with widened placements; the others start in benchmark states.
        noise: largest standard deviation of the noise on actions; each episode draws its own, a quarter have none.
            The actions taught are those without it (Laskey et al. 2017, DART).
        disturbance: chance, each time the policy is asked, that the arm is first moved elsewhere; by a novice once in a
            substep at most.
        disturbance_steps: shortest and longest such motion, in control steps.
        novice: a learned policy that moves the arm in disturbances, by name or checkpoint folder, so that
            demonstrations begin where it goes wrong (rolled in for a while, then the expert, as in AggreVaTe,
            Ross & Bagnell 2014); empty: random motions.
        novice_chunks: fewest and most chunks that it plays before the demonstrator takes over again.
        novice_lets_go: chance, in a substep, that it also plays on where it lets go of what it holds, so that
            demonstrations show what to do about a thing put in the wrong place; else the demonstrator takes over there.
        missed_grasp: chance, each time the gripper is about to close on what is to be picked up, that it closes beside
            it and rises empty, so that demonstrations show what to do about a grasp that missed.
        arm_distance: rad, the most that the arm's first joint angles are off its home, see ``Simulation.reset``; each
            episode draws its own.
        split: "training", or "evaluation" for episodes that nothing may be trained on.
    """

    widened: float = 0.7
    noise: float = 0.15
    disturbance: float = 0.01
    disturbance_steps: tuple[int, int] = (4, 10)
    novice: str = ""
    novice_chunks: tuple[int, int] = (2, 8)
    novice_lets_go: float = 0.0
    missed_grasp: float = 0.0
    arm_distance: float = Field(default=0.0, ge=0, le=0.5)
    split: SplitName = "training"

    def __post_init__(self) -> None:
        for name in ("widened", "noise", "disturbance", "novice_lets_go", "missed_grasp"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be in [0, 1]")
        if self.missed_grasp == 1:
            raise ValueError("missed_grasp is 1, must be below: nothing would ever be grasped")
        if self.novice and not self.disturbance:
            raise ValueError(f"novice is {self.novice!r} and disturbance 0: it would never play")
        if self.novice_lets_go and not self.novice:
            raise ValueError(f"novice_lets_go is {self.novice_lets_go} and there is no novice: nobody would let go")
        for name in ("disturbance_steps", "novice_chunks"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise ValueError(f"{name} {(low, high)} must be two rising numbers from 1 on")


@configuration
class CollectionSettings:
    """What makes a data set. The same settings give the same demonstrations.

    Attributes:
        per_task: demonstrations kept of each task, the first successes in the order of their numbers.
        attempts: episodes tried for a task before it is left with fewer, as a multiple of ``per_task``.
        seed: of everything that is drawn at random.
        policy: who demonstrates.
        novice_fingerprint: of the checkpoint that disturbs, see ``variation.novice``; empty for none.
        assets: meshes and textures: embedded, libero (LIBERO's own), or a folder.
        variation: what goes wrong on purpose.
        tasks_from: whose tasks: a task source's name, NAME:FOLDER, or a folder of SUITE/NAME.bddl.
    """

    per_task: int = Field(default=40, ge=1)
    attempts: float = Field(default=3.0, ge=1)
    seed: int = Field(default=0, ge=0)
    policy: str = "demonstrator"
    assets: str = "embedded"
    variation: Annotated[Variation, Parameter(name="*")] = Variation()
    novice_fingerprint: Annotated[str, Parameter(parse=False)] = ""
    tasks_from: str = LIBERO

    @property
    def source(self) -> TaskSource:
        """Raises: ValueError: there is no such task source."""
        return task_source(self.tasks_from)
