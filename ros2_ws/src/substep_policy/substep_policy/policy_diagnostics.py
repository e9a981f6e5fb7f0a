"""What the policy node says about itself on /diagnostics."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from substep_policy.chunk_server import ChunkServer
from substep_policy.memory import memory_in_use
from substep_policy.request_desk import SubstepKey


def inference_diagnostics(
    node: str, stamp: Time, server: ChunkServer, level: bytes, message: str, substep: SubstepKey | None = None
) -> DiagnosticArray:
    """One status named "<node>: inference".

    Args:
        node: fully qualified name, with or without the leading slash.
        level: one of ``DiagnosticStatus``'s.
        message: "ok", or what is wrong.
        substep: which one a failure belongs to.
    """
    name = node.lstrip("/")
    device = server.policy.device
    median, p99 = server.latency()
    values = {
        "model": server.policy.name,
        "device": device,
        "dtype": server.policy.dtype,
        "memory_mib": f"{memory_in_use(device) / 2**20:.0f}",
        "chunks": server.chunks,
        "latency_median_ms": f"{1000 * median:.1f}",
        "latency_p99_ms": f"{1000 * p99:.1f}",
    }
    if substep is not None:
        values |= {"plan_id": substep.plan_id, "substep_index": substep.index, "attempt": substep.attempt}
    status = DiagnosticStatus(level=level, name=f"{name}: inference", message=message, hardware_id=name)
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array
