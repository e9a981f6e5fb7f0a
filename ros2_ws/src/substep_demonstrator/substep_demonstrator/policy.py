"""The demonstrator as a policy: one substep's text in, chunks of actions out, EOS once the substep's effect holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from substep_core.chunk import NO_EOS, Chunk
from substep_core.contract import RobotContract, load_robot
from substep_core.language import motions
from substep_core.language.reader import parse
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused, RefusalKind, refusing
from substep_demonstrator.controller import HandMotion, Servo, ServoConfig
from substep_demonstrator.frames import Transform
from substep_demonstrator.hand import Hand, HandReader
from substep_demonstrator.skills.articulated import Articulated
from substep_demonstrator.skills.pick_up import PickUp
from substep_demonstrator.skills.place import PutDown
from substep_demonstrator.skills.push import Push
from substep_demonstrator.skills.skill import HandTarget, Instant, Skill

ROBOT = "libero_panda"  # whose hand the grasps and gains are made for
_CENTRED = 0.006  # m aside that count as none
_SLOWING = 0.04  # m before the target within which the arm is slower
_STEP_LENGTH = 0.016  # m that the hand covers in one control step at full speed
_JUMP = 0.03  # m per control step that no arm covers: the world was reset

_SKILLS: Mapping[motions.MotionKind, Callable[[motions.Motion], Skill]] = {
    motions.PICK_UP: lambda motion: PickUp(motion.thing),
    motions.PLACE: lambda motion: PutDown(motion.thing, motion.place),
    motions.PUSH: lambda motion: Push(motion.thing, motion.place),
    motions.OPEN: Articulated,
    motions.CLOSE: Articulated,
    motions.TURN_ON: Articulated,
    motions.TURN_OFF: Articulated,
}


@dataclass(frozen=True)
class DemonstratorConfig:
    """horizon: most control steps answered at once, used in free space; 1 near objects, where feedback is needed."""

    horizon: int = 4
    servo: ServoConfig = field(default_factory=ServoConfig)

    def __post_init__(self) -> None:
        if not 1 <= self.horizon <= 16:
            raise ValueError(f"horizon {self.horizon} is out of range: expected 1 to 16 steps")


class Demonstrator:
    """A scripted expert. It looks at the simulated world's ground truth, never at an image."""

    name = "demonstrator"
    requires_scene = True
    cameras: tuple[str, ...] = ()
    device = "cpu"
    dtype = "float64"

    @property
    def horizon(self) -> int:
        return self.config.horizon

    def __init__(self, config: DemonstratorConfig | None = None, robot: RobotContract | None = None) -> None:
        self.config = config or DemonstratorConfig()
        self.robot = robot or load_robot(ROBOT)
        self._hand, self._servo = HandReader(self.robot), Servo(self.robot, self.config.servo)
        self._skill: Skill | None = None
        self._last: tuple[np.ndarray, int] | None = None

    def start_substep(self, instruction: str, task: str) -> None:
        """Raises ValueError: the text is none of the motions that the demonstrator knows."""
        motion = parse(instruction)
        self._skill = _SKILLS[motion.kind](motion)

    def predict(self, observation: Observation) -> Chunk:
        """Raises ChunkRefused: no scene, or what the substep names is not in it or cannot be done there."""
        if self._skill is None:
            raise ValueError("predict was called before start_substep")
        if observation.scene is None:
            why = "the observation has no scene: the demonstrator runs in simulation only"
            raise ChunkRefused(RefusalKind.OBSERVATION, why)
        hand = self._hand(observation.proprio)
        motion = self._motion(hand, observation.stamp)
        view = Instant(observation.scene, hand, motion)
        with refusing(RefusalKind.INSTRUCTION):
            return self._chunk(view, self._skill.step(view))

    def _motion(self, hand: Hand, stamp: int) -> np.ndarray:
        """(3,) m that the hand moved per control step since the last observation; 0 after a pause or a reset."""
        position, last = hand.pose.position, self._last
        self._last = (position, stamp)
        if last is None or stamp <= last[1]:
            return np.zeros(3)
        steps = (stamp - last[1]) / self.robot.period_ns
        motion = (position - last[0]) / steps
        return motion if steps <= self.config.horizon and np.linalg.norm(motion) < _JUMP else np.zeros(3)

    def _chunk(self, view: Instant, motion: HandTarget) -> Chunk:
        hand = view.hand.pose
        steps = 1 if motion.done else self._free_steps(hand, motion)
        state = HandMotion(hand, view.motion)
        actions = self._servo.chunk(state, motion.target, motion.gripper, motion.pace, steps)
        eos = np.zeros(steps, np.float32)
        eos[-1] = motion.done
        return Chunk(actions, eos, steps - 1 if motion.done else NO_EOS)

    def _free_steps(self, hand: Transform, motion: HandTarget) -> int:
        """Steps that need no feedback: as long as the target stays far off at full speed, or lies straight below."""
        way = np.abs(motion.target.position - hand.position)
        aside = float(np.linalg.norm(way[:2]))
        distance = aside if aside > _CENTRED else float(way[2])
        return int(np.clip((distance - _SLOWING) / _STEP_LENGTH, 1, self.config.horizon))
