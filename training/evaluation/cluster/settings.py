"""How an evaluation is spread over a cluster. What an episode is does not depend on it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from substep_core.configuration import configuration


@configuration
class ClusterSettings:
    """Processes on a Ray cluster.

    Attributes:
        simulators: that play episodes, each on a processor core; none: one for every core that policies leave.
        policies: that answer the simulators; none: one for each GPU. 0: every simulator loads the policy itself.
        batch_size: observations answered at once, at most; none: 16 on a GPU, else 1, where several take as long as
            one after the other.
        wait: s that a policy waits for more of them.
    """

    simulators: int | None = Field(default=None, ge=1, le=10_000)
    policies: int | None = Field(default=None, ge=0, le=1000)
    batch_size: int | None = Field(default=None, ge=1, le=1024)
    wait: float = Field(default=0.01, ge=0, le=10)


@dataclass(frozen=True)
class RayCluster:
    """Address of its head, or "auto": the one that this machine is part of; and how an evaluation is spread over it."""

    address: str
    settings: ClusterSettings = ClusterSettings()
