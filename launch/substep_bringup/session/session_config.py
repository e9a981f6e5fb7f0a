"""What a session is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from libero_bridge.placement import Placement
from substep_bringup.run_folder import RunFolder


@dataclass(frozen=True)
class SessionConfig:
    """One run.

    Attributes:
        run_folder: where video and summary go.
        nodes: lifecycle nodes in the order in which they are activated, by name within the session's namespace.
        task_text: what the planner is told; "" for the episode's own instruction.
        placement, init_state, seed: of the reset that a graph needs which has been running before this session.
        cameras: shown in the video from left to right.
        start_timeout: s for a node's process to answer.
        configure_timeout: s for a node to load what it needs.
    """

    run_folder: RunFolder
    nodes: tuple[str, ...] = ("bridge", "policy", "planner")
    task_text: str = ""
    placement: Placement = Placement.BENCHMARK
    init_state: int = 0
    seed: int = 0
    cameras: tuple[str, ...] = ("agentview", "eye_in_hand")
    video: bool = True
    video_rate: int = 20
    start_timeout: float = 120.0
    configure_timeout: float = 1800.0

    def __post_init__(self) -> None:
        if not self.nodes or len(set(self.nodes)) != len(self.nodes):
            raise ValueError(f"nodes are {self.nodes}, expected one or more different names")
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ValueError(f"cameras are {self.cameras}, expected one or more different names")


def run_folder_at(path: str) -> RunFolder:
    """The folder a launcher made, or a new one below ``runs`` when the session was started by hand (path "")."""
    return RunFolder(Path(path)) if path else RunFolder.create(Path("runs"), {})
