"""Parameters of the session node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from substep_bringup.run_folder import RunFolder
from substep_core.episode import Placement


@dataclass(frozen=True)
class SessionConfig:
    """One run.

    Attributes:
        run_folder: where video and summary go.
        nodes: lifecycle nodes in the order in which they are activated, by name within the session's namespace.
        starts_graph: the nodes were started for this session; one that is active already is another graph's.
        task_text: what the planner is told; "" for the episode's own instruction.
        placement, init_state, seed: of the reset that a graph needs which has been running before this session.
        cameras: shown in the video from left to right; empty: all of the robot's.
        video_rate: frames per second; 0: as fast as the robot is controlled. Each control step is a frame.
        waits_for_robot: a task begins when somebody has armed the robot; arms_robot: the session does that.
        start_timeout: s for a node's process to answer.
        configure_timeout: s for a node to load what it needs.
        planner_silence: s of wall time without a sign of the planner after which its task is given up.
    """

    run_folder: RunFolder
    nodes: tuple[str, ...] = ("bridge", "policy", "planner")
    starts_graph: bool = False
    task_text: str = ""
    placement: Placement = Placement.BENCHMARK
    init_state: int = 0
    seed: int = 0
    cameras: tuple[str, ...] = ()
    video: bool = True
    video_rate: int = 0
    waits_for_robot: bool = False
    arms_robot: bool = False
    start_timeout: float = 120.0
    configure_timeout: float = 1800.0
    planner_silence: float = 10.0

    def __post_init__(self) -> None:
        if not self.nodes or len(set(self.nodes)) != len(self.nodes):
            raise ValueError(f"nodes are {self.nodes}, expected one or more different names")
        if len(set(self.cameras)) != len(self.cameras):
            raise ValueError(f"cameras are {self.cameras}, expected different names")


def run_folder_at(path: str) -> RunFolder:
    """The folder a launcher made, or a new one below ``runs`` when the session was started by hand (path "").

    Raises:
        ValueError: it cannot be made or written to, so that nothing of the run could be kept.
    """
    try:
        return RunFolder.open(Path(path)) if path else RunFolder.create(Path("runs"), {})
    except OSError as error:
        raise ValueError(f"run_folder is {path!r}: {error.strerror} ({error.filename})") from error
