"""Times a graph with a recorder beside the same graph without one: ``./substep bench record``.

The graph stays up; recordings of each kind and stretches without alternate, and each recording is compared with the
stretches before and after it, so that what else the machine does falls on both. A viewer takes every image all the
while: the simulator renders those that somebody wants, and without it rendering would count as a cost of recording.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from lifecycle_msgs.msg import Transition

from libero_bridge.benchmarks.timing import Speed, processor_time
from libero_bridge.tasks import ROBOT
from substep_bags.reader import Bag
from substep_bags.recorder_parameters import JPEG, RAW
from substep_core.contract import load_robot
from substep_core.ros import topics
from substep_core.ros.messages import stamp_of_serialized
from training.bench import viewer
from training.bench.graph_loop import GraphLoop, node_process, running_loop
from training.evaluation.provenance import provenance
from training.intervals import median_interval

KINDS = (RAW, JPEG)
WARM_UP = 20  # control steps until recorder and publishers have found each other
MIB = 1 << 20
MEMORY_PERIOD = 1.0  # s


@dataclass(frozen=True)
class RecordSettings:
    """What is timed.

    Attributes:
        clock: "lockstep", or "realtime": at the robot's rate, as long as the machine can keep it.
        image_size: height and width of each of two cameras.
        images: kinds of recordings, of ``KINDS``.
        compression: of the bags' chunks, of ``substep_bags.writer.COMPRESSIONS``.
        steps: control steps of each stretch; rounds: recordings of each kind.
        minutes: of wall time that the first kind goes on recording at the end, to see its memory; 0: not at all.
    """

    suite: str
    task: int
    assets: str
    clock: str
    image_size: tuple[int, int]
    images: tuple[str, ...]
    compression: str
    steps: int
    rounds: int
    minutes: float

    def __post_init__(self) -> None:
        if not self.images or len(set(self.images)) < len(self.images):
            raise ValueError(f"images is {self.images}, expected each kind once")
        if not math.isfinite(self.minutes):
            raise ValueError(f"minutes is {self.minutes}, expected a finite number")


@dataclass(frozen=True)
class RecordedStretch:
    """Speed of the graph over some control steps; recorder: ms of the recorder's processor time a step."""

    speed: Speed
    recorder: float = 0.0


@dataclass(frozen=True)
class BagFigures:
    """What a bag holds, for each minute of the robot's time.

    Attributes:
        files: MiB of its files; messages: MiB of the messages in them, as they are serialised.
        missing: share of the cameras' images that are not in it; dropped: messages that the recorder had no room for.
    """

    files: float
    messages: float
    missing: float
    dropped: int


@dataclass(frozen=True)
class KindFigures:
    """One kind of recording.

    Attributes:
        wall, processor: speed of the graph with the recorder as a share of that without, median over rounds, in wall
            time and in the processor time of the graph's own processes.
        interval: of ``wall``, 95 %; None: there are too few rounds for one.
        rounds: ``wall`` of each.
        recorder: ms of the recorder's processor time a control step.
    """

    wall: float
    processor: float
    interval: tuple[float, float] | None
    rounds: tuple[float, ...]
    recorder: float
    bag: BagFigures


@dataclass(frozen=True)
class Memory:
    """MiB that the recorder occupies, over a long recording. series: a value each tenth of it, from its begin on."""

    seconds: float
    series: tuple[float, ...]

    @property
    def slope(self) -> float:
        """MiB a minute, once buffers have found their size: after the first fifth."""
        later = self.series[2:]
        minutes = np.arange(len(later)) * self.seconds / 60 / (len(self.series) - 1)
        return float(np.polyfit(minutes, later, 1)[0])


@dataclass(frozen=True)
class RecordFigures:
    """All of one run.

    Attributes:
        unseen: control steps a second before anybody but the policy wants images.
        without: … with the viewer, and without a recorder.
    """

    settings: RecordSettings
    made: dict[str, Any]
    unseen: float
    without: float
    kinds: dict[str, KindFigures]
    memory: Memory | None

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def __str__(self) -> str:
        told, machine = self.settings, self.made["machine"]
        height, width = told.image_size
        lines = [
            f"{told.suite} {told.task}, two {width}x{height} cameras, {told.rounds} rounds of {told.steps} steps, "
            f"{told.clock}, assets: {told.assets}, chunks: {told.compression}; "
            f"{machine['processor']}, {machine['cores']} cores, commit {self.made['commit']}",
            f"  without a recorder {self.without:7.1f} steps/s; where only the policy wants images {self.unseen:.1f}",
        ]
        for name, kind in self.kinds.items():
            each = ", ".join(f"{100 * share:.0f}" for share in kind.rounds)
            few = "too few rounds for an interval"
            sure = f"95 %: {100 * kind.interval[0]:.1f} to {100 * kind.interval[1]:.1f} %" if kind.interval else few
            lines += [
                f"  {name:<5} {100 * kind.wall:5.1f} % of that ({sure}; rounds: {each}), "
                f"{100 * kind.processor:5.1f} % in the graph's own processor time; "
                f"recorder {kind.recorder:.2f} ms a step",
                f"        {kind.bag.files:.1f} MiB a minute in files, of {kind.bag.messages:.1f} MiB of messages; "
                f"{100 * kind.bag.missing:.1f} % of images missing, {kind.bag.dropped} messages dropped",
            ]
        if self.memory is not None:
            series = ", ".join(f"{value:.0f}" for value in self.memory.series)
            lines.append(
                f"  memory over {self.memory.seconds:.0f} s: {series} MiB; "
                f"after the first fifth {self.memory.slope:+.2f} MiB a minute"
            )
        return "\n".join(lines)


