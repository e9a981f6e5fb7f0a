"""Keeps the newest camera image for decomposers that show it to a vision-language model."""

from __future__ import annotations

import logging
import threading

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from substep_core.ros.messages import image_from_message

log = logging.getLogger(__name__)


class NewestPicture:
    """Holds one serialised Image; it is deserialised only when it is asked for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._serialised = b""

    def put(self, serialised: bytes) -> None:
        with self._changed:
            self._serialised = serialised
            self._changed.notify_all()

    def newest(self, timeout: float) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB; None: none came within ``timeout`` s, or what came is none, which is logged."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._serialised, timeout):
                return None
            serialised = self._serialised
        try:
            return image_from_message(deserialize_message(serialised, Image))
        except ValueError as error:
            log.warning("there is no picture of the scene: %s", error)
            return None
