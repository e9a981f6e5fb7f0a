"""Notices that the bridge or the policy has fallen silent. Times are given, in s and monotonic."""

from __future__ import annotations

from dataclasses import dataclass

from substep_core.errors import ErrorCode


@dataclass(frozen=True)
class SilenceLimits:
    """How long a node may say nothing, in s of wall time.

    Attributes:
        bridge: between two signs of life of the bridge; while a chunk is awaited it gives one a second.
        policy: between two answers of the policy, so longer than its slowest inference.
    """

    bridge: float = 10.0
    policy: float = 30.0

    def __post_init__(self) -> None:
        for name, value in (("bridge", self.bridge), ("policy", self.policy)):
            if not value > 0:
                raise ValueError(f"silence limit of the {name} is {value} s, expected more than 0")


class SilenceWatch:
    """Blames the right one: a policy cannot answer requests that a silent bridge does not make."""

    def __init__(self, limits: SilenceLimits, now: float) -> None:
        self._limits = limits
        self._bridge_heard = now
        self._policy_heard = now

    def hear_bridge(self, now: float) -> None:
        self._bridge_heard = now

    def hear_policy(self, now: float) -> None:
        self._policy_heard = now

    def verdict(self, now: float) -> tuple[ErrorCode, str] | None:
        """Error code and message, or None while everybody is heard."""
        if now - self._bridge_heard > self._limits.bridge:
            return ErrorCode.BRIDGE_SILENT, f"nothing heard from the bridge for {self._limits.bridge:g} s"
        if self._bridge_heard - self._policy_heard > self._limits.policy:
            return ErrorCode.POLICY_SILENT, f"no chunk from the policy for {self._limits.policy:g} s"
        return None
