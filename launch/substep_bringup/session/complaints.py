"""What the nodes complain about, from their diagnostics and their logs."""

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
    """Collects complaints; thread-safe.

    Diagnostics say what is wrong for people to read, so they come before the log when both know.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_diagnostics: dict[str, str] = {}
        self._in_log: dict[str, str] = {}
        self._unread: deque[Complaint] = deque(maxlen=KEPT)

    def hear_log(self, message: Log) -> None:
        """A line of /rosout."""
        if message.level < _level(Log.WARN):
            return
        node = message.name.replace(".", "/")
        severity = Severity.ERROR if message.level >= _level(Log.ERROR) else Severity.WARNING
        with self._lock:
            if severity is Severity.ERROR:
                self._in_log[node] = message.msg
            self._unread.append(Complaint(node, severity, message.msg))

    def hear_diagnostics(self, message: DiagnosticArray) -> None:
        """A message of /diagnostics; a status is named "<node>: <what>"."""
        with self._lock:
            for status in message.status:
                if _level(status.level) == _level(DiagnosticStatus.ERROR):
                    self._in_diagnostics[status.name.partition(":")[0].strip("/ ")] = status.message

    def last_error(self, node: str) -> str:
        """The newest error of a node; "" when it has not complained."""
        with self._lock:
            return self._in_diagnostics.get(node) or self._in_log.get(node, "")

    def take_unread(self) -> list[Complaint]:
        """Complaints in the log since the last call."""
        with self._lock:
            unread = list(self._unread)
            self._unread.clear()
        return unread


def _level(value: int | bytes) -> int:
    """rclpy represents a message's byte constants as bytes."""
    return value[0] if isinstance(value, bytes) else int(value)