def benchmark(settings: RecordSettings, command: str) -> RecordFigures:
    """One run. command: that was typed. Raises: RuntimeError: a node does not come up."""
    height, width = settings.image_size
    world = {"suite": settings.suite, "task_index": settings.task, "assets": settings.assets, "clock": settings.clock}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="substep_bench_record_")))
        packed = {"compression": settings.compression}
        recorders = {
            kind: stack.enter_context(
                node_process(
                    "substep_bags.recorder_node", {"bag": folder / kind, "images": kind, **packed}, f"recorder_{kind}"
                )
            )
            for kind in settings.images
        }
        loop = stack.enter_context(running_loop({**world, "image_height": height, "image_width": width}))
        for kind in recorders:
            loop.change_state(f"recorder_{kind}", Transition.TRANSITION_CONFIGURE)
        pids = {kind: process.pid for kind, process in recorders.items()}
        loop.advance(WARM_UP)
        unseen = loop.measure(settings.steps).wall
        stack.enter_context(node_process(viewer.__name__, {}))
        loop.activate(viewer.NAME)
        stretches = _alternate(loop, pids, settings)
        memory = _memory(loop, settings.images[0], pids, settings.minutes * 60) if settings.minutes else None
        bags = {kind: _bag_figures(folder / kind) for kind in settings.images}
    without = median(stretch.speed.wall for stretch in stretches[""])
    kinds = {kind: figures_of(kind, stretches, bags[kind], settings.images) for kind in settings.images}
    return RecordFigures(settings, provenance(command), unseen, without, kinds, memory)


def _alternate(loop: GraphLoop, pids: dict[str, int], settings: RecordSettings) -> dict[str, list[RecordedStretch]]:
    """Kind of recording -> its stretches; "": those without, one before each recording and one at the end."""
    loop.advance(WARM_UP)
    found: dict[str, list[RecordedStretch]] = {"": [], **{kind: [] for kind in settings.images}}
    for _ in range(settings.rounds):
        for kind in settings.images:
            found[""].append(RecordedStretch(loop.measure(settings.steps)))
            with _Recording(loop, kind):
                found[kind].append(_recorded_stretch(loop, pids[kind], settings.steps))
    found[""].append(RecordedStretch(loop.measure(settings.steps)))
    return found


class _Recording:
    """A recorder is active."""

    def __init__(self, loop: GraphLoop, kind: str) -> None:
        self._loop, self._node = loop, f"recorder_{kind}"

    def __enter__(self) -> None:
        self._loop.change_state(self._node, Transition.TRANSITION_ACTIVATE)
        self._loop.advance(WARM_UP)

    def __exit__(self, *given) -> None:
        self._loop.change_state(self._node, Transition.TRANSITION_DEACTIVATE)
        self._loop.advance(WARM_UP)


def _recorded_stretch(loop: GraphLoop, pid: int, steps: int) -> RecordedStretch:
    used = processor_time(pid)
    speed = loop.measure(steps)
    return RecordedStretch(speed, 1e3 * (processor_time(pid) - used) / steps)


def _memory(loop: GraphLoop, kind: str, pids: dict[str, int], seconds: float) -> Memory:
    recorder = psutil.Process(pids[kind])
    with _Recording(loop, kind):
        begin = seen = time.monotonic()
        values = [recorder.memory_info().rss / MIB]
        while time.monotonic() - begin < seconds:
            loop.advance(1)
            if time.monotonic() - seen >= MEMORY_PERIOD:
                seen = time.monotonic()
                values.append(recorder.memory_info().rss / MIB)
    tenths = [values[round(place * (len(values) - 1) / 10)] for place in range(11)]
    return Memory(seconds, tuple(round(value, 1) for value in tenths))


def figures_of(
    kind: str, stretches: dict[str, list[RecordedStretch]], bag: BagFigures, kinds: Sequence[str]
) -> KindFigures:
    """Of one kind of recording. stretches: of all ``kinds``, and at "" those without, as they alternated."""
    place, speeds = kinds.index(kind), [stretch.speed for stretch in stretches[""]]

    def shares(of: Callable[[Speed], float]) -> Iterator[float]:
        for number, stretch in enumerate(stretches[kind]):
            beside = place + number * len(kinds)
            yield of(stretch.speed) / ((of(speeds[beside]) + of(speeds[beside + 1])) / 2)

    wall = tuple(shares(lambda speed: speed.wall))
    processor = median(shares(lambda speed: speed.processor))
    try:
        interval = median_interval(wall)
    except ValueError:  # too few rounds
        interval = None
    return KindFigures(median(wall), processor, interval, wall, median(item.recorder for item in stretches[kind]), bag)


def _bag_figures(folder: Path) -> BagFigures:
    """Of the first of its bags."""
    robot = load_robot(ROBOT)
    cameras = tuple(f"/{topics.camera_image(name).name}" for name in robot.camera_names)
    size, stamps = 0, {}
    with Bag(folder) as bag:
        for item in bag.messages():
            size += len(item.data)
            if item.topic.startswith(cameras):
                stamps.setdefault(item.topic, set()).add(stamp_of_serialized(item.data))
        dropped = int(bag.about["dropped"])
    first, last = min(map(min, stamps.values())), max(map(max, stamps.values()))
    steps = (last - first) // robot.period_ns + 1
    minutes, seen = steps * robot.period_ns / 60e9, sum(map(len, stamps.values()))
    files = sum(file.stat().st_size for file in folder.glob("*.mcap"))
    return BagFigures(files / MIB / minutes, size / MIB / minutes, 1 - seen / (steps * len(cameras)), dropped)
