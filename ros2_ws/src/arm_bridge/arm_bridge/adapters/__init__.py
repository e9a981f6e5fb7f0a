"""How commands are put for a driver: an adapter for the arm, one for each gripper, each chosen by its name.

An adapter is a frozen configuration, the ``type`` of which is its name in the registry, and which makes messages. It
knows neither nodes nor time. Message packages that not every machine has are imported where an adapter is used.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from arm_bridge.command import ArmCommand, Space
from substep_core.configuration import registered
from substep_core.registry import Registry


class EveryStepOnATopic:
    """Of an arm's adapter: its driver is told every control step anew, by a topic."""

    @property
    def ahead(self) -> float:
        return 0.0

    @property
    def leash_angle(self) -> float | None:
        return None

    def action_type(self) -> type | None:
        return None


class ArmAdapter(Protocol):
    """Puts commands of an arm.

    Attributes:
        topic: that they go to.
        space: what they are about.
        leash: m, rad that a position may be ahead of the measured one; None: what is put are velocities.
        leash_angle: rad that a pose may be turned ahead of the measured one; None where no poses are put.
        ahead: s of what is queued that one message carries after its control step; 0: it is told every step anew.
    """

    topic: str

    @property
    def space(self) -> Space: ...

    @property
    def leash(self) -> float | None: ...

    @property
    def leash_angle(self) -> float | None: ...

    @property
    def ahead(self) -> float: ...

    def message_type(self) -> type:
        """Raises: ValueError: its package is not installed."""

    def message(self, command: ArmCommand) -> Any: ...

    def action_type(self) -> type | None:
        """Of an action that ``goal`` puts messages for, by the name ``topic``; None: messages go to that topic.

        Raises:
            ValueError: its package is not installed.
        """


class GripperAdapter(Protocol):
    """Puts commands of a gripper.

    Attributes:
        topic: a topic's name, or an action's.
        is_action: it is an action's.
        opened, closed: the positions that it goes to; m of one finger or rad, as the driver has it.
    """

    topic: str
    opened: float
    closed: float

    @property
    def is_action(self) -> bool: ...

    def message_type(self) -> type:
        """Of the topic's messages, or of the action. Raises: ValueError: its package is not installed."""

    def message(self, position: float) -> Any:
        """A message, or an action's goal."""


ARM_ADAPTERS: Registry[type[ArmAdapter]] = Registry("arm adapter", "substep.arm_adapters")
GRIPPER_ADAPTERS: Registry[type[GripperAdapter]] = Registry("gripper adapter", "substep.gripper_adapters")
ArmAdapterConfig = registered(ARM_ADAPTERS.load, lambda data: data.get("type"))
GripperAdapterConfig = registered(GRIPPER_ADAPTERS.load, lambda data: data.get("type"))


def message_class(name: str, why: str) -> type:
    """A message, service or action class by its ROS name, such as "control_msgs/action/GripperCommand".

    Raises:
        ValueError: there is no such package here.
    """
    package, form, kind = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{form}"), kind)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{why} needs {name}, which is not installed here ({error}): install the ROS package {package}, or choose "
            "another type"
        ) from error
