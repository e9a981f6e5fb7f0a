"""Collects the nodes' warnings and errors from /diagnostics and /rosout."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Log

KEPT = 200


class Severity(IntEnum):
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True)
class Complaint:
    """``node`` is a fully qualified name without the leading slash, e.g. "robot1/bridge"."""

    node: str
    severity: Severity
    text: str


class Complaints:
    """Collects complaints; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_diagnostics: dict[str, str] = {}
        self._in_log: dict[str, Complaint] = {}
        self._unread: deque[Complaint] = deque(maxlen=KEPT)

    def hear_log(self, message: Log) -> None:
        """A line of /rosout."""
        if message.level < _level(Log.WARN):
            return
        severity = Severity.ERROR if message.level >= _level(Log.ERROR) else Severity.WARNING
        complaint = Complaint(message.name.replace(".", "/"), severity, message.msg)
        with self._lock:
            earlier = self._in_log.get(complaint.node)
            if earlier is None or severity >= earlier.severity:
                self._in_log[complaint.node] = complaint
            self._unread.append(complaint)

    def hear_diagnostics(self, message: DiagnosticArray) -> None:
        """A message of /diagnostics; a node of this graph puts its name in ``hardware_id``."""
        with self._lock:
            for status in message.status:
                if _level(status.level) == _level(DiagnosticStatus.ERROR):
                    self._in_diagnostics[status.hardware_id] = status.message

    def newest(self, node: str) -> str:
        """The newest error of a node, else its newest warning; "" when it has not complained.

        Diagnostics are written for people to read, so an error there comes before one in the log.
        """
        with self._lock:
            logged = self._in_log.get(node)
            return self._in_diagnostics.get(node) or (logged.text if logged else "")

    def take_unread(self) -> list[Complaint]:
        """Complaints in the log since the last call."""
        with self._lock:
            unread = list(self._unread)
            self._unread.clear()
        return unread


def _level(value: int | bytes) -> int:
    """rclpy represents a message's byte constants as bytes."""
    return value[0] if isinstance(value, bytes) else int(value)
