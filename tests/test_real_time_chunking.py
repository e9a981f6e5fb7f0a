"""Real-time chunking through bridge and policy: a policy of two minds, whose chunks go left or right as noise has it.

``./substep test tests/test_real_time_chunking.py -rP`` prints what each way of joining its chunks gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from substep_bridge.answer import ChunkAnswer
from substep_bridge.chunk_player import ChunkPlayer
from substep_bridge.guard import GuardSettings, SafetyGuard
from substep_bridge.joining import JoiningSettings, load_joining
from substep_bridge.moment import RobotMoment
from substep_core.chunk import Chunk, ChunkOutcome
from substep_core.contract import load_robot
from substep_core.keys import SubstepKey
from substep_policy.guidance_settings import GuidanceSettings, load_guidance
from substep_policy.heads import DecoderShape
from substep_policy.heads.guidance import Guide, soft_mask
from substep_policy.models.pi05.flow_matching import FlowMatching, FlowMatchingConfig

ROBOT = load_robot("libero_panda")
HORIZON, DELAY, STEPS = 16, 4, 400
STILL = np.array([0, 0, 0, 0, 0, 0, -1], np.float32)  # but for the first value
MEAN, SPREAD = 0.3, 0.03  # of the first value in either mode, as a command
PROPRIO = np.array([0, 0, 0, np.pi, 0, 0, 0.04, -0.04], np.float32)
JOINTS = {limit.name: (limit.low + limit.high) / 2 for limit in ROBOT.joint_limits}


class TwoMinds(FlowMatching):
    """The flow to a mixture of two Gaussians, exactly: the whole chunk is about +MEAN or about −MEAN."""

    def velocity(self, backbone, prefix, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        tau = 1 - float(time[0])
        variance = (tau * SPREAD) ** 2 + (1 - tau) ** 2
        modes = [MEAN * torch.ones_like(x), -MEAN * torch.ones_like(x)]
        means = [mode + tau * SPREAD**2 / variance * (x - tau * mode) for mode in modes]
        scores = [-(x - tau * mode).square().sum((1, 2)) / (2 * variance) for mode in modes]
        shares = torch.softmax(torch.stack(scores), dim=0)[..., None, None]
        actions = shares[0] * means[0] + shares[1] * means[1]
        return (x - actions) / time[:, None, None], x


@dataclass
class Prefix:
    size = 1
    dtype = torch.float64
    device = torch.device("cpu")


@dataclass(frozen=True)
class Way:
    """What was commanded. turns: from one side to the other; torn: share of the commands that are of neither side."""

    chunks: int
    turns: int
    torn: float
    largest: float


def go(rule: str, guidance: str = "gradient") -> Way:
    torch.manual_seed(0)
    decoder = TwoMinds(FlowMatchingConfig(width=1), DecoderShape(8, HORIZON, 1))
    joining = load_joining(rule, JoiningSettings(inference_time=DELAY / ROBOT.rate))
    player = ChunkPlayer(ROBOT, SafetyGuard(ROBOT, GuardSettings()), joining)
    moment = RobotMoment(ROBOT.period_ns, PROPRIO, np.array([0.0, 0.0, 0.3]), JOINTS)
    player.reset(1, moment)
    player.activate(SubstepKey("plan", 0, 0))
    commands, flying, chunks = [], [], 0
    for step in range(STEPS):
        for _, answer in (item for item in flying if item[0] <= step):
            assert all(report.outcome is ChunkOutcome.PLAYED for report in player.receive(answer))
        flying = [item for item in flying if item[0] > step]
        if player.wants_request:
            chunks += 1
            request, left = player.request(), player.left_over
            flying.append(
                (step + DELAY, ChunkAnswer(request, Chunk(chunk(decoder, guidance, left, player.answer_delay))))
            )
        is_playing = player.playing is not None
        action = player.next_action()
        commands += [float(action[0])] if is_playing else []
        moment = RobotMoment(moment.stamp + ROBOT.period_ns, PROPRIO, moment.position, JOINTS)
        player.after_step(moment)
    told = np.array(commands)
    assert len(told) == STEPS - DELAY, "no gap"
    turns = int(np.count_nonzero(np.diff(np.sign(told))))
    torn = float(np.mean(np.abs(np.abs(told) - MEAN) > 5 * SPREAD))
    return Way(chunks, turns, torn, float(np.abs(np.diff(told)).max()))


def chunk(decoder: FlowMatching, guidance: str, left: np.ndarray, delay: int) -> np.ndarray:
    with torch.no_grad():
        if not len(left):
            actions, _ = decoder.decode(None, Prefix())
        else:
            target = np.zeros((1, HORIZON, 1))
            target[0, : len(left)] = left[:, :1]
            weights = soft_mask(GuidanceSettings().schedule, HORIZON, delay, len(left))
            told = torch.from_numpy(target), torch.from_numpy(weights)[None].double()
            actions, _ = decoder.decode_guided(None, Prefix(), Guide(load_guidance(GuidanceSettings(guidance)), *told))
    commands = np.tile(STILL, (HORIZON, 1))
    commands[:, 0] = actions[0, :, 0].numpy()
    return commands


@pytest.fixture(scope="module")
def ways() -> dict[str, Way]:
    rules = {rule: go(rule) for rule in ("replace", "blend", "ensemble")}
    guided = {f"real_time_chunking, {name}": go("real_time_chunking", name) for name in ("gradient", "identity")}
    return rules | guided


def test_what_each_way_of_joining_gives(ways):
    for name, way in ways.items():
        print(f"{name:<30} {way.chunks:>3} chunks, turns {way.turns:>3}, torn {way.torn:.0%}, most {way.largest:.2f}")
    assert ways["replace"].turns > 0.2 * ways["replace"].chunks, "a coin is tossed for every chunk"
    assert ways["replace"].torn < 0.02
    assert min(ways[name].torn for name in ("blend", "ensemble")) > 0.05, "between the two is no way of the policy's"


@pytest.mark.parametrize("guidance", ["gradient", "identity"])
def test_real_time_chunking_mostly_stays_with_the_side_that_it_is_on_and_mixes_nothing(ways, guidance):
    way = ways[f"real_time_chunking, {guidance}"]
    assert way.turns < 0.25 * way.chunks and way.torn < 0.02
