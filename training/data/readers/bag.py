"""Bags of runs as demonstrations: every control step that a chunk was played in, with what was observed before it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from substep_bags.graph_bag import GraphBag
from substep_bags.metadata import FILE
from substep_bags.reader import Bag
from substep_core.configuration import configuration
from substep_core.contract import RobotContract, state_selection, vector_misfit
from substep_core.keys import SubstepKey
from substep_core.observation_sync import ObservationSync
from substep_core.plan import Substep
from substep_core.ros.messages import image_from_message, stamp_of_serialized
from substep_core.ros.observation_messages import observation_from_messages, observation_topics
from substep_core.ros.topics import camera_image
from training.data.readers.demonstration import (
    Demonstration,
    DemonstrationError,
    FrameOrigin,
    StoredFrames,
    all_taught,
    attempt,
    stack_images,
)
from training.data.readers.orientation import ImageOrientation
from training.labels.file import EpisodeLabels, labels_from_boundaries
from training.rerun.recorded import RecordedRun

HELD = 32  # instants of which a part is kept


@configuration
class BagSource:
    """A bag, or a folder with bags anywhere below it. Each task that was begun in a bag is a demonstration.

    Attributes:
        namespace: of the graph, where a bag holds several.
        collection: tells these demonstrations from those of other sources of the same tasks.
        labels: their ``substep_labels.json``; None: the substeps that the bags say.
    """

    path: Path
    type: Literal["bag"] = "bag"
    suite: str | None = None
    namespace: str | None = None
    collection: str = ""
    labels: Path | None = None

    def read(self, robot: RobotContract) -> Iterator[Demonstration | DemonstrationError]:
        """Raises: DemonstrationError: there is no bag."""
        folders = sorted(file.parent for file in self.path.rglob(FILE))
        if not folders:
            raise DemonstrationError(f"{self.path} holds no bag: there is no {FILE} below it")
        numbers: dict[str, int] = {}
        for folder in folders:
            found = attempt(partial(_tasks, folder, self, robot, numbers), str(folder))
            yield from [found] if isinstance(found, DemonstrationError) else found


@dataclass(frozen=True)
class _Step:
    """A control step: the stamp of the observation before it, the action, and the substep that it served."""

    stamp: int
    action: np.ndarray
    substep: SubstepKey


def _tasks(folder: Path, source: BagSource, robot: RobotContract, numbers: dict[str, int]) -> list[Demonstration]:
    with Bag(folder) as bag:
        run = RecordedRun(GraphBag(bag, source.namespace))
        if why := vector_misfit(robot, run.robot):
            raise DemonstrationError(f"{folder}: {why}")
        proprio = dict(_proprioception(run, robot))
        steps = _observed(_played(run), sorted(proprio), run.robot.period_ns)
    found = []
    for goal in run.first_goals:
        own = [step for step in steps if step.substep.task_id == goal.plan_id]
        if not own:
            continue
        task = goal.task.replace(" ", "_")
        number = numbers[task] = numbers.get(task, -1) + 1
        stamps = tuple(step.stamp for step in own)
        demonstration = Demonstration(
            suite=source.suite or goal.suite,
            task=task,
            episode=f"episode_{number}",
            instruction=goal.task,
            robot=robot,
            actions=np.stack([step.action for step in own]),
            proprio=np.stack([proprio[stamp] for stamp in stamps]),
            taught=all_taught(len(own)),
            load_frames=partial(_frames, folder, source.namespace, robot.camera_names, stamps),
            frame_origin=FrameOrigin(ImageOrientation.UPRIGHT),
            source=f"{folder}, task {goal.plan_id}",
            labels=_labels(run, goal.task, own),
        )
        found.append(demonstration)
    return found


def _played(run: RecordedRun) -> list[_Step]:
    """Every control step in which an action of a chunk was played, in their order, as the chunks' reports say."""
    found: dict[tuple[int, int], _Step] = {}
    for key in run.answers:
        if (part := run.played(key)) is None:
            continue
        for place, command in enumerate(part.commands):
            at = part.stamp + place * run.robot.period_ns
            found[key.episode, at] = _Step(at, command, key.substep)
    return [found[place] for place in sorted(found)]


def _observed(steps: Sequence[_Step], stamps: Sequence[int], period: int) -> list[_Step]:
    """Each step with the observation before it, which a robot's sensors stamp, and not the clock of control.

    Args:
        stamps: of the observations, sorted; one that is half a period off is none of the step's.
    """
    found = []
    for step in steps:
        after = bisect_left(stamps, step.stamp)
        near = min(stamps[max(0, after - 1) : after + 1], key=lambda stamp: abs(stamp - step.stamp), default=None)
        if near is not None and abs(near - step.stamp) <= period // 2:
            found.append(replace(step, stamp=near))
    return found


def _proprioception(run: RecordedRun, robot: RobotContract) -> Iterator[tuple[int, np.ndarray]]:
    """Stamp -> proprioception vector of ``robot``, by what puts observations together in a running graph."""
    selection = state_selection(robot, run.robot)
    for stamp, messages in _instants(run.bag, (), None):
        yield stamp, observation_from_messages(run.robot, (), messages).proprio[selection]


def _frames(folder: Path, namespace: str | None, cameras: Sequence[str], stamps: Sequence[int]) -> StoredFrames:
    seen: dict[str, dict[int, np.ndarray]] = {camera: {} for camera in cameras}
    with Bag(folder) as bag:
        graph = GraphBag(bag, namespace)
        graph.require(map(camera_image, cameras), "training")
        for stamp, messages in _instants(graph, cameras, set(stamps)):
            for camera in cameras:
                seen[camera][stamp] = image_from_message(messages[camera_image(camera).name], camera)
    missing = sorted(set(stamps) - set.intersection(*(set(images) for images in seen.values())))
    if missing:
        raise DemonstrationError(f"{folder} has no image of {missing[0] / 1e9:.3f} s, and {len(missing)} are missing")
    return {camera: stack_images([images[at] for at in stamps], str(folder)) for camera, images in seen.items()}


def _instants(
    graph: GraphBag, cameras: Sequence[str], wanted: set[int] | None
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The messages of each wanted stamp, of every one where None is given, once they are complete, each stamp once."""
    topics = {topic.name: topic for topic in observation_topics(graph.contract, cameras, needs_scene=False)}
    sync, given = ObservationSync(topics, HELD), set()
    for heard in graph.read(topics.values()):
        stamp = stamp_of_serialized(heard.data)
        if stamp in given or (wanted is not None and stamp not in wanted):
            continue
        sync.add(heard.topic.name, stamp, heard.message)
        if (messages := sync.messages(stamp)) is not None:
            given.add(stamp)
            yield stamp, messages


def _labels(run: RecordedRun, instruction: str, steps: Sequence[_Step]) -> EpisodeLabels:
    """The substeps that were active; another attempt at one goes on with it."""
    ends, substeps = [], []
    for number, step in enumerate(steps):
        following = steps[number + 1].substep if number + 1 < len(steps) else None
        if following is None or (following.plan_id, following.index) != (step.substep.plan_id, step.substep.index):
            ends.append(number)
            substeps.append(Substep(run.substeps[step.substep].instruction, ""))
    return labels_from_boundaries(instruction, substeps, ends, np.zeros(len(steps), int))
