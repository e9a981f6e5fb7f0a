"""A task whose policy takes its time: as ``LockstepTask``, in a world that goes on while a chunk is awaited."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from substep_core.contract import ActionQuantity
from substep_core.protocol import HoldKind
from training.lockstep import LockstepTask

JERK_ORDER = 3
MILLIMETRES = 1000.0


@dataclass
class MotionTrace:
    """What the robot was told and did, a value each control step.

    Attributes:
        holds: why it held; ``NONE`` where it played an action.
        chunks: number of the chunk that the action is of; −1 where it held.
        substeps: number of the active substep's issue.
        commands: (3,) m, the commanded motion of the hand.
        positions: (3,) m, where the hand was before.
    """

    holds: list[HoldKind] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    substeps: list[int] = field(default_factory=list)
    commands: list[np.ndarray] = field(default_factory=list)
    positions: list[np.ndarray] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """Control steps in which there was a substep to carry out."""
        return sum(hold in (HoldKind.NONE, HoldKind.WAITING_FOR_A_CHUNK) for hold in self.holds)

    def waited(self, within: bool) -> int:
        """Steps in which the robot held for want of a chunk. Args: within: after the substep's first, or before it."""
        begun: set[int] = set()
        waited = 0
        for hold, substep in zip(self.holds, self.substeps, strict=True):
            if hold is HoldKind.NONE:
                begun.add(substep)
            waited += hold is HoldKind.WAITING_FOR_A_CHUNK and (substep in begun) is within
        return waited

    def joints(self) -> list[float]:
        """mm that the commanded motion changes by from one control step to the next where chunks of a substep meet, or
        where a hold between them begins or ends."""
        changes = []
        for here in range(1, len(self.chunks)):
            before, now = self.chunks[here - 1], self.chunks[here]
            if before != now and self.substeps[here - 1] == self.substeps[here]:
                changes.append(MILLIMETRES * float(np.linalg.norm(self.commands[here] - self.commands[here - 1])))
        return changes

    def jerk(self, rate: float) -> list[float]:
        """Squared m²/s⁶ of the hand's jerk, between control steps with a substep to carry out."""
        third = np.diff(np.array(self.positions), JERK_ORDER, axis=0) * rate**JERK_ORDER
        busy = [hold in (HoldKind.NONE, HoldKind.WAITING_FOR_A_CHUNK) for hold in self.holds]
        return [float(value @ value) for place, value in enumerate(third) if all(busy[place : place + JERK_ORDER + 1])]


class DelayedTask(LockstepTask):
    """Args: delay: control steps from an observation until its chunk is there. The rest as ``LockstepTask``.

    Attributes:
        motion: what the robot was told and did.
        steps: control steps so far; played: of them those with an action of a chunk.
        answers: chunks that have come.
    """

    def __init__(self, *arguments, delay: int, **options) -> None:
        super().__init__(*arguments, **options)
        self._delay, self._flying = delay, []
        self.steps, self.answers = 0, 0
        self.motion = MotionTrace()
        self.played = 0
        self._chunk_number, self._newest = -1, None
        contract = self._simulation.contract
        (group, *_) = contract.action_groups(ActionQuantity.DELTA_POSITION)
        self._place, self._scale = contract.action_slice(group), group.scale
        self._position = contract.state_slice(contract.position)

    def _advance(self) -> None:
        self._deliver()
        while self._finish is None and self._player.wants_request:
            self._ask()
            self._deliver()
        if self._finish is None:
            self._step()
            self._drain()

    def _receive(self, request, chunk, inference_time: float) -> None:
        self._flying.append((self.steps + self._delay, request, chunk, inference_time))

    def _deliver(self) -> None:
        due = [answer for answer in self._flying if answer[0] <= self.steps]
        self._flying = [answer for answer in self._flying if answer[0] > self.steps]
        for _, *answer in due:
            self.answers += 1
            super()._receive(*answer)
        self._drain()

    def _command(self):
        motion, proprio = self.motion, self._observation.proprio
        hold = self._player.hold.kind
        command = super()._command()
        if command.chunk is not None and command.chunk is not self._newest:
            self._chunk_number, self._newest = self._chunk_number + 1, command.chunk
        motion.holds.append(hold)
        motion.chunks.append(self._chunk_number if command.chunk is not None else -1)
        motion.substeps.append(hash(command.substep))
        motion.commands.append(command.action[self._place].astype(float) * self._scale)
        motion.positions.append(proprio[self._position].astype(float))
        self.steps += 1
        self.played += command.chunk is not None
        return command
