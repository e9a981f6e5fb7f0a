"""The policy node's status messages on /diagnostics."""

from __future__ import annotations

from collections import deque

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from substep_core.ros.diagnostics import diagnostic_status
from substep_policy.memory import memory_in_use
from substep_policy.policy import EosThresholded, Policy


class LatencyLog:
    """Inference times (s) of the last chunks."""

    KEPT = 1000

    def __init__(self) -> None:
        self.chunks = 0
        self._latencies: deque[float] = deque(maxlen=self.KEPT)

    def add(self, latency: float) -> None:
        self.chunks += 1
        self._latencies.append(latency)

    def summary(self) -> tuple[float, float]:
        """Median and 99th percentile (s); NaN before the first."""
        if not self._latencies:
            return float("nan"), float("nan")
        median, p99 = np.percentile(list(self._latencies), [50, 99])
        return float(median), float(p99)


def inference_status(node: str, policy: Policy, latencies: LatencyLog, level: bytes, message: str) -> DiagnosticStatus:
    """The status named "<node>: inference".

    Args:
        level: one of ``DiagnosticStatus``'s.
        message: "ok", or what is wrong.
    """
    median, p99 = latencies.summary()
    values = {
        "model": policy.name,
        "device": policy.device,
        "dtype": policy.dtype,
        "memory_mib": f"{memory_in_use(policy.device) / 2**20:.0f}",
        "chunks": latencies.chunks,
        "latency_median_ms": f"{1000 * median:.1f}",
        "latency_p99_ms": f"{1000 * p99:.1f}",
    }
    if isinstance(policy, EosThresholded) and policy.eos_threshold is not None:
        values["eos_threshold"] = policy.eos_threshold
    return diagnostic_status(node, "inference", message, level, values)
