"""One rerun: its policy, rules and decomposers over one bag, with what they said as plain data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from rclpy.serialization import deserialize_message

from substep_bags.graph_bag import GraphBag
from substep_bags.reader import Bag
from substep_core.chunk import Chunk
from substep_core.given_parameters import GivenParameters
from substep_core.keys import RequestKey
from substep_core.ros import topics
from substep_core.ros.messages import image_from_message
from substep_planner import parameters as planner_parameters
from substep_planner.completion.registry import load_scorer
from substep_planner.manager.switch_rules import SWITCH_RULES, SwitchRule, make_switch_rule
from substep_planner.parameters import PlannerRegistry
from training.rerun.compare import Comparison, compare
from training.rerun.planning import OtherPlan, plans
from training.rerun.policy import LoadedPolicy, Rerun, load, rerun
from training.rerun.recorded import RecordedRun
from training.rerun.settings import RerunSettings
from training.rerun.switching import SubstepEnds, scored_frames, substep_ends

Frames = dict[str, bytes]  # camera -> JPEG
MOST_FRAMES = 10  # decisions that are shown: those at which the policies lie furthest apart
FRAME_QUALITY = 85


@dataclass(frozen=True)
class RerunRow:
    """One decision of the run, and what is said now. comparison: None where there is no chunk now."""

    rerun: Rerun
    comparison: Comparison | None

    @property
    def share(self) -> float:
        """How far apart; a refusal is as far as anything can be."""
        return float("inf") if self.comparison is None else self.comparison.share


@dataclass
class Result:
    """What a rerun has found.

    Attributes:
        seconds: of wall time that the policy's rerun took, without loading.
        frames: number of a decision -> what was seen at the largest disagreements.
    """

    run: RecordedRun
    policy: LoadedPolicy
    rows: list[RerunRow] = field(default_factory=list)
    ends: list[SubstepEnds] = field(default_factory=list)
    plans: list[OtherPlan] = field(default_factory=list)
    frames: dict[int, Frames] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def furthest(self) -> float:
        """The largest share of a range that two actions lie apart."""
        return max((row.share for row in self.rows), default=0.0)

    @property
    def same(self) -> int:
        """Decisions whose chunk is the recorded one, bit for bit."""
        return sum(row.comparison is not None and row.comparison.same for row in self.rows)


def rerun_bag(bag: Path, settings: RerunSettings, said: Callable[[str], Any] = lambda line: None) -> Result:
    """Rerun the decisions of a bag.

    Args:
        said: told what is being done.

    Raises:
        BagError: the bag lacks something, or cannot be read.
        ValueError: there is no such policy, or it does not fit the robot of the bag.
    """
    with Bag(bag) as opened:
        run = RecordedRun(GraphBag(opened, settings.namespace))
        changes = {"policy": settings.policy, "device": settings.device, "eos_threshold": settings.eos_threshold}
        said("loading the policy")
        loaded = load(run, {name: value for name, value in changes.items() if value is not None})
        result = Result(run, loaded)
        said(f"asking {loaded.policy.name} again")
        begin = time.perf_counter()
        _ask_policy(result)
        result.seconds = time.perf_counter() - begin
        said("asking the planner")
        _ask_planner(result, settings)
    return result


def _ask_policy(result: Result) -> None:
    robot = result.run.robot
    shown = _Furthest(MOST_FRAMES)
    for item in rerun(result.run, result.policy):
        found = None if item.chunk is None else compare(robot, item.decision.answer.chunk, item.chunk)
        row = RerunRow(item, found)
        result.rows.append(RerunRow(_without_messages(item), found))
        shown.offer(row)
    result.frames = shown.frames()


def _without_messages(item: Rerun) -> Rerun:
    """Images of all decisions would not fit into memory."""
    work = item.decision.work
    return replace(item, decision=replace(item.decision, work=replace(work, messages={})))


class _Furthest:
    """Keeps the images of the decisions that lie furthest apart."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[int, tuple[float, Frames]] = {}

    def offer(self, row: RerunRow) -> None:
        number, share = row.rerun.decision.number, row.share
        if len(self._kept) == self._most:
            nearest = min(self._kept, key=lambda kept: self._kept[kept][0])
            if self._kept[nearest][0] >= share:
                return
            del self._kept[nearest]
        self._kept[number] = share, _pictures(row)

    def frames(self) -> dict[int, Frames]:
        order = sorted(self._kept, key=lambda number: -self._kept[number][0])
        return {number: self._kept[number][1] for number in order}


def _pictures(row: RerunRow) -> Frames:
    pattern = topics.camera_image("<camera>")
    before, after = pattern.name.split("<camera>")
    found: Frames = {}
    for name, data in row.rerun.decision.work.messages.items():
        if name.startswith(before) and name.endswith(after):
            camera = name.removeprefix(before).removesuffix(after)
            image = image_from_message(deserialize_message(data, pattern.type), camera)
            found[camera] = simplejpeg.encode_jpeg(np.ascontiguousarray(image), FRAME_QUALITY, "RGB", "420")
    return found


def _ask_planner(result: Result, settings: RerunSettings) -> None:
    run = result.run
    told = dict(run.parameters.get("planner", {}))
    if settings.device is not None:
        told["device"] = settings.device
    parameters = GivenParameters(told)
    planner_parameters.declare(parameters, PlannerRegistry())
    scorer = load_scorer(settings.completion.scorer, planner_parameters.completion_settings(parameters))
    watch = planner_parameters.watch_settings(parameters)
    frames = scored_frames(run, scorer, watch) if scorer is not None else {}
    rules = _rules(settings, parameters, scorer is not None)
    result.ends = substep_ends(run, rules, _new_chunks(result), frames)
    result.plans = plans(run, settings.decomposers, parameters)


def _rules(settings: RerunSettings, parameters: GivenParameters, looks: bool) -> dict[str, SwitchRule]:
    """Raises: ValueError: a rule that looks was named, and nobody looks."""
    told = planner_parameters.switch_settings(parameters)
    own = parameters.value("switch_rule")
    names = settings.switch_rules or (own, *(name for name in SWITCH_RULES.names if looks and name != own))
    rules = {name: make_switch_rule(name, told) for name in names}
    blind = [name for name, rule in rules.items() if rule.uses_vision and not looks]
    if blind and settings.switch_rules:
        raise ValueError(f"switch rule {blind[0]!r} looks at frames: name a scorer with --completion.scorer")
    return {name: rule for name, rule in rules.items() if name not in blind}


def _new_chunks(result: Result) -> dict[RequestKey, Chunk]:
    rows = (row.rerun for row in result.rows)
    return {item.decision.key: item.chunk for item in rows if item.chunk is not None}
