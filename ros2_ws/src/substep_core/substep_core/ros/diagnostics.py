"""Builds the status messages that a node publishes on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue


def diagnostic_status(
    node: str,
    what: str,
    message: str,
    level: bytes = DiagnosticStatus.OK,
    values: Mapping[str, object] | None = None,
) -> DiagnosticStatus:
    """A status named "<node>: <what>".

    Args:
        node: fully qualified name, with or without the leading slash; also the status' ``hardware_id``, without it.
        level: one of ``DiagnosticStatus``'s.
    """
    name = node.lstrip("/")
    pairs = [KeyValue(key=key, value=str(value)) for key, value in (values or {}).items()]
    return DiagnosticStatus(level=level, name=f"{name}: {what}", message=message, hardware_id=name, values=pairs)
